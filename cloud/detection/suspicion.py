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

import numpy as np

from cloud.detection.calibration import Platt
from cloud.detection.records import Floats, Ints

SOURCES = ("surprise", "cycles", "novelty")
QUIET = -5.0  # a source that says nothing
PEAK = 2.0  # a source that stood below this has said nothing that an outcome could confirm or refute
SUSPECTED = 0.2
KEPT_IN_MIND = 0.02
DAY_S = 86400.0


class Suspicions:
    """Peaks and calibrations of the sources for all devices of a family."""

    ARRAYS = ("peaks", "peak_at", "told", "told_at")

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
        have = len(self.told)
        if devices > have:
            more = max(devices, 2 * have) - have
            for name in self.ARRAYS:
                old = getattr(self, name)
                fill = QUIET if name == "peaks" else 0.0
                setattr(self, name, np.concatenate([old, np.full((more, *old.shape[1:]), fill)]))

    def forget(self, row: int) -> None:
        """After a repair: what was suspected is settled."""
        self.peaks[row] = QUIET

    def learn_due(self, now: float) -> None:
        """Give the lessons of failures that are old enough by now."""
        while self.lessons and self.lessons[0][0] <= now:
            _, k, u, weight = self.lessons.popleft()
            self.platt[k].learn(u, True, weight)

    def remember(self, view: Ints | slice, at: Floats, statistics: Floats, silence_is_health: bool) -> None:
        """Follow the peaks, and settle those that have outlived their time."""
        peaks, when = self.peaks[view], self.peak_at[view]
        stale = (at[:, None] - when > self.settle_s) & (peaks > PEAK)
        stale &= statistics < 0.5 * peaks
        if stale.any():
            if silence_is_health:
                for i, k in np.argwhere(stale):
                    self.platt[k].learn(float(peaks[i, k]), False)
            peaks = np.where(stale, QUIET, peaks)
        higher = statistics > peaks
        self.peaks[view] = np.where(higher, statistics, peaks)
        self.peak_at[view] = np.where(higher, at[:, None], when)

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
        probability = np.zeros(len(statistics))
        for k, (platt, top) in enumerate(zip(self.platt, statistics.max(axis=0).tolist(), strict=True)):
            if top > QUIET:
                u = statistics[:, k]
                np.maximum(probability, np.where(u > QUIET, platt.probability(u), 0.0), out=probability)
        return probability

    def news(self, view: Ints | slice, at: Floats, probability: Floats) -> Floats:
        """Score of a lone channel, which cannot be cross-checked: what it says counts in full when it is
        news, that is, more than was said within the last day, and is kept in mind otherwise."""
        told, told_at = self.told[view], self.told_at[view]
        news = (probability > 1.02 * told) | (at - told_at > DAY_S)
        self.told[view] = np.where(news, probability, told)
        self.told_at[view] = np.where(news, at, told_at)
        return np.where(news, probability, KEPT_IN_MIND * probability)
