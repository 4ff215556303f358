"""From rows to frames: a device's rows gathered on a fixed time grid, bounded in samples and seconds. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

from protocols.frames import MAX_READINGS, Frame, FrameHeader, encode_frame

MAX_GAP = 8
"""Missing rows that are bridged by NaN inside one frame; a longer gap begins a new frame."""

TOLERANCE = 0.25
"""How far from its place on the grid a row may be, in periods; beyond, a new frame begins at the row's own time."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """A frame that lacks only its boot and seq. started_at: µs since the epoch."""

    channel_set: int
    started_at: int
    period_ms: int
    samples: int
    channels: int
    flags: int
    readings: array[float]

    def encode(self, boot: int, seq: int) -> bytes:
        """The frame's bytes on the wire."""
        header = FrameHeader(
            self.channel_set, boot, seq, self.started_at, self.period_ms, self.samples, self.channels, self.flags
        )
        return encode_frame(Frame(header, self.readings))


class FrameAssembler:
    """Gathers rows of one channel set at one period.

    A frame ends when it holds `max_samples` rows or covers `max_seconds`, whichever comes first, and whenever the
    next row has no place on its grid: after a gap, or after the clock was set.
    """

    def __init__(
        self, channel_set: int, channels: int, period_ms: int, *, max_samples: int, max_seconds: float, flags: int = 0
    ) -> None:
        self._channel_set = channel_set
        self._channels = channels
        self._flags = flags
        self._period_ms = period_ms
        spanned = max(1, int(max_seconds * 1000 / period_ms + 1e-6))
        self._bound = max(1, min(max_samples, spanned, MAX_READINGS // channels, 0xFFFF))
        self._started_at = 0.0
        self._readings = array("f")
        self._samples = 0

    def begins_frame(self, at: float) -> bool:
        """Whether a row at event time `at` (s) would begin a new frame."""
        return self._samples == 0 or self._gap(at) is None

    def add(self, at: float, row: Sequence[float]) -> list[Assembled]:
        """Take one row; return the frames that are complete with it (0, 1, or 2 after a gap)."""
        complete = []
        gap = self._gap(at) if self._samples else None
        if gap is None:
            complete.extend(self.flush())
            self._started_at = at
        elif gap:
            self._readings.extend([nan] * (gap * self._channels))
            self._samples += gap
        self._readings.extend(row)
        self._samples += 1
        if self._samples >= self._bound:
            complete.extend(self.flush())
        return complete

    def flush(self) -> list[Assembled]:
        """The frame begun so far, if any; the next row begins another."""
        if not self._samples:
            return []
        frame = Assembled(
            self._channel_set, round(self._started_at * 1e6), self._period_ms,
            self._samples, self._channels, self._flags, self._readings,
        )  # fmt: skip
        self._readings = array("f")
        self._samples = 0
        return [frame]

    def _gap(self, at: float) -> int | None:
        """How many rows are missing before a row at `at`, or None if it has no place in the present frame."""
        place = (at - self._started_at) * 1000 / self._period_ms
        slot = round(place)
        gap = slot - self._samples
        if 0 <= gap <= MAX_GAP and slot < self._bound and abs(place - slot) <= TOLERANCE:
            return gap
        return None
