"""A device as a row of numbers: what the supervised model sees of it, worked out for many devices at once.

For each channel, how far its EWMA at the two slow spans lies from the device's own normal *and* from where
the cohort as a whole has gone, in standard deviations d; each d becomes two features, log(1 + d/2) above and
below.  What moves all of a cohort (a season, a revised firmware) is no feature of one device: the cohort's
median is taken off, where there are ``LEAST`` of it to have one.  A change of the fleet reaches the slow spans
of devices that run seldom at different times, the busiest first: where the latest readings of such a cohort have
moved, all that lies between its median and where they point to is explained.  To these come the surprise of the bank,
how many channels are off, and the signs of its codes (:mod:`cloud.detection.code_memory`).

The standard deviation of a difference is that of a normal EWMA and of the baseline itself, 1/n for one learnt
from n readings: a device that is hardly known is judged with the reserve that this asks for.
"""

from __future__ import annotations

import numpy as np

from cloud.detection.bank import ChannelBank
from cloud.detection.code_memory import MOST_CODES, SIGNS, CodeMemory
from cloud.detection.records import Bools, Floats, Ints

LEAST = 8  # devices of a cohort that have a median worth the name
MEDIAN_EVERY_S = 6 * 3600.0
HEARD_S = 14 * 86400.0
LATEST_S = 2 * 86400.0
MOVED = 5.0  # standard errors of a median, from which on it is not chance
FAR = 3.0  # standard deviations beyond which a channel counts as off
SURPRISED = 2.0


class Portraits:
    """Features of the devices of a family with ``width`` channels."""

    def __init__(self, width: int, scales: int) -> None:
        self.width = width
        self.spans = tuple(range(max(scales - 2, 0), scales))
        self.common = np.zeros((2, 1, len(self.spans), width))  # from and to where a cohort's devices are explained
        self.common_at = -np.inf

    @property
    def features(self) -> int:
        """How many features a device has."""
        return 2 * len(self.spans) * self.width + 2 + len(SIGNS) + MOST_CODES

    def follow_cohorts(self, bank: ChannelBank, cohort: Ints, heard_at: Floats, at: float) -> None:
        """Where the cohorts have gone by event time ``at``; looked at once in ``MEDIAN_EVERY_S``."""
        if at - self.common_at < MEDIAN_EVERY_S:
            return
        self.common_at = at
        cohorts = int(cohort.max(initial=0)) + 1
        self.common = np.zeros((2, cohorts, len(self.spans), self.width))
        heard = at - heard_at <= HEARD_S
        for c in range(cohorts):
            members = np.flatnonzero(heard & (cohort == c))
            if len(members) < LEAST:
                continue
            median = np.median(self._away(bank, members, cohort[members]), axis=0)
            whither = self._pointing(bank, members, at - heard_at[members], median)
            self.common[:, c] = np.minimum(median, whither), np.maximum(median, whither)

    def _pointing(self, bank: ChannelBank, members: Ints, unheard_s: Floats, median: Floats) -> Floats:
        """Where the slow spans of a cohort are going by its latest readings, in standard deviations: its ``median``
        where those have not moved, or devices are heard so often that they move together."""
        latest = members[unheard_s <= LATEST_S]
        if len(latest) < LEAST or 2 * np.count_nonzero(unheard_s <= MEDIAN_EVERY_S) > len(members):
            return median
        moved = np.median(bank.smooth[0, latest], axis=0)
        certain = np.abs(moved) > MOVED * 1.25 / np.sqrt(len(latest))  # 1.25: of a median, for normal readings
        return np.where(certain, moved / bank.spread[list(self.spans)], median)

    def _away(self, bank: ChannelBank, rows: Ints, cohort: Ints) -> Floats:
        """Distance from normal of each channel at the slow spans, in standard deviations: (n, spans, width)."""
        known = bank.count[rows] + bank.cohort_weight[cohort]
        spread = bank.spread[list(self.spans)]
        sd = np.sqrt(spread**2 + 1.0 / np.maximum(known, 1.0)[:, None, :])
        return np.asarray(bank.smooth[self.spans[0] :][:, rows].swapaxes(0, 1) / sd)

    def of(  # noqa: PLR0917 - one array each
        self, bank: ChannelBank, rows: Ints, cohort: Ints, at: Floats, surprise: Floats, codes: CodeMemory
    ) -> tuple[Floats, Bools]:
        """Features (n, features) of ``rows`` at event times ``at``, and which rows show anything at all."""
        low, high = self.common[:, np.minimum(cohort, self.common.shape[1] - 1)]
        away = self._away(bank, rows, cohort)
        away = (away - np.clip(away, low, high)).reshape(len(rows), -1)
        size = np.log1p(0.5 * np.abs(away))
        out = np.zeros((len(rows), self.features))
        n = away.shape[1]
        out[:, :n] = np.where(away > 0, size, 0.0)
        out[:, n : 2 * n] = np.where(away < 0, size, 0.0)
        far = np.abs(away) > FAR
        out[:, 2 * n] = np.log1p(np.maximum(surprise, 0.0))
        out[:, 2 * n + 1] = np.log1p(far.sum(axis=1))
        stirred = far.any(axis=1) | (surprise > SURPRISED)
        start = 2 * n + 2
        for i in codes.spoken(rows):
            signs, own = codes.signs(int(rows[i]), int(cohort[i]), float(at[i]))
            out[i, start : start + len(SIGNS)] = signs
            for column, value in own.items():
                out[i, start + len(SIGNS) + column] = value
            stirred[i] = True
        return out, stirred
