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

    ARRAYS = ("last", "run", "longest", "jump", "usual", "absurd", "missing", "samples")
    PER_DEVICE = ("at", "period", "came", "opened", "share")

    last: Floats
    run: Floats
    longest: Floats
    jump: Floats
    usual: Floats
    absurd: Floats
    missing: Floats
    samples: Floats
    at: Floats
    period: Floats
    came: Floats
    opened: Floats
    share: Floats

    def __init__(self, width: int) -> None:
        self.width = width
        self.capacity = 0
        self.calls = 0
        for name in self.ARRAYS:
            setattr(self, name, np.zeros((0, width)))
        for name in self.PER_DEVICE:
            setattr(self, name, np.zeros(0))

    def grow(self, devices: int) -> None:
        """Room for at least ``devices`` rows."""
        if devices > self.capacity:
            more = max(devices, 2 * self.capacity) - self.capacity
            for name in (*self.ARRAYS, *self.PER_DEVICE):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros((more, *old.shape[1:]))]))
            self.capacity += more

    def observe(self, rows: Ints | slice, at: Floats, x: Floats, seen: Bools) -> None:
        """One sample of each device at event times ``at``.  After its first hundred samples a family looks
        at the values every eighth time only; what is said of samples then holds for those looked at."""
        self.calls += 1
        self.came[rows] += 1.0
        if self.calls > 100 and self.calls % 8:
            return
        self._clock(rows, at)
        samples = self.samples[rows]
        jump = np.abs(x - self.last[rows])
        usual = self.usual[rows]
        known = seen & (samples > 20)
        absurd = known & (jump > ABSURD * usual) & (usual > 0)
        same = seen & (jump == 0) & (samples > 0)
        run = np.where(seen, np.where(same, self.run[rows] + 1.0, 0.0), self.run[rows])
        longest = self.longest[rows]
        rate = np.where(seen & (samples > 0), np.maximum(1.0 / (samples + 1.0), 1e-3), 0.0)
        bounded = np.minimum(jump, 10.0 * usual + np.where(samples <= 20, np.inf, 0.0))
        self.usual[rows] = usual + rate * (bounded - usual)
        self.jump[rows] += 0.1 * seen * (bounded - self.jump[rows])
        over = seen & ~same & (self.run[rows] <= np.maximum(10.0 * longest, STUCK))
        self.longest[rows] = np.where(over, np.maximum(longest, self.run[rows]), longest)
        self.absurd[rows] += 0.02 * (absurd - self.absurd[rows])
        self.missing[rows] += 0.02 * (~seen - self.missing[rows])
        self.last[rows] = np.where(seen, x, self.last[rows])
        self.run[rows] = run
        self.samples[rows] = samples + seen

    def _clock(self, rows: Ints | slice, at: Floats) -> None:
        opened, came = self.opened[rows], self.came[rows]
        self.at[rows] = at
        period = self.period[rows]
        new = opened == 0
        lately = np.where(new, 0.0, (at - opened) / np.maximum(came - 1.0, 1.0))
        # shorter gaps are followed at once, longer ones slowly: an outage is no new period
        self.period[rows] = np.where(period == 0, lately, period + np.minimum(0.05 * (lately - period), 0.01 * period))
        day = new | (at - opened >= DAY_S)
        if day.any():
            self._new_day(rows, at, day)

    def _new_day(self, rows: Ints | slice, at: Floats, day: Bools) -> None:
        """Close the day of these rows: the share of its readings that came."""
        opened, came = self.opened[rows], self.came[rows]
        elapsed = at - opened
        owed = elapsed / np.maximum(self.period[rows], 1e-9)
        share = np.minimum((came + 1.0) / np.maximum(owed, 1.0), 1.0)
        first = opened == 0
        self.share[rows] = np.where(day, np.where(first, 1.0, share), self.share[rows])
        self.opened[rows] = np.where(day, at, opened)
        self.came[rows] = np.where(day, 0.0, came)

    def completeness(self, rows: Ints | slice, now: Floats | None = None) -> Floats:
        """Share of the readings of the last day that came, 0..1; by ``now``, silence counts as missing."""
        period = np.maximum(self.period[rows], 1e-9)
        last = self.at[rows]
        until = last if now is None else np.maximum(now, last)
        elapsed = until - self.opened[rows]
        owed = np.maximum(elapsed / period, 1.0)
        today = np.minimum((self.came[rows] + 8.0) / owed, 1.0)
        part = np.minimum(elapsed / DAY_S, 1.0)
        present = 1.0 - self.missing[rows].mean(axis=1) if self.width else 1.0
        return np.asarray((part * today + (1.0 - part) * self.share[rows]) * present)

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
