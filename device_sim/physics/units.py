"""What distinguishes one appliance from another of its model, as arrays over all appliances of a family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device_sim.physics.weather import DAY, REGIONS, outdoor
from device_sim.randomness import Floats, Keys, key, normal, uniform

Severities = Mapping[str, Floats]
"""Severity 0..1 by kind of fault, each of shape (times, units) or a shape that broadcasts to it."""

HEALTHY: Floats = np.zeros((1, 1))


def severity(severities: Severities, kind: str) -> Floats:
    """The severity of one kind; zero where the fault is absent."""
    return severities.get(kind, HEALTHY)


@dataclass(frozen=True)
class Units:
    """The appliances that one call simulates; each array has shape (units,).

    keys: randomness of the device. regions: index of the weather region. region_keys: randomness of all
    regions, shape (REGIONS,). members: persons in the household. away: share of weekday hours that the home
    stands empty. hardness: of the water, deg dH. load_factor: the model's design spread, about 1.
    revised_at: event time in s from which a revised firmware runs (infinite: never).
    """

    keys: Keys
    regions: NDArray[np.int64]
    region_keys: Keys
    members: Floats
    away: Floats
    hardness: Floats
    load_factor: Floats
    revised_at: Floats

    def __len__(self) -> int:
        return len(self.keys)

    def spread(self, stream: str, deviation: float) -> Floats:
        """A factor about 1 that differs from unit to unit and never changes: tolerances of manufacture."""
        return np.maximum(1.0 + deviation * self.offset(stream), 0.3)

    def offset(self, stream: str) -> Floats:
        """A constant of the unit, normal with deviation 1."""
        return normal(self.keys, np.zeros(1, np.int64), f"unit/{stream}")

    def outdoor(self, at: Floats) -> Floats:
        """Outdoor temperature, deg C, shape (times, units)."""
        return outdoor(at, self.region_keys)[:, self.regions]

    def activity(self, at: Floats) -> Floats:
        """How busy a household is, 0 (away) to about 2 (evening), shape (times, units), mean about 0.8."""
        return _rhythm(at) * np.where(self._home_empty(at), 0.15, 1.0) * (0.55 + 0.18 * self.members)

    def on_holiday(self, at: Floats) -> NDArray[np.bool_]:
        """Whether the household is away for days: one fortnight in twenty, its middle nine days [K]."""
        fortnight = np.floor(at / (14 * DAY))
        into = at / DAY - 14 * fortnight
        leaving = uniform(self.keys, fortnight.astype(np.int64), "holiday") < 0.05
        return np.asarray(leaving & (into > 2.5) & (into < 11.5))

    def _home_empty(self, at: Floats) -> NDArray[np.bool_]:
        hour = (at % DAY) / 3600.0
        weekday = ((np.floor(at / DAY) + 3) % 7) < 5  # 1 January 1970 was a Thursday
        out = uniform(self.keys, np.floor(at / DAY).astype(np.int64), "out") < self.away
        return np.asarray((weekday & (hour > 8.0) & (hour < 17.0) & out) | self.on_holiday(at))

    def revised(self, at: Floats) -> NDArray[np.bool_]:
        """Whether the revised firmware runs, shape (times, units)."""
        return np.asarray(at >= self.revised_at)


def _rhythm(at: Floats) -> Floats:
    hour = (at % DAY) / 3600.0
    morning = np.maximum(0.0, 1.0 - np.abs(hour - 7.5) / 2.5)
    noon = 0.7 * np.maximum(0.0, 1.0 - np.abs(hour - 12.5) / 2.0)
    evening = 1.6 * np.maximum(0.0, 1.0 - np.abs(hour - 19.0) / 4.0)
    return np.asarray(0.15 + morning + noon + evening)


def region_keys(seed: int) -> Keys:
    """The randomness of every region's weather."""
    return np.array([key(seed, f"region/{number}") for number in range(REGIONS)], np.uint64)


def column(values: Sequence[float]) -> Floats:
    """Event times as a column of shape (times, 1)."""
    return np.asarray(values, np.float64).reshape(-1, 1)
