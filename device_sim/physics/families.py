"""The port that each appliance family fills: its channels, its failure modes, how it looks at an instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from device_sim.failure.modes import FailureMode
from device_sim.physics.units import Severities, Units
from device_sim.randomness import Floats
from protocols.messages import Channel


@dataclass(frozen=True, slots=True)
class Cycles:
    """Runs of cyclic appliances, ordered by unit and start.

    unit: index into the units. start, end: event time in s. program: index into the family's programs.
    features: shape (cycles, features), in the order of the family's `summary`. phases: seconds of each phase,
    shape (cycles, phases).
    """

    unit: NDArray[np.int64]
    start: Floats
    end: Floats
    program: NDArray[np.int64]
    features: Floats
    phases: Floats

    def __len__(self) -> int:
        return len(self.unit)


class Family(Protocol):
    """What every family says of itself."""

    @property
    def name(self) -> str: ...

    @property
    def annual_failure_rate(self) -> float:
        """Failures a device-year in the middle of its life, before age and season."""
        ...

    @property
    def modes(self) -> tuple[FailureMode, ...]: ...

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels of a sample as a driver reads it."""
        ...

    @property
    def summary(self) -> tuple[Channel, ...]:
        """The channels of a bulk record: an hour's means, or one cycle's features."""
        ...


class ContinuousFamily(Family, Protocol):
    """An appliance that always runs: a fridge, an air conditioner, a water heater."""

    def observe(self, at: Floats, units: Units, severities: Severities, averaged: bool) -> Floats:
        """Readings, shape (times, units, channels), at event times `at` of shape (times, 1).

        averaged: means over some minutes to an hour instead of the instant (a compressor half on).
        """
        ...


class CyclicFamily(Family, Protocol):
    """An appliance that runs when it is started: a washer, a dishwasher, a dryer."""

    def cycles(self, day: int, units: Units, severities: Severities) -> Cycles:
        """The cycles that start on day `day` since the epoch (UTC). Severities have shape (1, units)."""
        ...

    def trace(self, at: Floats, units: Units, cycles: Cycles, severities: Severities) -> Floats:
        """Readings of ONE unit, shape (times, channels); `cycles` are its own from the day before on."""
        ...
