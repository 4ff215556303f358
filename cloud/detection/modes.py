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

from cloud.detection.compiled import Bools2, Floats1, Floats2, Given2, Ints1, compiled
from cloud.detection.records import Bools, Floats, Ints

MOST = 16
RESOLUTION = 0.1
NEEDED = 5.0  # samples in a mode before its own statistics count
LEAST_SD = 0.1  # of a device, in those of its mode: the mode's own mean is not known better [K]
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

    @property
    def relative(self) -> bool:
        """Whether readings are returned relative to their mode."""
        return len(self.points) > 1 and not self.continuous

    @property
    def least_sd(self) -> float:
        """Standard deviation that a device's readings have at least, as they are returned."""
        return LEAST_SD if self.relative else 0.0

    def standardise(self, settings: Floats, values: Floats, seen: Bools) -> tuple[Floats, Bools]:
        """Readings relative to their mode, and which there are.  ``settings`` (n, M), NaN = not known; ``values``
        (n, C) count where ``seen``."""
        if not self.settings or self.continuous:
            return values, seen
        before = self.relative
        mode = self._modes(settings)
        if mode.max(initial=0) >= len(self.points):
            mode = self._modes(settings)  # points were merged on the way
        self.units += self.relative != before
        _learn(mode, values, seen, self.count, self.mean, self.var)
        if not self.relative:
            return values, seen
        return _relative(mode, values, seen, self.count, self.mean, self.var)

    def _modes(self, settings: Floats) -> Ints:
        known = np.where(np.isfinite(settings), settings, 0.0)
        found = _nearest(known, self.points, self.low, self.high)
        for i in np.flatnonzero(found < 0).tolist():
            found[i] = _nearest(known[i : i + 1], self.points, self.low, self.high)[0]  # one of those just added?
            if found[i] >= 0:
                continue
            if len(self.points) == MOST and not self._merge():
                self.continuous = True
                return np.zeros(len(known), np.int64)
            found[i] = len(self.points)
            self._add(known[i])
        return found

    def _merge(self) -> bool:
        """Early points lie close together because the spread was not known yet; was there one to merge?"""
        radius = RESOLUTION * (self.high - self.low) + 1e-12
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


@compiled
def _nearest(known: Floats2, points: Floats2, low: Floats1, high: Floats1) -> Ints:
    """The point that each of the ``known`` settings (n, M) falls on, -1 if on none; their range is followed."""
    found = np.full(len(known), -1)
    for i in range(len(known)):
        for m in range(len(low)):
            low[m], high[m] = min(low[m], known[i, m]), max(high[m], known[i, m])
    for i in range(len(known)):
        least = 1.0
        for k in range(len(points)):
            gap = 0.0
            for m in range(len(low)):
                gap = max(gap, abs(points[k, m] - known[i, m]) / (RESOLUTION * (high[m] - low[m]) + 1e-12))
            if gap < least or (gap == 1.0 and found[i] < 0):
                found[i], least = k, gap
    return found


@compiled
def _learn(  # noqa: PLR0917 - the modes' arrays
    mode: Ints1, values: Given2, seen: Bools2, count: Floats2, mean: Floats2, var: Floats2
) -> None:
    """Take the readings into mean and variance of their modes (Welford 1962)."""
    for i in range(len(mode)):
        m = mode[i]
        for c in range(values.shape[1]):
            if seen[i, c]:
                n = count[m, c] + 1.0
                step = values[i, c] - mean[m, c]
                mean[m, c] += step / n
                var[m, c] += (step * (values[i, c] - mean[m, c]) - var[m, c]) / n
                count[m, c] = n


@compiled
def _relative(  # noqa: PLR0917 - the modes' arrays
    mode: Ints1, values: Given2, seen: Bools2, count: Floats2, mean: Floats2, var: Floats2
) -> tuple[Floats, Bools]:
    """Readings in standard deviations from the mean of their mode, and which are known well enough to say so."""
    relative, ready = np.zeros(values.shape), np.zeros(values.shape, np.bool_)
    for i in range(len(mode)):
        m = mode[i]
        for c in range(values.shape[1]):
            if not (seen[i, c] and count[m, c] >= NEEDED):
                continue
            ready[i, c] = True
            off, rounding = values[i, c] - mean[m, c], CONSTANT * (abs(mean[m, c]) + 1.0)
            if abs(off) > rounding:
                relative[i, c] = off / (np.sqrt(max(var[m, c], 0.0)) + rounding)
    return relative, ready
