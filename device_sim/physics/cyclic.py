"""What washers, dishwashers and dryers share: when a household starts them, and how a run looks over time.

Usage figures are [K]. A day has three slots in which a run may start, apart enough that runs do not overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from device_sim.failure.modes import FailureMode
from device_sim.physics.families import Cycles
from device_sim.physics.units import Severities, Units
from device_sim.physics.weather import DAY
from device_sim.randomness import Floats, normal, uniform
from protocols.messages import Channel

SLOTS: Final = 3
_FIRST_SLOT_S: Final = 6.5 * 3600.0
_SLOT_S: Final = 5.3 * 3600.0
_JITTER_S: Final = 2.2 * 3600.0
_AFTER_FAILURE: Final = 0.35
"""How often a household still tries a machine that has failed, as a factor on its runs."""


@dataclass(frozen=True)
class Runs:
    """Runs that start on one day, one row a run, before their features are known.

    unit: index into the units. start: event time, s. number: unique within the unit, for random draws.
    program: index. units: all units of the call.
    """

    unit: NDArray[np.int64]
    start: Floats
    number: NDArray[np.int64]
    program: NDArray[np.int64]
    units: Units

    def __len__(self) -> int:
        return len(self.unit)

    def severity(self, severities: Severities, kind: str) -> Floats:
        """Severity of one kind, one value a run."""
        found = severities.get(kind)
        return np.zeros(len(self)) if found is None else found[0, self.unit]

    def spread(self, stream: str, deviation: float) -> Floats:
        """The unit's constant factor about 1, one value a run."""
        return self.units.spread(stream, deviation)[self.unit]

    def uniform(self, stream: str) -> Floats:
        """One uniform draw a run."""
        return uniform(self.units.keys[self.unit], self.number, stream)

    def normal(self, stream: str) -> Floats:
        """One normal draw a run."""
        return normal(self.units.keys[self.unit], self.number, stream)

    def revised(self, factor: float) -> Floats:
        """`factor` for runs under the revised firmware, 1 for the others."""
        return np.where(self.start >= self.units.revised_at[self.unit], factor, 1.0)

    def pressure(self) -> Floats:
        """Water pressure, 1 = usual: now and then a whole region has little for a day (no fault of anyone)."""
        day = (self.start // DAY).astype(np.int64)
        region = self.units.regions[self.unit]
        low = uniform(self.units.region_keys[region], day, "pressure") < 0.012
        return np.where(low, 0.45, 1.0) * (1.0 + 0.04 * self.normal("pressure"))


def household_runs(day: int, units: Units, severities: Severities, runs_a_person_day: float, weights: Floats) -> Runs:
    """The runs that households start on `day` (days since the epoch, UTC). weights: of the programs, sum 1."""
    slots = np.arange(SLOTS, dtype=np.int64).reshape(-1, 1)
    number = day * SLOTS + slots
    noon = np.full((1, 1), (day + 0.5) * DAY)
    chance = np.minimum((0.5 + units.members) * runs_a_person_day / SLOTS, 0.9)
    chance = np.where(units.on_holiday(noon)[0], 0.0, chance)
    for values in severities.values():
        chance = np.where(values[0] >= 1.0, chance * _AFTER_FAILURE, chance)
    slot, unit = np.nonzero(uniform(units.keys, number, "run") < chance)
    order = np.lexsort((slot, unit))
    slot, unit = slot[order], unit[order]
    chosen = day * SLOTS + slot
    keys = units.keys[unit]
    start = day * DAY + np.floor(_FIRST_SLOT_S + slot * _SLOT_S + _JITTER_S * uniform(keys, chosen, "start"))
    program = np.searchsorted(np.cumsum(weights)[:-1], uniform(keys, chosen, "program"), side="right")
    return Runs(unit.astype(np.int64), start, chosen, program.astype(np.int64), units)


@dataclass(frozen=True)
class Moment:
    """Where a machine is in its runs at some times: one row a time, phase 0 is idle.

    run: index of the latest run that has started (-1: none). done: of the latest that has ended (-1: none).
    fraction: how far into the phase, 0..1.
    """

    run: NDArray[np.int64]
    done: NDArray[np.int64]
    phase: NDArray[np.int64]
    fraction: Floats


def moments(at: Floats, cycles: Cycles) -> Moment:
    """Place each time of `at`, shape (times, 1), in the runs of one unit."""
    when = at[:, 0]
    run = np.searchsorted(cycles.start, when, side="right") - 1
    done = np.searchsorted(cycles.end, when, side="right") - 1
    if len(cycles) == 0:
        idle = np.zeros(len(when), np.int64)
        return Moment(run, done, idle, np.zeros(len(when)))
    into = when - cycles.start[run]
    ends = np.cumsum(cycles.phases[run], axis=1)
    place = (into[:, None] >= ends).sum(axis=1)
    running = (run >= 0) & (place < ends.shape[1])
    place = np.minimum(place, ends.shape[1] - 1)
    length = cycles.phases[run, place]
    begun = ends[np.arange(len(when)), place] - length
    fraction = np.where(running, (into - begun) / np.maximum(length, 1e-9), 0.0)
    return Moment(run, done, np.where(running, place + 1, 0), fraction)


class CyclicAppliance:
    """A family of machines that are started; subclasses say what a run is made of."""

    name: str
    annual_failure_rate: float
    modes: tuple[FailureMode, ...]
    channels: tuple[Channel, ...]
    summary: tuple[Channel, ...]
    runs_a_person_day: float
    program_weights: tuple[float, ...]

    def cycles(self, day: int, units: Units, severities: Severities) -> Cycles:
        """The runs that start on `day`, with their features and phases; see CyclicFamily."""
        runs = household_runs(day, units, severities, self.runs_a_person_day, np.array(self.program_weights))
        features, phases = self._run(runs, severities)
        phases = np.round(phases, 1)
        return Cycles(runs.unit, runs.start, runs.start + phases.sum(axis=1), runs.program, features, phases)

    def trace(self, at: Floats, units: Units, cycles: Cycles, severities: Severities) -> Floats:
        """Readings of one unit, shape (times, channels); see CyclicFamily."""
        place = moments(at, cycles)
        held = _held(cycles, place.done)
        return self._instant(at, units, cycles, place, held)

    def _run(self, runs: Runs, severities: Severities) -> tuple[Floats, Floats]:
        """Features (runs, summary channels) and phase lengths in s (runs, phases)."""
        raise NotImplementedError

    def _instant(self, at: Floats, units: Units, cycles: Cycles, place: Moment, held: Floats) -> Floats:
        """Readings (times, channels); `held` are the features of the latest finished run, NaN before the first."""
        raise NotImplementedError


def _held(cycles: Cycles, done: NDArray[np.int64]) -> Floats:
    if len(cycles) == 0:
        return np.full((len(done), cycles.features.shape[1]), np.nan)
    return np.where((done >= 0)[:, None], cycles.features[done], np.nan)
