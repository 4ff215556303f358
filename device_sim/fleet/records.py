"""A fleet's records in bulk, for measuring detectors over years: no agents, no wire, blocks of arrays in order of time.

Continuous appliances give one record a period, cyclic ones one record a run, at its end. The readings are those of
the same world that the drivers play, summarised. Nothing here tells severity, onset or any other truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device_sim.fleet.observation import ContinuousView, CyclicView, silent
from device_sim.fleet.population import Appliance, World
from device_sim.physics.catalogue import CONTINUOUS
from device_sim.physics.weather import DAY
from device_sim.randomness import Floats

MODE_PREFIX = "op."
"""Channels whose role is a mode carry this prefix: they explain readings and are no symptom."""


@dataclass(frozen=True)
class Records:
    """Records of appliances of one model, ordered by (time, device).

    devices: index into the fleet's appliances, shape (rows,). times: event time in s. values: float32, shape
    (rows, channels); NaN is no reading.
    """

    model: str
    family: str
    channels: tuple[str, ...]
    devices: NDArray[np.int64]
    times: Floats
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class CodeChange:
    """A fault code that an appliance began or ceased to show. at: when it was told, event time, s: what happens in a
    silence is told when it ends, by the spool or by the birth message with its active faults."""

    at: float
    device: int
    code: str
    raised: bool


@dataclass(frozen=True)
class Day:
    """Everything that came on one day (UTC): one block a model, and the changes of fault codes in order."""

    start: float
    blocks: tuple[Records, ...]
    codes: tuple[CodeChange, ...]

    def __len__(self) -> int:
        return sum(map(len, self.blocks))


class BulkFleet:
    """All records of a world, a day at a time.

    period_s: of continuous appliances' records; it divides a day. The span is widened to whole days.
    """

    def __init__(self, world: World, appliances: Sequence[Appliance], period_s: float = 3600.0) -> None:
        if DAY % period_s:
            raise ValueError(f"a period of {period_s} s does not divide a day")
        self._world = world
        self.appliances = tuple(appliances)
        self._period_s = period_s
        self._sources = [self._source(members) for members in _by_model(self.appliances)]

    def days(self) -> Iterator[Day]:
        """Each day of the span, in order. A second iteration gives the same again."""
        changes = self._changes()
        place = 0
        carried: dict[str, Records] = {}
        for day in range(int(self._world.span.start // DAY), int(-(-self._world.span.end // DAY))):
            blocks = []
            for source in self._sources:
                block = source.records(day)
                if isinstance(source, _Runs):
                    block, carried[source.model] = _split(_joined(carried.get(source.model), block), (day + 1) * DAY)
                if len(block):
                    blocks.append(block)
            begun = place
            while place < len(changes) and changes[place].at < (day + 1) * DAY:
                place += 1
            yield Day(day * DAY, tuple(blocks), tuple(changes[begun:place]))

    def _source(self, members: list[int]) -> _Periods | _Runs:
        chosen = [self.appliances[member] for member in members]
        if chosen[0].model.family in CONTINUOUS:
            return _Periods(self._world.seed, chosen, members, self._period_s)
        return _Runs(self._world.seed, chosen, members)

    def _changes(self) -> list[CodeChange]:
        found = []
        for number, appliance in enumerate(self.appliances):
            for report in appliance.life.reports():
                for at, raised in ((report.raised_at, True), (report.cleared_at, False)):
                    told = appliance.heard_at(at)
                    if told in self._world.span:
                        found.append(CodeChange(told, number, report.code, raised))
        return sorted(found, key=lambda change: (change.at, change.device, change.code, not change.raised))


class _Periods:
    """Records of continuous appliances of one model."""

    def __init__(self, seed: int, appliances: Sequence[Appliance], members: Sequence[int], period_s: float) -> None:
        self._view = ContinuousView(seed, appliances, averaged=True)
        self._members = np.array(members, np.int64)
        self._steps = np.arange(0.0, DAY, period_s)
        self.model = appliances[0].model.model
        self._names = _names(self._view.channels)

    def records(self, day: int) -> Records:
        """The records of one day, without those of silent devices."""
        at = (day * DAY + self._steps).reshape(-1, 1)
        hushed = silent(self._view.appliances, at)
        values = self._view.readings(at).astype(np.float32)
        said = ~hushed.reshape(-1)
        return Records(
            model=self.model,
            family=self._view.family.name,
            channels=self._names,
            devices=np.tile(self._members, len(at))[said],
            times=np.repeat(at[:, 0], len(self._members))[said],
            values=values.reshape(-1, values.shape[-1])[said],
        )


class _Runs:
    """Records of cyclic appliances of one model."""

    def __init__(self, seed: int, appliances: Sequence[Appliance], members: Sequence[int]) -> None:
        self._view = CyclicView(seed, appliances)
        self._members = np.array(members, np.int64)
        self.model = appliances[0].model.model
        self._names = _names(self._view.family.summary)

    def records(self, day: int) -> Records:
        """The runs that start on one day, by the time of their end."""
        cycles = self._view.cycles(day)
        heard = np.array(
            [not self._view.appliances[unit].silent_at(end) for unit, end in zip(cycles.unit, cycles.end, strict=True)],
            np.bool_,
        )
        order = np.lexsort((cycles.unit, cycles.end))
        order = order[heard[order]]
        return Records(
            model=self.model,
            family=self._view.family.name,
            channels=self._names,
            devices=self._members[cycles.unit[order]],
            times=cycles.end[order],
            values=cycles.features[order].astype(np.float32),
        )


def _by_model(appliances: Sequence[Appliance]) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for number, appliance in enumerate(appliances):
        groups.setdefault(appliance.model.model, []).append(number)
    return [groups[model] for model in sorted(groups)]


def _names(channels: Sequence[object]) -> tuple[str, ...]:
    return tuple(
        (MODE_PREFIX if getattr(channel, "role", "") == "mode" else "") + str(getattr(channel, "name", ""))
        for channel in channels
    )


def _joined(before: Records | None, after: Records) -> Records:
    if before is None or not len(before):
        return after
    times = np.concatenate((before.times, after.times))
    devices = np.concatenate((before.devices, after.devices))
    order = np.lexsort((devices, times))
    values = np.concatenate((before.values, after.values))
    return Records(after.model, after.family, after.channels, devices[order], times[order], values[order])


def _split(records: Records, at: float) -> tuple[Records, Records]:
    """The records before `at`, and the rest."""
    cut = int(np.searchsorted(records.times, at))
    head = (records.model, records.family, records.channels)
    early = Records(*head, records.devices[:cut], records.times[:cut], records.values[:cut])
    return early, Records(*head, records.devices[cut:], records.times[cut:], records.values[cut:])
