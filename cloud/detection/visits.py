"""What is known of a family's devices from tickets, visits and repairs: when they may be called, and which have a
fault that is known already."""

from __future__ import annotations

import numpy as np

from cloud.detection.growing import grow
from cloud.detection.records import Bools, Floats, Ints
from cloud.detection.settings import EngineSettings


class Visits:
    """By row, event times.  ``known_for_s``: how long a confirmed fault counts as known if no repair comes first."""

    ARRAYS = ("ticketed_at", "quiet_until", "faulty_until", "repaired_at", "unaided")

    def __init__(self, settings: EngineSettings, known_for_s: float) -> None:
        self.settings, self.known_for_s = settings, known_for_s
        self.ticketed_at = np.zeros(0)
        self.quiet_until = np.zeros(0)
        self.faulty_until = np.zeros(0)
        self.repaired_at = np.zeros(0)
        self.unaided = np.zeros(0, np.bool_)  # the last ticket was of the sources without supervision
        self.last_faulty_until = -np.inf

    def grow(self, devices: int) -> None:
        """Room for at least ``devices`` rows."""
        grow(self, self.ARRAYS[:4], devices, -np.inf)
        grow(self, self.ARRAYS[4:], devices)

    def may_be_called(self, row: int, at: float) -> bool:
        """Whether a ticket may be raised for the device at ``at``, as far as earlier ones and repairs go."""
        return bool(at - self.ticketed_at[row] >= self.settings.refractory_s and at >= self.quiet_until[row])

    def ticketed(self, row: int, at: float, unaided: bool) -> None:
        """A ticket was raised."""
        self.ticketed_at[row], self.unaided[row] = at, unaided

    def confirmed(self, row: int, at: float, known_at: float) -> None:
        """The fault of the ticket of ``at`` was confirmed at ``known_at``, and is there until it is repaired."""
        if not self.repaired_since(row, at):
            self.quiet_until[row] = max(self.quiet_until[row], at + self.settings.confirmed_quiet_s)
            self.faulty_until[row] = max(known_at + self.known_for_s, self.quiet_until[row])
            self.last_faulty_until = max(self.last_faulty_until, float(self.faulty_until[row]))

    def repaired(self, row: int, at: float) -> None:
        """The device was repaired."""
        self.faulty_until[row], self.repaired_at[row] = -np.inf, at
        self.quiet_until[row] = at + self.settings.repair_quiet_s

    def repaired_since(self, row: int, at: float) -> bool:
        """Whether what was found of the device at ``at`` is over: it has been repaired."""
        return bool(self.repaired_at[row] >= at)

    def known_faulty(self, rows: Ints, at: Floats) -> Bools:
        """Of which rows a fault is known at ``at``: what they show teaches nothing."""
        found: Bools = at < self.faulty_until[rows]
        return found
