"""Known unknowns: silent devices, missing readings, and sensors that are stuck, noisy or implausible.

*Completeness* of a device: readings that came in the last day over readings that should have come, by the
device's own period (a running estimate that follows shorter gaps at once and longer ones slowly).
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
    PER_DEVICE = ("at", "period", "came", "due")

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
    due: Floats

    def __init__(self, width: int) -> None:
        self.width = width
        self.capacity = 0
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

    def widen(self, width: int) -> None:
        """Room for more channels."""
        for name in self.ARRAYS:
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros((len(old), width - self.width))], axis=1))
        self.width = width

    def observe(self, rows: Ints | slice, at: Floats, x: Floats, seen: Bools) -> None:
        """One sample of each device at event times ``at``."""
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
        self.longest[rows] = np.where(run <= np.maximum(10.0 * longest, STUCK), np.maximum(longest, run), longest)
        self.absurd[rows] += 0.02 * (absurd - self.absurd[rows])
        self.missing[rows] += 0.02 * (~seen - self.missing[rows])
        self.last[rows] = np.where(seen, x, self.last[rows])
        self.run[rows] = run
        self.samples[rows] = samples + seen
        self._clock(rows, at)

    def _clock(self, rows: Ints | slice, at: Floats) -> None:
        before, period = self.at[rows], self.period[rows]
        gap = at - before
        first = before == 0
        period = np.where(first, 0.0, np.where(period == 0, gap, period + np.minimum(0.05 * (gap - period), 0.01 * gap)))
        fade = np.where(first, 0.0, np.exp(-np.minimum(gap / DAY_S, 50.0)))
        owed = np.where(period > 0, gap / np.maximum(period, 1e-9), 1.0)
        self.came[rows] = self.came[rows] * fade + 1.0
        self.due[rows] = self.due[rows] * fade + np.where(first, 1.0, np.maximum(owed, 1.0))
        self.at[rows], self.period[rows] = at, period

    def completeness(self, rows: Ints | slice, now: Floats | None = None) -> Floats:
        """Share of the readings of the last day that came, 0..1; by ``now``, silence counts as missing."""
        came, due = self.came[rows], self.due[rows]
        if now is not None:
            gap = np.maximum(now - self.at[rows], 0.0)
            fade = np.exp(-np.minimum(gap / DAY_S, 50.0))
            late = np.maximum(gap / np.maximum(self.period[rows], 1e-9) - 1.0, 0.0) * (self.period[rows] > 0)
            came, due = came * fade, due * fade + np.minimum(late, DAY_S / np.maximum(self.period[rows], 1.0) + 1.0)
        present = 1.0 - self.missing[rows].mean(axis=1) if self.width else 1.0
        return np.asarray(np.minimum(came / np.maximum(due, 1e-9), 1.0) * present)

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
