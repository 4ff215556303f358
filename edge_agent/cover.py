"""For how long the spool would last without a line. Pure."""

from __future__ import annotations

from math import exp

SMOOTHING_H = 1.0
"""Time constant of the intake rate, in hours."""


class IntakeRate:
    """Bytes an hour that the spool accepts, smoothed over an hour; over what there is in the first hour."""

    def __init__(self, bytes_per_hour: float | None = None) -> None:
        self.bytes_per_hour = bytes_per_hour
        self._weight_h = 0.0 if bytes_per_hour is None else SMOOTHING_H
        self._last: tuple[float, int] | None = None

    def observe(self, at: float, accepted_bytes: int) -> None:
        """Take the count of bytes accepted since the start, at event time `at` (s); steps back are left out."""
        last, self._last = self._last, (at, accepted_bytes)
        if last is None or at <= last[0]:
            return
        hours = (at - last[0]) / 3600
        rate = (accepted_bytes - last[1]) / hours
        self._weight_h = min(SMOOTHING_H, self._weight_h + hours)
        share = 1.0 if self.bytes_per_hour is None else 1 - exp(-hours / self._weight_h)
        self.bytes_per_hour = rate if self.bytes_per_hour is None else (
            self.bytes_per_hour + share * (rate - self.bytes_per_hour)
        )  # fmt: skip


def hours_of_cover(bound_bytes: int, used_bytes: int, bytes_per_hour: float | None) -> float | None:
    """Hours until the spool is full if nothing were receipted; None while the rate is unknown or 0."""
    if not bytes_per_hour or bytes_per_hour <= 0:
        return None
    return max(0.0, (bound_bytes - used_bytes) / bytes_per_hour)
