"""Which readings are worth sending. Pure: every decision follows from the readings and their event times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan, nan


class Sampler:
    """Per-channel deadband and maximum interval.

    A channel without a deadband is always sent. With a deadband d (in the channel's unit) a reading is sent when it
    differs from the last one sent by at least d (a deadband of 0: by anything), or when `max_interval_s` of event
    time has passed since that one. What is not sent is NaN: "no reading, or unchanged within the deadband". A reader
    tells the two apart by the maximum interval: a channel silent for longer has no reading.
    """

    def __init__(
        self, channels: Sequence[str], deadbands: Mapping[str, float] | None = None, max_interval_s: float = 300.0
    ) -> None:
        self._channels = tuple(channels)
        self._sent: list[float] = [nan] * len(self._channels)
        self._sent_at: list[float] = [nan] * len(self._channels)
        self._every_until = float("-inf")
        self.retune(deadbands or {}, max_interval_s)

    def retune(self, deadbands: Mapping[str, float], max_interval_s: float) -> None:
        """Take new deadbands and maximum interval; what was sent last is remembered."""
        self._deadbands = tuple(deadbands.get(name) for name in self._channels)
        self._selective = any(deadband is not None for deadband in self._deadbands)
        self._max_interval_s = max_interval_s

    def send_everything(self, until: float) -> None:
        """Ignore deadbands for readings before event time `until` (s)."""
        self._every_until = until

    def select(self, at: float, values: Sequence[float], everything: bool = False) -> Sequence[float]:
        """The row to send for the readings `values` taken at `at` (s): suppressed channels are NaN.

        `everything` sends all channels whatever their deadbands (the first row of a frame, so that each frame can be
        read by itself).
        """
        if not self._selective:
            return values
        everything = everything or at < self._every_until
        row = [nan] * len(values)
        for place, value in enumerate(values):
            if not isnan(value) and (everything or self._is_news(place, at, value)):
                row[place] = self._sent[place] = value
                self._sent_at[place] = at
        return row

    def _is_news(self, place: int, at: float, value: float) -> bool:
        deadband, sent, elapsed = self._deadbands[place], self._sent[place], at - self._sent_at[place]
        if deadband is None or isnan(sent):
            return True
        # a clock set back makes `elapsed` negative: send, or the channel would be silent until the clock catches up
        if elapsed < 0 or elapsed >= self._max_interval_s:
            return True
        change = abs(value - sent)
        return change >= deadband if deadband > 0 else change > 0
