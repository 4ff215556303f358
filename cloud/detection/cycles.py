"""Cycle features: appliances that work in cycles keep normal values while their cycles grow.

A channel *cycles* when it rests near the bottom of its range for a good part of the time and is hardly
ever between rest and work.  Its on-phases
are cut at a tenth of the range that it has itself shown (an off-delay of one sample bridges short gaps).
Each phase that ends has a length, the rest before it and a mean level; its log length is predicted from
the device's own past phases that had a like rest and level (median of the k nearest neighbours), because
a dishwasher's second heating is always longer than its first and a fridge rests less when it runs more.

The residuals r are smoothed at several spans, e <- e + a (r - e), and compared with how far they wander
when nothing is wrong, z = e / sqrt(white s^2 + tau^2): s^2 is the scatter of single phases (robust), tau^2
what the smoothed residual wanders beyond that (random effects), both shrunk towards a prior.  What phases of
the last days were like is no measure of those of today, or a fault of some days would be its own: examples and
scatter come from phases that are out of *probation*, the first few judged by each other.  One odd phase may move
e only so far, nor may one odd evening; what has lasted for days may move it further, in proportion.  Since a
device with many phases a day meets a high z by chance more often, z is in the end measured against the
greatest z of that device's past days.
"""

from __future__ import annotations

import numpy as np

from cloud.detection.compiled import (
    Bools1,
    Bools2,
    Floats1,
    Floats2,
    Floats3,
    Ints1,
    Ints2,
    Singles2,
    Singles3,
    compiled,
)
from cloud.detection.growing import grow
from cloud.detection.records import Bools, Floats, Ints

ON_SHARE = 0.1  # of the range: above it, the channel is on
REST_SHARE = 0.25  # of the samples: resting at least so often makes a channel one that cycles,
BETWEEN = (0.05, 0.15)  # unless it is often between the two levels,
BETWEEN_SHARE = 0.05  # in more of its samples than this
LOOK, LOOK_AGAIN = 300, 10000  # rounds of samples
RESOLVED = 3.0  # samples: cycles whose median phase is shorter are not resolved by the readings
ERRATIC = 0.65  # scatter of log lengths about their prediction above which there is no rhythm to judge by
SPANS = np.array([4.0, 16.0, 48.0])
BOUNDS = np.array([2.5, 2.5, 12.0])  # of the scatter: what one phase may count at each span, and more each day it lasts
ALPHA = 2.0 / (SPANS + 1.0)
WHITE = ALPHA / (2.0 - ALPHA)
NO_RHYTHM = -5.0
NEIGHBOURS = 5
KEPT = 96  # phases remembered of a device and channel
PROBATION_S, PROBATION = 4 * 86400.0, 24  # a phase serves as an example when it is so old, or so many came since
LEAST = 6  # phases before the next one can be predicted
LEAST_TRIED = 3  # phases out of probation from whose prediction scatter is known
NOTHING = 1e-3  # the greatest z of a day on which nothing was longer than usual
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
        grow(self, self.ARRAYS, devices)

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

    def observe(self, rows: Ints, x: Floats, seen: Bools) -> tuple[Bools, Floats, Bools] | None:
        """One sample of each device: which phases ended (n, C), their (length, rest before, level)
        (n, C, 3), and for which channels the range doubled, so that what was cut before is void; None if neither."""
        ended, void = np.zeros(x.shape, np.bool_), np.zeros(x.shape, np.bool_)
        phases = np.empty((*x.shape, 3))
        happened = _cut(
            rows,
            x,
            seen,
            ended,
            phases,
            void,
            self.low,
            self.high,
            self.range_then,
            self.samples,
            self.resting,
            self.between,
            self.run,
            self.gap,
            self.level,
            self.rest,
            self.rest_before,
        )
        return (ended, phases, void) if happened else None

    def cycling(self, rows: Ints) -> Bools:
        """Which channels (n, C) of which devices rest often enough to be said to cycle."""
        return _cycling(rows, self.samples, self.resting, self.between)


