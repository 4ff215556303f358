"""What is under way: published, and not yet receipted. Pure: `now` is any clock that never steps, in s."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from edge_agent.backoff import retry_at
from edge_agent.draft import Rank


@dataclass(slots=True)
class Flight:
    """One message under way: its bytes, how often it was published, and when it is published again."""

    size: int
    rank: Rank
    attempts: int
    retry_at: float


class Window:
    """Bounded in messages and bytes; a quarter of the messages is kept free for events.

    One message is always allowed when nothing is under way, however large it is.
    """

    def __init__(self, messages: int, max_bytes: int, timeout_s: float, timeout_max_s: float) -> None:
        self._messages = messages
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._timeout_max_s = timeout_max_s
        self._flights: dict[int, Flight] = {}
        self._deadlines: list[tuple[float, int]] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def bytes(self) -> int:
        """Bytes under way."""
        return self._bytes

    def has_room(self, rank: Rank, size: int = 0) -> bool:
        """Whether a message of this rank and size may be published now."""
        bound = self._messages if rank == Rank.EVENT else self._messages - self._messages // 4
        if len(self._flights) >= bound:
            return False
        return self._bytes + size <= self._max_bytes or not self._flights or rank == Rank.EVENT

    def add(self, number: int, rank: Rank, size: int, now: float, chance: float) -> None:
        """A message is published for the first time on this connection."""
        deadline = retry_at(now, 0, self._timeout_s, self._timeout_max_s, chance)
        self._flights[number] = Flight(size, rank, 1, deadline)
        self._bytes += size
        heapq.heappush(self._deadlines, (deadline, number))

    def again(self, number: int, now: float, chance: float) -> None:
        """A message under way is published once more; its next deadline is further away."""
        flight = self._flights[number]
        flight.retry_at = retry_at(now, flight.attempts, self._timeout_s, self._timeout_max_s, chance)
        flight.attempts += 1
        heapq.heappush(self._deadlines, (flight.retry_at, number))

    def land(self, number: int) -> bool:
        """A message is receipted, or gone; False if it was not under way."""
        flight = self._flights.pop(number, None)
        if flight is None:
            return False
        self._bytes -= flight.size
        return True

    def overdue(self, now: float, limit: int) -> list[int]:
        """Up to `limit` messages whose receipt did not come in time, longest overdue first."""
        numbers: list[int] = []
        while self._deadlines and len(numbers) < limit:
            deadline, number = self._deadlines[0]
            flight = self._flights.get(number)
            if flight is not None and flight.retry_at == deadline:
                if deadline > now:
                    break
                numbers.append(number)
            heapq.heappop(self._deadlines)
        return numbers

    def next_deadline(self) -> float | None:
        """When the next message becomes overdue, at the earliest; None if nothing is under way."""
        return self._deadlines[0][0] if self._flights and self._deadlines else None

    def clear(self) -> None:
        """The connection is gone: nothing is under way."""
        self._flights.clear()
        self._deadlines.clear()
        self._bytes = 0
