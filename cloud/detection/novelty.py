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

from cloud.detection.records import Bools, Floats, Ints

SPANS = np.array([10.0, 30.0, 100.0, 300.0])
ALPHA = 2.0 / (SPANS + 1.0)
LEAST = 50
FORGET = float(np.exp(-1.0 / 15000.0))


class RecordBook:
    """The greatest values so far of each device's statistics."""

    def __init__(self) -> None:
        self.capacity = 0
        self.smooth = np.zeros((0, len(SPANS)))
        self.rough = np.zeros(0)
        self.greatest = np.zeros((0, 6))
        self.samples = np.zeros(0)

    def grow(self, devices: int) -> None:
        """Room for at least ``devices`` rows."""
        if devices > self.capacity:
            more = max(devices, 2 * self.capacity) - self.capacity
            for name in ("smooth", "rough", "greatest", "samples"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros((more, *old.shape[1:]))]))
            self.capacity += more

    def forget(self, row: int) -> None:
        """The device starts afresh."""
        for name in ("smooth", "rough", "greatest", "samples"):
            getattr(self, name)[row] = 0.0

    def observe(self, rows: Ints | slice, x: Floats, seen: Bools) -> Floats:
        """One reading ``x`` (n,) of each device: log of the record's margin, -5 where there is none."""
        samples = self.samples[rows]
        before = np.where((samples == 0)[:, None], x[:, None], self.smooth[rows])
        rate = np.maximum(ALPHA, 1.0 / (samples[:, None] + 1.0)) * seen[:, None]
        smooth = before + rate * (x[:, None] - before)
        jump = np.abs(x[:, None] - before)
        rough = self.rough[rows]
        rough = rough + ALPHA[0] * seen * (jump[:, 0] - rough)
        shift = np.abs(smooth[:, :2] - before[:, 2:])
        found = np.concatenate([jump[:, :3:2], shift, rough[:, None], jump[:, 1:2]], axis=1)
        greatest = self.greatest[rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            margin = np.log((found + 1e-12) / (greatest + 1e-12)).max(axis=1)
        self.smooth[rows], self.rough[rows] = smooth, rough
        self.greatest[rows] = np.where(seen[:, None], np.maximum(greatest * FORGET, found), greatest)
        self.samples[rows] = samples + seen
        return np.where(seen & (samples >= LEAST), np.maximum(margin, -5.0), -5.0)