class PhaseHistory:
    """Past phases of (device, channel) *slots*, and how the latest compare with them."""

    ARRAYS = (
        "phases",
        "ended",
        "n",
        "errors",
        "smooth",
        "wander",
        "judged",
        "beyond_since",
        "rhythm",
        "z",
        "day",
        "top",
        "tops",
    )

    def __init__(self) -> None:
        self.phases = np.full((0, KEPT, 3), np.nan, np.float32)  # log length, log rest, log level
        self.ended = np.zeros((0, KEPT))
        self.n = np.zeros(0, np.int64)
        self.errors = np.full((0, KEPT), np.nan, np.float32)  # of the predictions of those phases' log lengths
        self.smooth = np.zeros((0, len(SPANS)))
        self.wander = np.zeros((0, len(SPANS)))
        self.judged = np.zeros(0)
        self.beyond_since = np.zeros(0)  # when phases began to be longer than one alone may count, 0: they are not
        self.rhythm = np.zeros(0, np.bool_)
        self.z = np.zeros(0)
        self.day = np.zeros(0)
        self.top = np.zeros(0)
        self.tops = np.zeros((0, 3))  # days, sum and sum of squares of the days' greatest z

    def grow(self, slots: int) -> None:
        """Room for at least ``slots`` slots."""
        unknown = ("phases", "errors")
        grow(self, unknown, slots, np.nan)
        grow(self, [name for name in self.ARRAYS if name not in unknown], slots)

    def forget(self, slots: Ints) -> None:
        """These slots start afresh."""
        for name in self.ARRAYS:
            getattr(self, name)[slots] = np.nan if name in ("phases", "errors") else 0

    def observe(self, slots: Ints, phases: Floats, at: Floats) -> None:
        """Phases (m, 3) of distinct ``slots`` that ended at event times ``at``."""
        _take_phases(
            slots,
            phases,
            at,
            self.phases,
            self.ended,
            self.n,
            self.errors,
            self.smooth,
            self.wander,
            self.judged,
            self.beyond_since,
            self.rhythm,
            self.z,
            self.day,
            self.top,
            self.tops,
        )

    def calibrated(self, slots: Ints) -> Floats:
        """Of each row of ``slots`` (n, C), which hold 1 + slot or 0 for none: how far its furthest slot is from
        normal now, in standard deviations of its days' greatest z; ``NO_RHYTHM`` where there is nothing to judge by."""
        return _furthest(slots, self.n, self.rhythm, self.z, self.tops)


@compiled
def _cut(  # noqa: PLR0917 - the cutter's arrays
    rows: Ints1,
    x: Floats2,
    seen: Bools2,
    ended: Bools2,
    phases: Floats3,
    void: Bools2,
    low: Floats2,
    high: Floats2,
    range_then: Floats2,
    samples: Floats2,
    resting: Floats2,
    between: Floats2,
    run: Floats2,
    gap: Floats2,
    level: Floats2,
    rest: Floats2,
    rest_before: Floats2,
) -> bool:
    """Follow the channels; whether anything was written to ``ended`` or ``void`` (:meth:`PhaseCutter.observe`)."""
    happened = False
    for i in range(len(rows)):
        row = rows[i]
        for c in range(x.shape[1]):
            if not seen[i, c]:
                continue
            now = x[i, c]
            if samples[row, c] == 0:
                low[row, c] = high[row, c] = now
            else:  # the greatest reading is slowly forgotten
                low[row, c] = min(low[row, c], now)
                high[row, c] = max(high[row, c] - (high[row, c] - low[row, c]) * 2e-5, now)
            bottom = low[row, c]
            extent = high[row, c] - bottom
            if extent > 2.0 * range_then[row, c]:
                void[i, c] = happened = True
                range_then[row, c] = extent
            samples[row, c] += 1.0
            between[row, c] += bottom + BETWEEN[0] * extent < now < bottom + BETWEEN[1] * extent
            if now > bottom + ON_SHARE * extent and extent > 1e-9:
                if run[row, c] == 0:
                    rest_before[row, c] = rest[row, c]
                    level[row, c] = 0.0
                level[row, c] += now - bottom
                rest[row, c] = 0.0
                run[row, c] += 1.0 + gap[row, c]
                gap[row, c] = 0.0
                continue
            resting[row, c] += 1.0
            if run[row, c] == 0:
                rest[row, c] += 1.0
                continue
            gap[row, c] += 1.0
            if gap[row, c] > 1:
                ended[i, c] = happened = True
                phases[i, c, 0], phases[i, c, 1] = run[row, c], rest_before[row, c]
                phases[i, c, 2] = level[row, c] / run[row, c]
                rest[row, c] = gap[row, c]
                run[row, c] = gap[row, c] = 0.0
    return happened


