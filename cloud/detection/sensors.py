"""Known unknowns: silent devices, missing readings, and sensors that are stuck, noisy or implausible.

*Completeness* of a device: readings that came over readings that should have come, by the device's own
period (a running estimate that follows shorter gaps at once and longer ones slowly), of today so far and
of the day before, weighed by how much of today has passed.
*Stuck*: a channel repeats one value for ten times as long as it ever did, and at least ``STUCK`` samples.
*Noisy*: its jump from sample to sample is ``NOISY`` times what it is used to.
*Implausible*: a reading that is not finite, or so far off that nothing physical gets there in one step.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from cloud.detection.compiled import Bools2, Floats1, Floats2, Ints1, compiled
from cloud.detection.growing import grow
from cloud.detection.records import Bools, Floats, Ints

DAY_S = 86400.0
STUCK = 60.0
NOISY = 8.0
ABSURD = 200.0  # jumps of that many times the usual


class SensorState(StrEnum):
    """What a channel's readings look like as readings, whatever the machine does."""

    FINE = "fine"
    STUCK = "stuck"
    NOISY = "noisy"
    IMPLAUSIBLE = "implausible"
    MISSING = "missing"


class SensorWatch:
    """Running checks of every channel of every device of a family."""

    ARRAYS = ("last", "run", "longest", "jump", "usual", "absurd", "missing", "samples", "moves")
    PER_DEVICE = ("at", "period", "came", "opened", "share")

    last: Floats
    run: Floats
    longest: Floats
    jump: Floats
    usual: Floats
    absurd: Floats
    missing: Floats
    samples: Floats
    moves: Floats  # of those samples, that were not like the one before
    at: Floats
    period: Floats
    came: Floats
    opened: Floats
    share: Floats

    def __init__(self, width: int) -> None:
        self.width = width
        self.calls = 0
        for name in self.ARRAYS:
            setattr(self, name, np.zeros((0, width)))
        for name in self.PER_DEVICE:
            setattr(self, name, np.zeros(0))

    def grow(self, devices: int) -> None:
        """Room for at least ``devices`` rows."""
        grow(self, (*self.ARRAYS, *self.PER_DEVICE), devices)

    def observe(self, rows: Ints, at: Floats, x: Floats, seen: Bools) -> None:
        """One sample of each device at event times ``at``.  After its first hundred samples a family looks
        at the values every eighth time only; what is said of samples then holds for those looked at."""
        self.calls += 1
        looked = self.calls <= 100 or not self.calls % 8
        _follow_clock(rows, at, looked, self.at, self.period, self.came, self.opened, self.share)
        if not looked:
            return
        _follow_readings(
            rows,
            x,
            seen,
            self.last,
            self.run,
            self.longest,
            self.jump,
            self.usual,
            self.absurd,
            self.missing,
            self.samples,
            self.moves,
        )

    def completeness(self, rows: Ints, now: Floats | None = None) -> Floats:
        """Share of the readings of the last day that came, 0..1; by ``now``, silence counts as missing."""
        until = self.at[rows] if now is None else now
        return _completeness(rows, until, self.at, self.period, self.came, self.opened, self.share, self.missing)

    def silent(self, rows: Ints | slice, now: float, periods: float = 20.0) -> Bools:
        """Which devices have not been heard for many of their own periods (and ten minutes at least)."""
        gap = now - self.at[rows]
        found: Bools = (gap > np.maximum(periods * self.period[rows], 600.0)) & (self.at[rows] > 0)
        return found

    def state(self, row: int) -> list[SensorState]:
        """The state of each channel of one device."""
        out = []
        for c in range(self.width):
            state = SensorState.FINE
            if self.missing[row, c] > 0.5:
                state = SensorState.MISSING
            elif self.run[row, c] > max(10.0 * self.longest[row, c], STUCK) and self.usual[row, c] > 0:
                state = SensorState.STUCK
            elif self.absurd[row, c] > 0.05:
                state = SensorState.IMPLAUSIBLE
            elif self.jump[row, c] > NOISY * self.usual[row, c] > 0:
                state = SensorState.NOISY
            out.append(state)
        return out


