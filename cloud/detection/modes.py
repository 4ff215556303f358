"""Operating modes: readings are standardised within the mode that runs, found from the ``op.*`` channels.

Modes are found, not declared: settings that fall on at most ``MOST`` distinct points, at a resolution of
a tenth of their spread, are modes; settings that vary without such points (noise around one operating
point, or a continuous control) leave one mode.  For each mode and channel the family keeps mean and
variance (Welford), learnt from all devices; a reading becomes (x - mean of mode) / sd of mode, so that a
change of mode is no symptom.  With a single mode readings pass unchanged; when a second one is found, or so
many that they are none, ``units`` goes up: what was learnt of readings before says nothing of those that come.
"""

from __future__ import annotations

import numpy as np

from cloud.detection.records import Floats, Ints

MOST = 16
RESOLUTION = 0.1
NEEDED = 5.0  # samples in a mode before its own statistics count
CONSTANT = 1e-9  # of a mean: differences up to this are rounding


class OperatingModes:
    """Modes of a family whose devices send ``settings`` operating channels and ``width`` readings."""

    def __init__(self, settings: int, width: int) -> None:
        self.settings, self.width = settings, width
        self.points = np.zeros((0, settings))
        self.low = np.full(settings, np.inf)
        self.high = np.full(settings, -np.inf)
        self.continuous = False
        self.units = 0
        self.count = np.zeros((0, width))
        self.mean = np.zeros((0, width))
        self.var = np.zeros((0, width))

    def standardise(self, settings: Floats, values: Floats) -> Floats:
        """Readings relative to their mode.  ``settings`` (n, M) and ``values`` (n, C), NaN = no reading."""
        if not self.settings or self.continuous:
            return values
        as_they_are = len(self.points) < 2
        mode = self._modes(settings)
        if mode.max(initial=0) >= len(self.points):
            mode = self._modes(settings)  # points were merged on the way
        self.units += as_they_are != (self.continuous or len(self.points) < 2)
        if self.continuous or len(self.points) < 2:
            self._learn(mode, values)
            return values
        self._learn(mode, values)
        ready = self.count[mode] >= NEEDED
        off, rounding = values - self.mean[mode], CONSTANT * (np.abs(self.mean[mode]) + 1.0)
        relative = np.where(np.abs(off) <= rounding, 0.0, off / (np.sqrt(self.var[mode]) + rounding))
        return np.where(ready, relative, np.nan)

    def _modes(self, settings: Floats) -> Ints:
        known = np.where(np.isfinite(settings), settings, 0.0)
        self.low = np.minimum(self.low, known.min(axis=0))
        self.high = np.maximum(self.high, known.max(axis=0))
        radius = RESOLUTION * (self.high - self.low) + 1e-12
        found = np.zeros(len(known), np.int64)
        for i, point in enumerate(known):
            gaps = (np.abs(self.points - point) / radius).max(axis=1, initial=0.0) if len(self.points) else None
            if gaps is not None and gaps.min() <= 1.0:
                found[i] = int(gaps.argmin())
            elif len(self.points) < MOST or self._merge(radius):
                found[i] = len(self.points)
                self._add(point)
            else:
                self.continuous = True
                return found
        return found

    def _merge(self, radius: Floats) -> bool:
        """Early points lie close together because the spread was not known yet; was there one to merge?"""
        keep: list[int] = []
        for i, point in enumerate(self.points):
            near = [k for k in keep if (np.abs(self.points[k] - point) / radius).max(initial=0.0) <= 1.0]
            if near:
                self.count[near[0]] += self.count[i]
            else:
                keep.append(i)
        merged = len(keep) < len(self.points)
        for name in ("points", "count", "mean", "var"):
            setattr(self, name, getattr(self, name)[keep])
        return merged

    def _add(self, point: Floats) -> None:
        self.points = np.concatenate([self.points, point[None]])
        for name in ("count", "mean", "var"):
            setattr(self, name, np.concatenate([getattr(self, name), np.zeros((1, self.width))]))

    def _learn(self, mode: Ints, values: Floats) -> None:
        for m in np.unique(mode):
            x = values[mode == m]
            ok = np.isfinite(x)
            n = ok.sum(axis=0)
            have = self.count[m]
            total = have + n
            x = np.where(ok, x, 0.0)
            batch = x.sum(axis=0) / np.maximum(n, 1)
            off = batch - self.mean[m]
            inner = (np.where(ok, x - batch, 0.0) ** 2).sum(axis=0)
            safe = np.maximum(total, 1)
            self.var[m] = (self.var[m] * have + inner + off**2 * have * n / safe) / safe
            self.mean[m] = self.mean[m] + off * n / safe
            self.count[m] = total