@compiled
def _cycling(rows: Ints1, samples: Floats2, resting: Floats2, between: Floats2) -> Bools:
    """See :meth:`PhaseCutter.cycling`."""
    found = np.zeros((len(rows), samples.shape[1]), np.bool_)
    for i in range(len(rows)):
        for c in range(samples.shape[1]):
            n = samples[rows[i], c]
            share = resting[rows[i], c] / max(n, 1.0)
            clear = between[rows[i], c] / max(n, 1.0) < BETWEEN_SHARE
            found[i, c] = REST_SHARE < share < 0.998 and clear and n >= 60
    return found


@compiled
def _usual(days: float, total: float, squares: float, phases: int) -> tuple[float, float]:
    """Mean and standard deviation of the greatest z of a day, from the ``days`` so far, the sum and the sum of squares
    of their greatest values, and how many ``phases`` there were."""
    # the greatest of n standard normal values is near sqrt(2 ln n); neighbours share most of their span
    expected = np.sqrt(2.0 * np.log1p(phases / max(days, 1.0) / 8.0))
    mean = (expected + total) / (1.0 + days)
    var = (2 * 0.6**2 + max(squares - 2 * mean * total + days * mean**2, 0.0)) / (2.0 + days)
    return mean, np.sqrt(var * (1.0 + 1.0 / (1.0 + days)))  # of a further day, not of the mean


@compiled
def _furthest(slots: Ints2, n: Ints1, rhythm: Bools1, z: Floats1, tops: Floats2) -> Floats:
    """See :meth:`PhaseHistory.calibrated`."""
    out = np.full(len(slots), NO_RHYTHM)
    for i in range(len(slots)):
        for c in range(slots.shape[1]):
            slot = slots[i, c] - 1
            if slot >= 0 and rhythm[slot]:
                mean, sd = _usual(tops[slot, 0], tops[slot, 1], tops[slot, 2], n[slot])
                out[i] = max(out[i], (z[slot] - mean) / sd)
    return out


@compiled
def _turn_day(  # noqa: PLR0917 - the history's arrays
    slot: int, today: float, n: Ints1, day: Floats1, top: Floats1, tops: Floats2
) -> None:
    """When a day is over, its greatest z joins those of the days before."""
    if today != day[slot] and top[slot] > 0:
        mean, sd = _usual(tops[slot, 0], tops[slot, 1], tops[slot, 2], n[slot])
        greatest = min(top[slot], mean + 1.5 * sd)
        kept = 29.0 / 30.0 if tops[slot, 0] >= 30 else 1.0
        tops[slot, 0] = tops[slot, 0] * kept + 1.0
        tops[slot, 1] = tops[slot, 1] * kept + greatest
        tops[slot, 2] = tops[slot, 2] * kept + greatest * greatest
        top[slot] = 0.0
    day[slot] = today


@compiled
def _on_probation(slot: int, k: int, at: float, ended: Floats2, n: Ints1) -> bool:
    """Whether the phase at place ``k`` is too recent for those of now to be judged by it."""
    since = (n[slot] - 1 - k) % KEPT  # phases
    return bool(since < PROBATION and at - ended[slot, k] < PROBATION_S)


@compiled
def _predicted(  # noqa: PLR0917 - the history's arrays
    slot: int, rest: float, level: float, at: float, left_out: int, phases: Singles3, ended: Floats2, n: Ints1
) -> float:
    """Log length of a phase after this log rest and at this log level: the median of the past phases most alike, the
    one at place ``left_out`` excepted."""
    have = min(n[slot], KEPT)
    distance, fresh = np.empty(have), np.empty(have, np.bool_)
    tried = 0
    for k in range(have):
        distance[k] = abs(phases[slot, k, 1] - rest) + abs(phases[slot, k, 2] - level)
        fresh[k] = _on_probation(slot, k, at, ended, n)
        tried += not fresh[k]
    if left_out >= 0:
        distance[left_out] = np.inf
    nearest = np.empty(NEIGHBOURS)
    for j in range(NEIGHBOURS):
        best, least = 0, np.inf
        for k in range(have):
            if distance[k] < least and not (fresh[k] and tried >= LEAST):
                best, least = k, distance[k]
        nearest[j] = phases[slot, best, 0]
        distance[best] = np.inf
    return float(np.median(nearest))