@compiled
def _follow_clock(  # noqa: PLR0917 - the watch's arrays
    rows: Ints1,
    at: Floats1,
    looked: bool,
    last_at: Floats1,
    period: Floats1,
    came: Floats1,
    opened: Floats1,
    share: Floats1,
) -> None:
    """Count what came; when it is ``looked`` at, the device's own period and, when its day is over, the share of the
    day's readings that came."""
    for i in range(len(rows)):
        row = rows[i]
        came[row] += 1.0
        if not looked:
            continue
        last_at[row] = at[i]
        new = opened[row] == 0
        elapsed = at[i] - opened[row]
        lately = 0.0 if new else elapsed / max(came[row] - 1.0, 1.0)
        if period[row] == 0:
            period[row] = lately
        else:  # shorter gaps are followed at once, longer ones slowly: an outage is no new period
            period[row] += min(0.05 * (lately - period[row]), 0.01 * period[row])
        if new or elapsed >= DAY_S:
            owed = elapsed / max(period[row], 1e-9)
            share[row] = 1.0 if new else min((came[row] + 1.0) / max(owed, 1.0), 1.0)
            opened[row] = at[i]
            came[row] = 0.0


@compiled
def _completeness(  # noqa: PLR0917 - the watch's arrays
    rows: Ints1,
    until: Floats1,
    last_at: Floats1,
    period: Floats1,
    came: Floats1,
    opened: Floats1,
    share: Floats1,
    missing: Floats2,
) -> Floats:
    """See :meth:`SensorWatch.completeness`."""
    out = np.empty(len(rows))
    width = missing.shape[1]
    for i in range(len(rows)):
        row = rows[i]
        elapsed = max(until[i], last_at[row]) - opened[row]
        owed = max(elapsed / max(period[row], 1e-9), 1.0)
        today = min((came[row] + 8.0) / owed, 1.0)
        part = min(elapsed / DAY_S, 1.0)
        gone = 0.0
        for c in range(width):
            gone += missing[row, c]
        out[i] = (part * today + (1.0 - part) * share[row]) * (1.0 - gone / max(width, 1))
    return out


@compiled
def _follow_readings(  # noqa: PLR0917 - the watch's arrays
    rows: Ints1,
    x: Floats2,
    seen: Bools2,
    last: Floats2,
    run: Floats2,
    longest: Floats2,
    jump: Floats2,
    usual: Floats2,
    absurd: Floats2,
    missing: Floats2,
    samples: Floats2,
    moves: Floats2,
) -> None:
    """Repeats, jumps and gaps of each channel."""
    for i in range(len(rows)):
        row = rows[i]
        for c in range(x.shape[1]):
            known = samples[row, c]
            if not seen[i, c]:
                absurd[row, c] -= 0.02 * absurd[row, c]
                missing[row, c] += 0.02 * (1.0 - missing[row, c])
                continue
            size, before = abs(x[i, c] - last[row, c]), usual[row, c]
            far = known > 20 and before > 0 and size > ABSURD * before
            absurd[row, c] += 0.02 * (far - absurd[row, c])
            missing[row, c] -= 0.02 * missing[row, c]
            if size == 0 and known > 0:
                run[row, c] += 1.0
            else:
                if run[row, c] <= max(10.0 * longest[row, c], STUCK):
                    longest[row, c] = max(longest[row, c], run[row, c])
                run[row, c] = 0.0
                moves[row, c] += known > 0
            if known > 20:
                size = min(size, 10.0 * before)
            if known > 0:
                usual[row, c] += max(1.0 / (known + 1.0), 1e-3) * (size - before)
            jump[row, c] += 0.1 * (size - jump[row, c])
            last[row, c] = x[i, c]
            samples[row, c] = known + 1.0
