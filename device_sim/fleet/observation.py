"""Readings of some appliances of one family: physics under their planned severities, sensors, resolution, silence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from device_sim.fleet.population import Appliance, units_of
from device_sim.physics.catalogue import CONTINUOUS, CYCLIC
from device_sim.physics.families import Cycles
from device_sim.physics.sensors import misreport, quantised
from device_sim.physics.units import Severities, Units
from device_sim.randomness import Floats
from protocols.messages import Channel


def severities_at(appliances: Sequence[Appliance], at: Floats) -> dict[str, Floats]:
    """Severity by kind of fault, shape (times, appliances), of the kinds that someone has at event times `at`."""
    found: dict[str, Floats] = {}
    first, last = float(at[0, 0]), float(at[-1, 0])
    for place, appliance in enumerate(appliances):
        for episode in appliance.life.episodes:
            if episode.onset > last or (episode.ended_at is not None and episode.ended_at <= first):
                continue
            matrix = found.setdefault(episode.mode.kind, np.zeros((len(at), len(appliances))))
            column = [episode.severity_at(float(moment)) for moment in at[:, 0]]
            matrix[:, place] = np.maximum(matrix[:, place], column)
    return found


def silent(appliances: Sequence[Appliance], at: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which appliances say nothing at which of the times, shape (times, appliances)."""
    moments = at[:, 0]
    hushed = np.zeros((len(moments), len(appliances)), np.bool_)
    for place, appliance in enumerate(appliances):
        for silence in appliance.silences:
            if silence.start <= moments[-1] and silence.end > moments[0]:
                hushed[:, place] |= (moments >= silence.start) & (moments < silence.end)
    return hushed


class ContinuousView:
    """Readings of appliances of one continuous family.

    seed: of the world. averaged: means over a record's period instead of the instant.
    """

    def __init__(self, seed: int, appliances: Sequence[Appliance], averaged: bool) -> None:
        self.appliances = tuple(appliances)
        self.family = CONTINUOUS[appliances[0].model.family]
        self.channels: tuple[Channel, ...] = self.family.summary if averaged else self.family.channels
        self._averaged = averaged
        self._units = units_of(seed, appliances)
        self._resolutions = _resolutions(self.channels)

    def readings(self, at: Floats) -> Floats:
        """Readings, shape (times, appliances, channels), NaN where silent; `at` has shape (times, 1), in order."""
        severities = severities_at(self.appliances, at)
        values = self.family.observe(at, self._units, severities, self._averaged)
        _misreport_sensors(self.family.modes, self.channels, values, at, self._units, severities)
        values = quantised(values, self._resolutions)
        values[silent(self.appliances, at)] = np.nan
        return values


def _misreport_sensors(
    modes: Sequence[object],
    channels: Sequence[Channel],
    values: Floats,
    at: Floats,
    units: Units,
    severities: Severities,
) -> None:
    names = [channel.name for channel in channels]
    for mode in modes:
        sensor, kind = getattr(mode, "sensor", ""), getattr(mode, "kind", "")
        if sensor in names and kind in severities:
            place = names.index(sensor)
            values[:, :, place] = misreport(values[:, :, place], severities[kind], at, units)


def _resolutions(channels: Sequence[Channel]) -> Floats:
    return np.array([channel.resolution for channel in channels], np.float64)


__all__ = ["CYCLIC", "ContinuousView", "Cycles", "severities_at", "silent"]
