"""When to try again. Pure: time and randomness come in as arguments, nothing here sleeps."""

from __future__ import annotations


def ceiling(attempt: int, base: float, cap: float) -> float:
    """The longest wait before attempt number `attempt` (0, 1, ...), in the unit of `base`: base * 2^attempt, capped."""
    # 2^60 exceeds any cap in seconds; a larger exponent would only cost big integers
    return min(cap, base * float(1 << min(max(attempt, 0), 60)))


def full_jitter(attempt: int, base: float, cap: float, chance: float) -> float:
    """How long to wait before attempt number `attempt`; `chance` is uniform in [0, 1).

    Full jitter spreads a fleet that lost its broker at one instant evenly over the whole interval.
    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    return chance * ceiling(attempt, base, cap)


def retry_at(now: float, attempt: int, base: float, cap: float, chance: float) -> float:
    """When an unanswered message is published again, in the clock of `now`.

    Half of the interval is certain (an answer needs its time), the other half is random.
    """
    return now + ceiling(attempt, base, cap) * (0.5 + 0.5 * chance)
