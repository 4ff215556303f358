"""A household: how many live there, when they are away, and so when somebody notices. Figures [K]."""

from __future__ import annotations

import random
from dataclasses import dataclass

from device_sim.physics.weather import DAY, REGIONS


@dataclass(frozen=True, slots=True)
class Household:
    """The people around an appliance.

    members: persons. away: share of weekday hours with nobody at home. region: index of weather and water.
    hardness: of the water, deg dH. attentive: factor on the time until they notice (below 1: sooner).
    """

    members: int
    away: float
    region: int
    hardness: float
    attentive: float

    @classmethod
    def drawn(cls, rng: random.Random) -> Household:
        """A household of a mixed population: 1-5 persons, one in three homes empty on working days."""
        region = rng.randrange(REGIONS)
        return cls(
            members=rng.choices((1, 2, 3, 4, 5), weights=(34, 34, 14, 13, 5))[0],
            away=rng.choice((0.1, 0.4, 0.85)),
            region=region,
            hardness=max(2.0, 6.0 + 2.2 * region + rng.gauss(0.0, 1.5)),
            attentive=rng.lognormvariate(0.0, 0.4),
        )

    def is_home(self, at: float) -> bool:
        """Whether somebody is up and at home at event time `at` (s): nights and empty weekdays are not."""
        hour = (at % DAY) / 3600.0
        if hour < 6.5 or hour > 23.0:
            return False
        weekday = (int(at // DAY) + 3) % 7 < 5
        return not (weekday and 8.0 < hour < 17.0 and self.away > 0.5)

    def next_home(self, at: float) -> float:
        """The first quarter of an hour from `at` on when somebody is at home."""
        while not self.is_home(at):
            at += 900.0
        return at
