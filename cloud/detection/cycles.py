"""Cycle features: appliances that work in cycles keep normal values while their cycles grow.

A channel *cycles* when it rests near the bottom of its range for a good part of the time and is hardly
ever between rest and work.  Its on-phases
are cut at a tenth of the range that it has itself shown (an off-delay of one sample bridges short gaps).
Each phase that ends has a length, the rest before it and a mean level; its log length is predicted from
the device's own past phases that had a like rest and level (median of the k nearest neighbours), because
a dishwasher's second heating is always longer than its first and a fridge rests less when it runs more.

The residuals r are smoothed at several spans, e <- e + a (r - e), and compared with how far they wander
when nothing is wrong, z = e / sqrt(white s^2 + tau^2): s^2 is the scatter of single phases (robust), tau^2
what the smoothed residual wanders beyond that (random effects), both shrunk towards a prior.  Since a
device with many phases a day meets a high z by chance more often, z is in the end measured against the
greatest z of that device's past days.
"""

from __future__ import annotations

import numpy as np

from cloud.detection.records import Bools, Floats, Ints

ON_SHARE = 0.1  # of the range: above it, the channel is on
REST_SHARE = 0.25  # of the samples: resting at least so often makes a channel one that cycles,
BETWEEN = (0.05, 0.15)  # unless it is often between the two levels,
BETWEEN_SHARE = 0.05  # in more of its samples than this
LOOK, LOOK_AGAIN = 300, 10000  # rounds of samples
RESOLVED = 3.0  # samples: cycles whose median phase is shorter are not resolved by the readings
ERRATIC = 0.65  # scatter of log lengths about their prediction above which there is no rhythm to judge by
SPANS = np.array([4.0, 16.0, 48.0])
BOUNDS = np.array([2.5, 2.5, 12.0])  # of the scatter: what one phase may add at each span
ALPHA = 2.0 / (SPANS + 1.0)
WHITE = ALPHA / (2.0 - ALPHA)
KEPT = 96  # phases remembered of a device and channel
PROBATION_S, PROBATION = 4 * 86400.0, 24  # a phase serves as an example when it is so old, or so many came since
LEAST = 6  # phases before the next one can be predicted
DAY_S = 86400.0


class PhaseCutter:
    """Cuts on-phases out of every channel of every device, one sample at a time, all devices at once."""

    ARRAYS = (
        "low",
        "high",
        "range_then",
        "samples",
        "resting",
        "between",
        "run",
        "gap",
        "level",
        "rest",
        "rest_before",
    )

    def __init__(self, width: int) -> None:
        self.width = width
        self.capacity = 0
        self.calls = 0
        self.idle = False
        for name in self.ARRAYS:
            setattr(self, name, np.zeros((0, width)))

    low: Floats
    high: Floats
    range_then: Floats
    samples: Floats
    resting: Floats
    between: Floats
    run: Floats
    gap: Floats
    level: Floats
    rest: Floats
    rest_before: Floats

    def grow(self, devices: int) -> None:
        """Room for at least ``devices`` rows."""
        if devices > self.capacity:
            more = max(devices, 2 * self.capacity) - self.capacity
            for name in self.ARRAYS:
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros((more, self.width))]))
            self.capacity += more

    def forget(self, row: int) -> None:
        """The device starts afresh."""
        for name in self.ARRAYS:
            getattr(self, name)[row] = 0.0

    def worth_while(self) -> bool:
        """Whether any channel of any device may cycle.  Asked before each ``observe``; where none rests,
        the cutter looks again for a while every ``LOOK_AGAIN`` times."""
        self.calls += 1
        turn = self.calls % LOOK_AGAIN
        if turn == 0:
            self.idle = False
        elif turn == LOOK:
            share = self.resting / np.maximum(self.samples, 1.0)
            self.idle = not bool((share > 0.8 * REST_SHARE).any())
        return not self.idle

    def observe(self, rows: Ints | slice, x: Floats, seen: Bools) -> tuple[Bools, Floats, Bools]:
        """One sample of each device: which phases ended (n, C), their (length, rest before, level)
        (n, C, 3), and for which channels the range doubled, so that what was cut before is void."""
        low, high = self._follow_range(rows, x, seen)
        extent = high - low
        above = x - low
        void = seen & (extent > 2.0 * self.range_then[rows])
        if np.count_nonzero(void):
            self.range_then[rows] = np.where(void, extent, self.range_then[rows])
        run, gap, rest = self.run[rows], self.gap[rows], self.rest[rows]
        on = seen & (x > low + ON_SHARE * extent) & (extent > 1e-9)
        off = seen & ~on
        self.resting[rows] += off
        self.between[rows] += seen & (x > low + BETWEEN[0] * extent) & (x < low + BETWEEN[1] * extent)
        self.samples[rows] += seen
        idle = run == 0
        starts = on & idle
        if np.count_nonzero(starts):
            self.rest_before[rows] = np.where(starts, rest, self.rest_before[rows])
            self.level[rows] = np.where(starts, 0.0, self.level[rows])
        self.level[rows] += on * above
        self.rest[rows] = np.where(on, 0.0, rest + (off & idle))
        run = np.where(on, run + 1.0 + gap, run)
        gap = np.where(on, 0.0, gap + (off & (run > 0)))
        ended = off & (gap > 1)
        phases = np.zeros((*run.shape, 3))
        if np.count_nonzero(ended):
            phases[..., 0], phases[..., 1] = run, self.rest_before[rows]
            phases[..., 2] = self.level[rows] / np.maximum(run, 1.0)
            self.rest[rows] = np.where(ended, gap, self.rest[rows])
            run, gap = np.where(ended, 0.0, run), np.where(ended, 0.0, gap)
        self.run[rows], self.gap[rows] = run, gap
        return ended, phases, void

    def _follow_range(self, rows: Ints | slice, x: Floats, seen: Bools) -> tuple[Floats, Floats]:
        """The least reading of each channel, and the greatest, which is slowly forgotten."""
        before, peak = self.low[rows], self.high[rows]
        low = np.minimum(before, x)
        high = np.maximum(peak - (peak - low) * 2e-5, x)
        first = self.samples[rows] == 0
        if np.count_nonzero(first):
            high = np.where(first, x, np.maximum(peak - (peak - np.where(first, x, low)) * 2e-5, x))
            low = np.where(first, x, low)
        if np.count_nonzero(seen) < seen.size:
            low, high = np.where(seen, low, before), np.where(seen, high, peak)
        self.low[rows], self.high[rows] = low, high
        return low, high

    def cycling(self, rows: Ints | slice) -> Bools:
        """Which channels (n, C) of which devices rest often enough to be said to cycle."""
        samples = np.maximum(self.samples[rows], 1.0)
        share = self.resting[rows] / samples
        clear = self.between[rows] / samples < BETWEEN_SHARE
        found: Bools = (share > REST_SHARE) & (share < 0.998) & clear & (self.samples[rows] >= 60)
        return found


