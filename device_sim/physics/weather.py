"""Outdoor and indoor temperature by region, day of the year and hour. All figures [K]: a temperate climate."""

from __future__ import annotations

from typing import Final

import numpy as np

from device_sim.randomness import Floats, Keys, smooth

REGIONS: Final = 8
DAY: Final = 86_400.0
YEAR: Final = 365.2425 * DAY

_WARMEST_DAY: Final = 201.0  # 20 July, northern hemisphere
_WARMEST_HOUR: Final = 15.0


def outdoor(at: Floats, region_keys: Keys) -> Floats:
    """Outdoor temperature in deg C, shape (times, regions): season, day and night, and weather of some days.

    `at` is event time in s, shape (times, 1); `region_keys` has shape (regions,).
    """
    day_of_year = (at % YEAR) / DAY
    hour = (at % DAY) / 3600.0
    season = 13.5 + 11.0 * np.cos(2 * np.pi * (day_of_year - _WARMEST_DAY) / 365.2425)
    daily = 5.0 * np.cos(2 * np.pi * (hour - _WARMEST_HOUR) / 24.0)
    return season + daily + 3.5 * smooth(region_keys, at, 3.2 * DAY, "weather")


def indoor(outside: Floats) -> Floats:
    """Temperature of a room without cooling, deg C: heated in winter, warmed through its walls in summer."""
    return 21.0 + 0.45 * np.maximum(outside - 19.0, 0.0) - 0.08 * np.maximum(8.0 - outside, 0.0)


def humidity(at: Floats, region_keys: Keys, outside: Floats) -> Floats:
    """Relative humidity in a room, per cent."""
    return np.clip(48.0 + 0.5 * (outside - 12.0) + 6.0 * smooth(region_keys, at, 1.7 * DAY, "humidity"), 20.0, 90.0)


def mains_water(at: Floats) -> Floats:
    """Temperature of cold mains water, deg C: the season, damped and a month late."""
    return 12.5 + 6.0 * np.cos(2 * np.pi * ((at % YEAR) / DAY - _WARMEST_DAY - 30.0) / 365.2425)
