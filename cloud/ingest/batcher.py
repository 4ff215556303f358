"""When to write: sizes and times in, batches out. Pure: the clock is an argument."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from cloud.ingest.ports import Arrival


@dataclass(slots=True)
class Batcher:
    """Gathers arrivals until a batch is full or its oldest message has waited long enough.

    messages, bytes: bounds of one batch (a single message larger than `bytes` is a batch of its own).
    age_s: how long the oldest message may wait. Times are seconds of any monotonic clock.
    """

    messages: int
    bytes: int
    age_s: float
    _waiting: deque[tuple[float, Arrival]] = field(default_factory=deque)
    _waiting_bytes: int = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, arrivals: Sequence[Arrival], now: float) -> None:
        """Take in what arrived at `now`."""
        self._waiting.extend([(now, arrival) for arrival in arrivals])
        self._waiting_bytes += sum([len(arrival.payload) for arrival in arrivals])

    def wait_s(self, now: float) -> float | None:
        """Seconds until a batch is due: 0 when it is, None when nothing waits."""
        if not self._waiting:
            return None
        if len(self._waiting) >= self.messages or self._waiting_bytes >= self.bytes:
            return 0.0
        return max(0.0, self._waiting[0][0] + self.age_s - now)

    def age_of_oldest_s(self, now: float) -> float:
        """Seconds for which the oldest message has waited; 0 when nothing waits."""
        return now - self._waiting[0][0] if self._waiting else 0.0

    def take(self) -> list[Arrival]:
        """The oldest messages, within the bounds; empty when nothing waits."""
        batch = [arrival for _, arrival in islice(self._waiting, self.messages)]
        size = sum([len(arrival.payload) for arrival in batch])
        while len(batch) > 1 and size > self.bytes:
            size -= len(batch.pop().payload)
        for _ in batch:
            self._waiting.popleft()
        self._waiting_bytes -= size
        return batch