class PhaseHistory:
    """Past phases of (device, channel) *slots*, and how the latest compare with them."""

    ARRAYS = (
        "phases",
        "ended",
        "n",
        "errors",
        "n_errors",
        "smooth",
        "wander",
        "judged",
        "rhythm",
        "z",
        "day",
        "top",
        "tops",
    )

    def __init__(self) -> None:
        self.capacity = 0
        self.phases = np.full((0, KEPT, 3), np.nan, np.float32)  # log length, log rest, log level
        self.ended = np.zeros((0, KEPT))
        self.n = np.zeros(0, np.int64)
        self.errors = np.full((0, KEPT), np.nan, np.float32)
        self.n_errors = np.zeros(0, np.int64)
        self.smooth = np.zeros((0, len(SPANS)))
        self.wander = np.zeros((0, len(SPANS)))
        self.judged = np.zeros(0)
        self.rhythm = np.zeros(0, np.bool_)
        self.z = np.zeros(0)
        self.day = np.zeros(0)
        self.top = np.zeros(0)
        self.tops = np.zeros((0, 3))  # days, sum and sum of squares of the days' greatest z

    def grow(self, slots: int) -> None:
        """Room for at least ``slots`` slots."""
        if slots > self.capacity:
            more = max(slots, 2 * self.capacity) - self.capacity
            for name in self.ARRAYS:
                old = getattr(self, name)
                fill = np.nan if name in ("phases", "errors") else 0
                setattr(self, name, np.concatenate([old, np.full((more, *old.shape[1:]), fill, old.dtype)]))
            self.capacity += more

    def forget(self, slots: Ints) -> None:
        """These slots start afresh."""
        for name in self.ARRAYS:
            getattr(self, name)[slots] = np.nan if name in ("phases", "errors") else 0

    def observe(self, slots: Ints, phases: Floats, at: Floats) -> None:
        """Phases (m, 3) of distinct ``slots`` that ended at event times ``at``."""
        length = phases[:, 0]
        y = np.log(length)
        context = np.log(phases[:, 1:] + 1.0)
        known = self.n[slots] >= LEAST
        error = np.zeros(len(slots))
        if known.any():
            error[known] = y[known] - self._predicted(slots[known], context[known], at[known])
        self._turn_day(slots, at)
        learn = np.ones(len(slots), np.bool_)
        if known.any():
            learn[known] = self._judge(slots[known], error[known], length[known])
        keep = slots[learn]
        place = self.n[keep] % KEPT
        self.phases[keep, place, 0] = y[learn]
        self.phases[keep, place, 1:] = context[learn]
        self.ended[keep, place] = at[learn]
        self.n[keep] += 1

    def calibrated(self, slots: Ints) -> Floats:
        """How far each slot is from normal now, in standard deviations of its days' greatest z."""
        mean, sd = self._usual(slots)
        return np.where(self.rhythm[slots], (self.z[slots] - mean) / sd, -5.0)

    def _predicted(self, slots: Ints, context: Floats, at: Floats) -> Floats:
        past = self.phases[slots]
        n = self.n[slots]
        distance = np.abs(past[:, :, 1:] - context[:, None, :]).sum(axis=2)
        distance[np.isnan(distance)] = np.inf
        age = (n[:, None] - 1 - np.arange(KEPT)) % KEPT  # phases since
        fresh = (age < PROBATION) & (at[:, None] - self.ended[slots] < PROBATION_S)
        fresh &= (np.isfinite(distance) & ~fresh).sum(axis=1, keepdims=True) >= LEAST
        distance[fresh] = np.inf
        nearest = np.argsort(distance, axis=1, kind="stable")[:, :5]
        found: Floats = np.nanmedian(np.take_along_axis(past[:, :, 0], nearest, axis=1), axis=1).astype(np.float64)
        return found

    def _judge(self, slots: Ints, error: Floats, length: Floats) -> Bools:
        n_errors = np.minimum(self.n_errors[slots], KEPT)
        seen = self.errors[slots]
        scatter = np.zeros(len(slots))
        some = n_errors > 0
        if some.any():
            scatter[some] = 1.4826 * np.nanmedian(np.abs(seen[some]), axis=1)
        s2 = (4 * 0.08**2 + n_errors * scatter**2) / (4 + n_errors) + 0.02**2 + (0.3 / length) ** 2
        # one odd phase must not move a short average far; a long one may take more of it
        bound = np.sqrt(s2)[:, None] * BOUNDS
        r = np.minimum(np.maximum(error[:, None], -bound), bound)
        r = np.where(r < 0, 0.5 * r, r)  # wear lengthens phases more often than it shortens them [K]
        judged = self.judged[slots] + 1.0
        smooth = self.smooth[slots] + ALPHA * (r - self.smooth[slots])
        beyond = np.maximum(self.wander[slots] - WHITE * s2[:, None], 0.0)
        blocks = judged[:, None] / SPANS
        tau2 = (10.0 * 0.04**2 + blocks * beyond) / (10.0 + blocks)
        z = (smooth / np.sqrt(WHITE * s2[:, None] + tau2)).max(axis=1)
        learn: Bools = (z < 2.0) | (judged < 20)
        calm = slots[learn]
        self.errors[calm, self.n_errors[calm] % KEPT] = error[learn]
        self.n_errors[calm] += 1
        rate = np.maximum(1.0 / judged, 1.0 / 300.0)[:, None]
        wander = self.wander[slots]
        self.wander[slots] = np.where(learn[:, None], wander + rate * (smooth * smooth - wander), wander)
        self.smooth[slots], self.judged[slots], self.z[slots] = smooth, judged, z
        median = np.nanmedian(self.phases[slots, :, 0], axis=1)
        self.rhythm[slots] = (median >= np.log(RESOLVED) - 1e-3) & (scatter <= ERRATIC)
        self.top[slots] = np.maximum(self.top[slots], z)
        return learn

    def _usual(self, slots: Ints) -> tuple[Floats, Floats]:
        days, total, squares = self.tops[slots].T
        # the greatest of n standard normal values is near sqrt(2 ln n); neighbours share most of their span
        expected = np.sqrt(2.0 * np.log1p(self.n[slots] / np.maximum(days, 1.0) / 8.0))
        mean = (expected + total) / (1.0 + days)
        var = (2 * 0.6**2 + np.maximum(squares - 2 * mean * total + days * mean**2, 0.0)) / (2.0 + days)
        return mean, np.sqrt(var * (1.0 + 1.0 / (1.0 + days)))  # of a further day, not of the mean

    def _turn_day(self, slots: Ints, at: Floats) -> None:
        day = np.floor(at / DAY_S)
        turned = (day != self.day[slots]) & (self.top[slots] > 0)
        if turned.any():
            chosen = slots[turned]
            mean, sd = self._usual(chosen)
            top = np.minimum(self.top[chosen], mean + 1.5 * sd)
            tops = self.tops[chosen] * np.where(self.tops[chosen, :1] >= 30, 29.0 / 30.0, 1.0)
            self.tops[chosen] = tops + np.stack([np.ones(len(top)), top, top * top], axis=1)
            self.top[chosen] = 0.0
        self.day[slots] = day
