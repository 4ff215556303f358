"""Rates and shares with their uncertainty. Pure.

Intervals are of 95 %. A rate is a count over time: Jeffreys' interval, the posterior Gamma(count + 1/2, time) under
Jeffreys' prior. A share is a count among so many: Wilson's score interval (1927). Comparisons are many at once, so that
what "rises" is chosen at a false-discovery rate of 5 % (Benjamini and Hochberg 1995).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import NamedTuple

from scipy.special import betainc, gammaincinv

Z95 = 1.959964


class Estimate(NamedTuple):
    """A figure with its interval of 95 %."""

    value: float
    low: float
    high: float


def rate(count: int, exposure: float) -> Estimate | None:
    """Events in a unit of exposure; None without exposure."""
    if exposure <= 0:
        return None
    low = float(gammaincinv(count + 0.5, 0.025)) / exposure if count else 0.0
    return Estimate(count / exposure, low, float(gammaincinv(count + 0.5, 0.975)) / exposure)


def share(count: int, among: int) -> Estimate | None:
    """Wilson's interval of a share; None among nobody."""
    if among <= 0:
        return None
    p, square = count / among, Z95 * Z95
    middle = (p + square / (2 * among)) / (1 + square / among)
    half = Z95 * sqrt(p * (1 - p) / among + square / (4 * among * among)) / (1 + square / among)
    return Estimate(p, max(0.0, middle - half), min(1.0, middle + half))


def chance_of_rise(count: int, exposure: float, count_before: int, exposure_before: float) -> float:
    """How likely so many events or more now would be, of all that there were, if the rate had not changed.

    Given their sum, the events of two Poisson spans fall binomially by exposure.
    """
    total = count + count_before
    if count == 0 or exposure <= 0 or exposure_before <= 0:
        return 1.0
    return float(betainc(count, total - count + 1, exposure / (exposure + exposure_before)))


def discoveries(chances: Sequence[float], false_share: float = 0.05) -> set[int]:
    """Which of many comparisons stand out, by place, so that at most this share of them is expected to be false."""
    order = sorted(range(len(chances)), key=chances.__getitem__)
    last = max((n for n, place in enumerate(order, 1) if chances[place] <= false_share * n / len(chances)), default=0)
    return set(order[:last])


def median_survival(steps: Iterable[tuple[float, bool, int]]) -> float | None:
    """The time by which half have ended, from (time, censored, how many) rows: Kaplan and Meier (1958).

    None when fewer than half have ended before the rest was censored: the median is beyond what was seen.
    """
    rows = sorted(steps, key=lambda row: (row[0], row[1]))  # at the same time, ends come before censorings
    at_risk, alive = sum(count for _, _, count in rows), 1.0
    for time, censored, count in rows:
        if not censored:
            alive *= 1 - count / at_risk
            if alive <= 0.5:
                return time
        at_risk -= count
    return None
