"""Readings of some appliances of one family: physics under their planned severities, sensors, resolution, silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from device_sim.failure.modes import FailureMode
from device_sim.fleet.population import Appliance, units_of
from device_sim.physics.catalogue import CONTINUOUS, CYCLIC
from device_sim.physics.families import Cycles
from device_sim.physics.sensors import misreport, quantised
from device_sim.physics.units import Severities, Units
from device_sim.physics.weather import DAY
from device_sim.randomness import Floats
from protocols.messages import Channel

LOOK_BACK_DAYS = 10
"""How far back the latest finished run of a cyclic machine is looked for."""


def severities_at(appliances: Sequence[Appliance], at: Floats) -> dict[str, Floats]:
    """Severity by kind of fault, shape (times, appliances), of the kinds that someone has at event times `at`."""
    found: dict[str, Floats] = {}
    if not len(at):
        return found
    first, last = float(at[0, 0]), float(at[-1, 0])
    for place, appliance in enumerate(appliances):
        for episode in appliance.life.episodes:
            if episode.onset > last or (episode.ended_at is not None and episode.ended_at <= first):
                continue
            matrix = found.setdefault(episode.mode.kind, np.zeros((len(at), len(appliances))))
            column = [episode.severity_at(float(moment)) for moment in at[:, 0]]
            matrix[:, place] = np.maximum(matrix[:, place], column)
    return found


def silent(appliances: Sequence[Appliance], at: Floats) -> NDArray[np.bool_]:
    """Which appliances say nothing at which of the times, shape (times, appliances)."""
    moments = at[:, 0]
    hushed = np.zeros((len(moments), len(appliances)), np.bool_)
    for place, appliance in enumerate(appliances):
        for silence in appliance.silences:
            if len(moments) and silence.start <= moments[-1] and silence.end > moments[0]:
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
        for place, mode in _wrong_sensors(self.family.modes, self.channels, severities):
            values[..., place] = misreport(values[..., place], severities[mode.kind], at, self._units)
        values = quantised(values, self._resolutions)
        values[silent(self.appliances, at)] = np.nan
        return values


class CyclicView:
    """Runs of appliances of one cyclic family."""

    def __init__(self, seed: int, appliances: Sequence[Appliance]) -> None:
        self.appliances = tuple(appliances)
        self.family = CYCLIC[appliances[0].model.family]
        self._units = units_of(seed, appliances)
        self._resolutions = _resolutions(self.family.summary)

    @property
    def units(self) -> Units:
        """The physics' view of the appliances."""
        return self._units

    def cycles(self, day: int) -> Cycles:
        """The runs that start on `day` (days since the epoch), features in the order of the family's summary.

        Severity is that of the day's first moment; a machine without power does not run.
        """
        morning = np.full((1, 1), day * DAY)
        severities = severities_at(self.appliances, morning)
        cycles = self.family.cycles(day, self._units, severities)
        features = cycles.features
        for place, mode in _wrong_sensors(self.family.modes, self.family.summary, severities):
            wrong = severities[mode.kind][0, cycles.unit]
            units = _chosen(self._units, cycles.unit)
            column = features[None, :, place]
            features[:, place] = misreport(column, wrong, cycles.end[None, :], units)[0]
        return replace(cycles, features=quantised(features, self._resolutions))


class CyclicTrace:
    """Readings of ONE cyclic appliance at any instant."""

    def __init__(self, seed: int, appliance: Appliance) -> None:
        self._view = CyclicView(seed, (appliance,))
        self.channels: tuple[Channel, ...] = self._view.family.channels
        self._resolutions = _resolutions(self.channels)
        self._days: dict[int, Cycles] = {}

    def readings(self, at: Floats) -> Floats:
        """Readings, shape (times, 1, channels), NaN where silent; `at` has shape (times, 1), in order."""
        cycles = self._cycles(int(at[0, 0] // DAY), int(at[-1, 0] // DAY))
        severities = severities_at(self._view.appliances, at)
        family, units = self._view.family, self._view.units
        values = family.trace(at, units, cycles, severities)[:, None, :]
        for place, mode in _wrong_sensors(family.modes, self.channels, severities):
            values[..., place] = misreport(values[..., place], severities[mode.kind], at, units)
        values = quantised(values, self._resolutions)
        values[silent(self._view.appliances, at)] = np.nan
        return values

    def _cycles(self, first: int, last: int) -> Cycles:
        wanted = range(first - LOOK_BACK_DAYS, last + 1)
        self._days = {day: self._days.get(day) or self._view.cycles(day) for day in wanted}
        parts = [self._days[day] for day in wanted]
        joined = [
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("unit", "start", "end", "program", "features", "phases")
        ]
        return Cycles(*joined)


def _wrong_sensors(
    modes: Sequence[FailureMode], channels: Sequence[Channel], severities: Severities
) -> list[tuple[int, FailureMode]]:
    """Places of the channels that a sensor fault touches now, with the fault's mode."""
    names = [channel.name for channel in channels]
    return [(names.index(mode.sensor), mode) for mode in modes if mode.sensor in names and mode.kind in severities]


def _chosen(units: Units, places: NDArray[np.int64]) -> Units:
    per_unit = ("keys", "regions", "members", "away", "hardness", "load_factor", "revised_at")
    return replace(units, **{name: getattr(units, name)[places] for name in per_unit})


def _resolutions(channels: Sequence[Channel]) -> Floats:
    return np.array([channel.resolution for channel in channels], np.float64)
