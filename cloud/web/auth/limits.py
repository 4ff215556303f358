"""Limits on how often: attempts to sign in, and requests. Pure: the time is an argument (monotonic seconds).

They are kept in memory, a program each: several web programs side by side allow that many times as much.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

REMEMBERED = 10_000  # names and addresses; those not seen for longest are forgotten first


@dataclass(slots=True)
class Throttle:
    """Refuses a subject further attempts after `limit` failures within `window_s`."""

    limit: int = 10
    window_s: float = 60.0
    _failures: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)

    def allows(self, subject: str, now: float) -> bool:
        """Whether this subject may try now."""
        failures = self._failures.get(subject)
        if failures is None:
            return True
        while failures and failures[0] <= now - self.window_s:
            failures.popleft()
        return len(failures) < self.limit

    def failed(self, subject: str, now: float) -> None:
        """Count a failed attempt."""
        self._failures.setdefault(subject, deque(maxlen=self.limit)).append(now)
        self._failures.move_to_end(subject)
        if len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)


@dataclass(slots=True)
class Buckets:
    """Token buckets: a subject may make `burst` requests at once and `rate_per_s` in the long run."""

    rate_per_s: float
    burst: float
    _levels: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def wait_s(self, subject: str, now: float) -> float:
        """Take one request; 0 when it may go on, else the seconds after which the next may."""
        level, at = self._levels.get(subject, (self.burst, now))
        level = min(self.burst, level + (now - at) * self.rate_per_s)
        allowed = level >= 1
        self._levels[subject] = (level - 1 if allowed else level, now)
        self._levels.move_to_end(subject)
        if len(self._levels) > REMEMBERED:
            self._levels.popitem(last=False)
        return 0.0 if allowed else (1 - level) / self.rate_per_s
