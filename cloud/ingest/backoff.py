"""How long to pause after a failure: full jitter. Never sleeps, takes its randomness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Pauses drawn evenly from 0 to a ceiling that doubles from `first_s` to `longest_s`.

    Full jitter spreads a fleet of retries best. Source: M. Brooker, "Exponential Backoff And Jitter", AWS, 2015.
    """

    first_s: float
    longest_s: float
    random: Callable[[], float]
    failures: int = 0

    def pause_s(self) -> float:
        """Count a failure and say how many seconds to wait."""
        ceiling = min(self.longest_s, self.first_s * 2.0 ** min(self.failures, 60))
        self.failures += 1
        return ceiling * self.random()

    def succeeded(self) -> None:
        """Begin anew."""
        self.failures = 0
