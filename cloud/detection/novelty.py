"""Surprise in a lone channel: how far it goes beyond everything that it has done before.

A device with one channel has no other channel to check it against and, unless it cycles, no structure
but time.  Several plain statistics of it are followed (jump from the smoothed value, change between a
short and a long mean, roughness); each is compared with the greatest value that it has had, slowly
forgotten: s = log(statistic / greatest before).  Records of a stationary series come ever more rarely
(with probability 1/n at sample n; Renyi 1962), and each record raises the bar, so that s is sparse by
itself: the second time, the same is no news.
"""

from __future__ import annotations

import numpy as np

from cloud.detection.compiled import Bools1, Floats1, Floats2, Ints1, compiled
from cloud.detection.growing import grow
from cloud.detection.records import Bools, Floats, Ints

SPANS = np.array([10.0, 30.0, 100.0, 300.0])
ALPHA = 2.0 / (SPANS + 1.0)
LEAST = 50
NO_RECORD = -5.0
FORGET = float(np.exp(-1.0 / 15000.0))


class RecordBook:
    """The greatest values so far of each device's statistics."""

    ARRAYS = ("smooth", "rough", "greatest", "samples")

    def __init__(self) -> None:
        self.smooth = np.zeros((0, len(SPANS)))
        self.rough = np.zeros(0)
        self.greatest = np.zeros((0, 6))
        self.samples = np.zeros(0)

    def grow(self, devices: int) -> None:
        """Room for at least ``devices`` rows."""
        grow(self, self.ARRAYS, devices)

    def forget(self, row: int) -> None:
        """The device starts afresh."""
        for name in self.ARRAYS:
            getattr(self, name)[row] = 0.0

    def observe(self, rows: Ints, x: Floats, seen: Bools) -> Floats:
        """One reading ``x`` (n,) of each device: log of the record's margin, -5 where there is none."""
        return _margins(rows, x, seen, self.smooth, self.rough, self.greatest, self.samples)


@compiled
def _margins(  # noqa: PLR0917 - the book's arrays
    rows: Ints1, x: Floats1, seen: Bools1, smooth: Floats2, rough: Floats1, greatest: Floats2, samples: Floats1
) -> Floats:
    """See :meth:`RecordBook.observe`."""
    margins = np.full(len(rows), NO_RECORD)
    jump, found = np.empty(len(ALPHA)), np.empty(greatest.shape[1])
    for i in range(len(rows)):
        if not seen[i]:
            continue
        row, known = rows[i], samples[rows[i]]
        for k in range(len(ALPHA)):
            before = smooth[row, k] if known > 0 else x[i]
            jump[k] = abs(x[i] - before)
            smooth[row, k] = before + max(ALPHA[k], 1.0 / (known + 1.0)) * (x[i] - before)
            if k >= 2:  # how far a short mean has gone from what a long one was
                found[k] = abs(smooth[row, k - 2] - before)
        rough[row] += ALPHA[0] * (jump[0] - rough[row])
        found[0], found[1], found[4], found[5] = jump[0], jump[2], rough[row], jump[1]
        for k in range(len(found)):
            margin = np.log((found[k] + 1e-12) / (greatest[row, k] + 1e-12))
            if known + 1.0 >= LEAST:
                margins[i] = max(margins[i], margin)
            greatest[row, k] = max(greatest[row, k] * FORGET, found[k])
        samples[row] = known + 1.0
    return margins
