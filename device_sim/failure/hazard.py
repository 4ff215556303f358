"""When an appliance fails: a bathtub over its age, seasons over the year, sampled by thinning.

Shape from domain facts, section 5: two to three times the rate in the first three months, wear-out after
about seven years (Weibull shape 2-3). [K]
"""

from __future__ import annotations

import math
import random
from typing import Final

from device_sim.failure.modes import FailureMode
from device_sim.physics.weather import DAY, YEAR

_INFANT_YEARS: Final = 0.15
_WEAR_YEARS: Final = 7.0


def bathtub(age_years: float, wear: str = "both") -> float:
    """The hazard at an age as a multiple of its middle-life value."""
    infant = 1.6 * math.exp(-age_years / _INFANT_YEARS) if wear in ("both", "infant") else 0.0
    worn = 1.2 * (age_years / _WEAR_YEARS) ** 1.5 if wear in ("both", "wear-out") else 0.0
    return 0.9 + infant + worn


def season_factor(at: float, season: str) -> float:
    """The hazard's season: refrigeration fails most in July (domain facts, section 5); mean 1."""
    if season == "all":
        return 1.0
    phase = 2 * math.pi * ((at % YEAR) / DAY - 201.0) / 365.2425
    return 1.0 + 0.6 * math.cos(phase if season == "summer" else phase + math.pi)


def next_failure(
    rng: random.Random, mode: FailureMode, annual_rate: float, *, born_at: float, after: float, before: float
) -> float | None:
    """The next moment of failure in (after, before), or None: Lewis and Shedler's thinning (1979).

    annual_rate: of this mode, failures a device-year in middle life. Times are event time in s.
    """
    ceiling = annual_rate * 1.6 * max(
        bathtub(max(after - born_at, 0.0) / YEAR, mode.wear), bathtub((before - born_at) / YEAR, mode.wear)
    )  # fmt: skip
    if ceiling <= 0.0:
        return None
    at = after
    while True:
        at += rng.expovariate(ceiling) * YEAR
        if at >= before:
            return None
        hazard = annual_rate * bathtub(max(at - born_at, 0.0) / YEAR, mode.wear) * season_factor(at, mode.season)
        if rng.random() * ceiling < hazard:
            return at