@compiled
def _scatter(slot: int, at: float, errors: Singles2, ended: Floats2, n: Ints1) -> tuple[float, int]:
    """How far predictions are usually off (robust standard deviation), and of how many that is known: of those out of
    probation, if there are some, or a fault of some days would be its own measure."""
    have, tried = min(n[slot], KEPT), 0
    sizes, tried_sizes = np.empty(have), np.empty(have)
    for k in range(have):
        sizes[k] = abs(errors[slot, k])
        if not _on_probation(slot, k, at, ended, n):
            tried_sizes[tried] = sizes[k]
            tried += 1
    if tried >= LEAST_TRIED:
        return 1.4826 * float(np.median(tried_sizes[:tried])), tried
    return 1.4826 * float(np.median(sizes)), have


@compiled
def _compared(  # noqa: PLR0917 - the history's arrays
    slot: int,
    error: float,
    length: float,
    at: float,
    scatter: float,
    past: int,
    smooth: Floats2,
    wander: Floats2,
    judged: Floats1,
    beyond_since: Floats1,
) -> tuple[float, bool]:
    """The greatest z over the spans after a phase that ended ``at`` and whose log length was ``error`` off, and whether
    it is learnt from.  The usual ``scatter`` of errors is known of ``past`` phases."""
    s2 = (4 * 0.08**2 + past * scatter**2) / (4 + past) + 0.02**2 + (0.3 / length) ** 2
    judged[slot] += 1.0
    if error < BOUNDS[0] * np.sqrt(s2):
        beyond_since[slot] = 0.0
    elif beyond_since[slot] == 0.0:
        beyond_since[slot] = at
    lasting = 1.0 + (at - beyond_since[slot]) / DAY_S if beyond_since[slot] else 1.0
    z = -np.inf
    for k in range(len(SPANS)):
        bound = lasting * BOUNDS[k] * np.sqrt(s2)
        r = min(max(error, -bound), bound)
        r = 0.5 * r if r < 0 else r  # wear lengthens phases more often than it shortens them [K]
        smooth[slot, k] += ALPHA[k] * (r - smooth[slot, k])
        blocks = judged[slot] / SPANS[k]
        beyond = max(wander[slot, k] - WHITE[k] * s2, 0.0)
        tau2 = (10.0 * 0.04**2 + blocks * beyond) / (10.0 + blocks)
        z = max(z, smooth[slot, k] / np.sqrt(WHITE[k] * s2 + tau2))
    learn = z < 2.0 or judged[slot] < LEAST
    if learn:
        rate = max(1.0 / judged[slot], 1.0 / 300.0)
        for k in range(len(SPANS)):
            wander[slot, k] += rate * (smooth[slot, k] * smooth[slot, k] - wander[slot, k])
    return z, learn


@compiled
def _take_phases(  # noqa: PLR0917 - the history's arrays
    slots: Ints1,
    latest: Floats2,
    at: Floats1,
    phases: Singles3,
    ended: Floats2,
    n: Ints1,
    errors: Singles2,
    smooth: Floats2,
    wander: Floats2,
    judged: Floats1,
    beyond_since: Floats1,
    rhythm: Bools1,
    z: Floats1,
    day: Floats1,
    top: Floats1,
    tops: Floats2,
) -> None:
    """See :meth:`PhaseHistory.observe`."""
    lengths = np.empty(KEPT)
    for i in range(len(slots)):
        slot = slots[i]
        y, rest, level = np.log(latest[i, 0]), np.log(latest[i, 1] + 1.0), np.log(latest[i, 2] + 1.0)
        _turn_day(slot, np.floor(at[i] / DAY_S), n, day, top, tops)
        learn, error = True, np.nan
        if n[slot] == LEAST:  # how well the first are predicted by each other
            for k in range(LEAST):
                alike = _predicted(slot, phases[slot, k, 1], phases[slot, k, 2], at[i], k, phases, ended, n)
                errors[slot, k] = phases[slot, k, 0] - alike
        if n[slot] >= LEAST:
            error = y - _predicted(slot, rest, level, at[i], -1, phases, ended, n)
            scatter, past = _scatter(slot, at[i], errors, ended, n)
            z[slot], learn = _compared(
                slot, error, latest[i, 0], at[i], scatter, past, smooth, wander, judged, beyond_since
            )
            top[slot] = max(top[slot], z[slot], NOTHING)
            have = min(n[slot], KEPT)
            for k in range(have):
                lengths[k] = phases[slot, k, 0]
            rhythm[slot] = np.median(lengths[:have]) >= np.log(RESOLVED) - 1e-3 and scatter <= ERRATIC
        if learn:
            place = n[slot] % KEPT
            phases[slot, place, 0], phases[slot, place, 1], phases[slot, place, 2] = y, rest, level
            errors[slot, place], ended[slot, place] = error, at[i]
            n[slot] += 1
