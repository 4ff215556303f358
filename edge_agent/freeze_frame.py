"""The full-rate window around a raised fault. Pure: a ring of recent rows, and the capture in progress."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.framing import Assembled, FrameAssembler


@dataclass(frozen=True, slots=True)
class Span:
    """A span of event time in s, both ends included."""

    started_at: float
    ended_at: float


class FreezeFrame:
    """Keeps the rows of the last `before_s` seconds and captures until `after_s` after a fault.

    A fault raised during a capture prolongs it, so that windows that overlap are sent once; each fault still names
    its own window, which lies inside what is sent. Memory is bounded by `before_s` of rows and one frame.
    """

    def __init__(self, assembler: FrameAssembler, before_s: float, after_s: float) -> None:
        self._assembler = assembler
        self._before_s = before_s
        self._after_s = after_s
        self._ring: deque[tuple[float, Sequence[float]]] = deque()
        self._until: float | None = None

    @property
    def enabled(self) -> bool:
        """False when both sides of the window are 0."""
        return self._before_s > 0 or self._after_s > 0

    def observe(self, at: float, row: Sequence[float]) -> list[Assembled]:
        """Take the row of event time `at` (s); return the frames of a capture that are complete with it."""
        if not self.enabled:
            return []
        if self._until is None:
            self._remember(at, row)
            return []
        if at > self._until or at < self._until - self._longest():  # over, or the clock was set back
            complete = self.flush()
            self._remember(at, row)
            return complete
        return self._assembler.add(at, row)

    def raised(self, at: float) -> tuple[Span | None, list[Assembled]]:
        """A fault was raised, seen at `at` (s), whose row has been observed: its window, and frames complete by it."""
        if not self.enabled:
            return None, []
        complete: list[Assembled] = []
        if self._until is None:
            for then, row in self._ring:
                complete.extend(self._assembler.add(then, row))
            self._ring.clear()
        self._until = at + self._after_s
        return Span(at - self._before_s, self._until), complete

    def flush(self) -> list[Assembled]:
        """End the capture in progress, if any, with what it has."""
        self._until = None
        return self._assembler.flush()

    def _longest(self) -> float:
        return self._before_s + self._after_s

    def _remember(self, at: float, row: Sequence[float]) -> None:
        if self._ring and at < self._ring[-1][0]:
            self._ring.clear()  # the clock was set back: rows would not be in order
        self._ring.append((at, row))
        while self._ring[0][0] < at - self._before_s:
            self._ring.popleft()
