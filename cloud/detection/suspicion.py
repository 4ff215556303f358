"""Suspicion without supervision: from each source's statistic to a probability, taught by outcomes.

Sources: ``surprise`` of the bank (several channels), ``cycles`` that have grown, and ``novelty`` of a lone
channel.  Each has its own online calibration.  What an outcome teaches is the *peak* that the source
reached: a peak that outlives the horizon without a failure was wrong, where failures are reported at all;
a peak before a failure was right.  Both lessons are given at the same age, or the first failures would
teach that every suspicion is right before the false ones are known as such.  A failure that a learnt
conjunction explains is no credit to the anonymous suspicion beside it.
"""

from __future__ import annotations

from collections import deque
from typing import Annotated

import numpy as np
from numba import types

from cloud.detection.calibration import Platt
from cloud.detection.compiled import Bools1, Floats1, Floats2, Ints1, compiled
from cloud.detection.growing import grow
from cloud.detection.records import Floats, Ints

SOURCES = ("surprise", "cycles", "novelty")
QUIET = -5.0  # a source that says nothing
PEAK = 2.0  # a source that stood below this has said nothing that an outcome could confirm or refute
SUSPECTED = 0.2  # probability below which a device is not suspected [K]
KEPT_IN_MIND = 0.02
DAY_S = 86400.0

Calibrations = Annotated[tuple[Floats, ...], types.UniTuple(types.float64[::1], len(SOURCES))]


class Suspicions:
    """Peaks and calibrations of the sources for all devices of a family."""

    def __init__(self, settle_s: float) -> None:
        self.settle_s = settle_s  # age at which an outcome is known either way
        self.platt = (Platt(5.0, 1.5), Platt(5.5, 1.2), Platt(1.1, 4.0))
        self.lessons: deque[tuple[float, int, float, float]] = deque()  # due, source, statistic, weight
        self.peaks = np.zeros((0, len(SOURCES)))
        self.peak_at = np.zeros((0, len(SOURCES)))
        self.told = np.zeros(0)
        self.told_at = np.zeros(0)

    def grow(self, devices: int) -> None:
        """Room for at least ``devices`` rows."""
        grow(self, ("peaks",), devices, QUIET)
        grow(self, ("peak_at", "told", "told_at"), devices)

    def forget(self, row: int) -> None:
        """After a repair: what was suspected is settled."""
        self.peaks[row] = QUIET

    def learn_due(self, now: float) -> None:
        """Give the lessons of failures that are old enough by now."""
        while self.lessons and self.lessons[0][0] <= now:
            _, k, u, weight = self.lessons.popleft()
            self.platt[k].learn(u, True, weight)

    def remember(self, rows: Ints, at: Floats, statistics: Floats, silence_is_health: bool) -> None:
        """Follow the peaks, and settle those that have outlived their time."""
        stale, peaks = _follow_peaks(rows, at, statistics, self.settle_s, self.peaks, self.peak_at)
        if silence_is_health and len(stale):
            for k, u in zip(stale.tolist(), peaks.tolist(), strict=True):
                self.platt[k].learn(u, False)

    def failed(self, row: int, at: float, weight: float) -> None:
        """The device failed: its peaks were right, to be learnt when they are as old as false ones are.
        Peaks that did not amount to a suspicion (below ``SUSPECTED``) get no credit: named channels and
        codes explain such a failure better, and the many like peaks without one would be called next."""
        due = at + self.settle_s
        for k, platt in enumerate(self.platt):
            u = float(self.peaks[row, k])
            if u > PEAK and float(platt.probability(np.array(u))) >= SUSPECTED:
                self.lessons.append((due, k, u, weight))

    def judged(self, row: int, right: bool, weight: float) -> None:
        """An engineer's finding on what was suspected of the device."""
        for k, platt in enumerate(self.platt):
            if self.peaks[row, k] > PEAK:
                platt.learn(float(self.peaks[row, k]), right, weight)
        self.peaks[row] = QUIET

    def probability(self, statistics: Floats) -> Floats:
        """What the sources' ``statistics`` (n, sources) are worth: the greatest of their probabilities (n,)."""
        return _greatest(statistics, tuple([platt.weight for platt in self.platt]))

    def news(self, rows: Ints, at: Floats, probability: Floats) -> Floats:
        """Score of a lone channel, which cannot be cross-checked: what it says counts in full when it is
        news, that is, more than was said within the last day, and is kept in mind otherwise."""
        return _news(rows, at, probability, self.told, self.told_at)


@compiled
def _follow_peaks(  # noqa: PLR0917 - the suspicions' arrays
    rows: Ints1, at: Floats1, statistics: Floats2, settle_s: float, peaks: Floats2, peak_at: Floats2
) -> tuple[Ints, Floats]:
    """The sources and values of the peaks that have outlived their time; see :meth:`Suspicions.remember`."""
    stale, values = np.empty(statistics.size, np.int64), np.empty(statistics.size)
    count = 0
    for i in range(len(rows)):
        row = rows[i]
        for k in range(statistics.shape[1]):
            now, peak = statistics[i, k], peaks[row, k]
            if peak > PEAK and at[i] - peak_at[row, k] > settle_s and now < 0.5 * peak:
                stale[count], values[count] = k, peak
                count += 1
                peaks[row, k] = QUIET
            if now > peaks[row, k]:
                peaks[row, k], peak_at[row, k] = now, at[i]
    return stale[:count], values[:count]


@compiled
def _greatest(statistics: Floats2, calibrations: Calibrations) -> Floats:
    """See :meth:`Suspicions.probability`; ``calibrations`` are the intercept and slope of each source."""
    out = np.zeros(len(statistics))
    for i in range(len(statistics)):
        for k in range(statistics.shape[1]):
            u = statistics[i, k]
            if u > QUIET:
                intercept, slope = calibrations[k]
                out[i] = max(out[i], 0.5 + 0.5 * np.tanh(0.5 * (intercept + slope * u)))
    return out


@compiled
def _news(rows: Ints1, at: Floats1, probability: Floats1, told: Floats1, told_at: Floats1) -> Floats:
    """See :meth:`Suspicions.news`."""
    score = np.empty(len(rows))
    for i in range(len(rows)):
        row = rows[i]
        if probability[i] > 1.02 * told[row] or at[i] - told_at[row] > DAY_S:
            told[row], told_at[row] = probability[i], at[i]
            score[i] = probability[i]
        else:
            score[i] = KEPT_IN_MIND * probability[i]
    return score


@compiled
def hush(statistics: Floats2, young: Bools1) -> None:
    """The surprise of a young device says nothing, nor does the novelty of one that cycles."""
    for i in range(len(young)):
        if young[i]:
            statistics[i, 0] = QUIET
        if statistics[i, 1] > QUIET:
            statistics[i, 2] = QUIET
