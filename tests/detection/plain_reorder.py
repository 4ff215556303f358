"""The intake's oracle: the same promise kept in the plainest way, sample by sample, with nothing shared with it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

Sample = tuple[float, str, int, float]
"""Event time, device, sequence, value."""


@dataclass
class PlainReorder:
    """Gives samples back in order of (time, device, sequence), a whole tick at a time, when the newest event time has
    passed the tick's end by `lateness`; counts by device those that come after their tick."""

    lateness: float
    tick: float
    newest: float = -math.inf
    passed: float = -math.inf
    late: Counter[str] = field(default_factory=Counter)
    held: defaultdict[int, list[Sample]] = field(default_factory=lambda: defaultdict(list))

    def add(self, samples: list[Sample]) -> list[Sample]:
        """Take these, and give back what is complete now."""
        for sample in samples:
            number = math.floor(sample[0] / self.tick)
            if number < self.passed:
                self.late[sample[1]] += 1
            else:
                self.held[number].append(sample)
                self.newest = max(self.newest, sample[0])
        if math.isfinite(self.newest):
            self.passed = max(self.passed, math.floor((self.newest - self.lateness) / self.tick))
        return self._release()

    def flush(self) -> list[Sample]:
        """Give back everything that is held."""
        self.passed = math.inf
        return self._release()

    def _release(self) -> list[Sample]:
        complete = sorted(number for number in self.held if number < self.passed)
        return [sample for number in complete for sample in sorted(self.held.pop(number))]
