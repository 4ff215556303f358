"""Which message goes up next.

Order: what is overdue, then events (faults, replies, births, losses), then freeze frames, then telemetry. Telemetry
that waited when the connection was made is the backlog; what was accepted since is fresh. The two take turns while both
wait: a backlog of a week drains at no less than half of the line's rate, and fresh telemetry, which rarely needs its
half, goes up as it comes. When the backlog is gone, what waits then becomes the next one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from edge_agent.counters import Counters
from edge_agent.draft import Rank
from edge_agent.spool.store import Spool, Spooled
from edge_agent.window import Window
from protocols.messages import Receipt

BATCH = 32
"""Messages taken at once: small, so that a fault accepted meanwhile waits for no more than these."""


class Lane:
    """The messages of one rank that were not yet published on this connection, up to number `up_to`.

    They are read 32 at a time, each once; one that a bound drops meanwhile may still go up.
    """

    def __init__(self, spool: Spool, rank: Rank) -> None:
        self._spool = spool
        self._rank = rank
        self._read: deque[Spooled] = deque()
        self._after = 0
        self.up_to = 0

    def begin(self, after: int, up_to: int) -> None:
        """Start over behind number `after`."""
        self._read.clear()
        self._after, self.up_to = after, up_to

    def head(self) -> Spooled | None:
        """The oldest, None if there is none."""
        if not self._read and self._after < self.up_to:
            self._read.extend(self._spool.waiting(self._rank, self._after, self.up_to, BATCH))
            self._after = self._read[-1].number if self._read else self.up_to
        return self._read[0] if self._read else None

    def pop(self) -> Spooled:
        """Take the head."""
        return self._read.popleft()

    @property
    def is_long(self) -> bool:
        """Whether more waits than has been read."""
        return len(self._read) == BATCH

    def take_over(self, other: Lane, up_to: int) -> None:
        """Go on where `other` is, which begins anew behind `up_to`."""
        self._read, other._read = other._read, self._read
        self._after, self.up_to = other._after, up_to
        other.begin(up_to, up_to)


class Dispatch:
    """Chooses what to publish, and lands what is receipted. `now` is a clock that never steps, in s."""

    def __init__(self, spool: Spool, window: Window, counters: Counters, chance: Callable[[], float]) -> None:
        self._spool = spool
        self._window = window
        self._counters = counters
        self._chance = chance
        self._events = Lane(spool, Rank.EVENT)
        self._freezes = Lane(spool, Rank.FREEZE)
        self._backlog = Lane(spool, Rank.TELEMETRY)
        self._fresh = Lane(spool, Rank.TELEMETRY)
        self._fresh_turn = True

    @property
    def in_flight(self) -> int:
        """Messages published and not yet receipted."""
        return len(self._window)

    def reset(self) -> None:
        """A new connection: everything that has no receipt is to be published (again), oldest first."""
        self._window.clear()
        self._spool.claimed.clear()
        last = self._spool.last_number
        for lane in (self._events, self._freezes, self._backlog):
            lane.begin(0, last)
        self._fresh.begin(last, last)

    def take(self, now: float) -> list[Spooled]:
        """The messages to publish now, at most 32; empty when nothing may or need be."""
        taken = self._overdue(now)
        for growing in (self._events, self._freezes, self._fresh):
            growing.up_to = self._spool.last_number
        while len(taken) < BATCH and (lane := self._next_lane()) is not None:
            message = lane.head()
            if message is None or not self._window.has_room(message.rank, message.size):
                break
            lane.pop()
            if lane in (self._fresh, self._backlog):
                self._fresh_turn = lane is self._backlog
            self._window.add(message.number, message.rank, message.size, now, self._chance())
            self._spool.claimed.add(message.number)
            self._counters.published += 1
            taken.append(message)
        return taken

    def wait_until(self) -> float | None:
        """When something becomes overdue, at the earliest."""
        return self._window.next_deadline()

    def receipt(self, receipt: Receipt) -> int:
        """Free what the cloud has committed or filed as dead letters; return how many messages."""
        freed = self._spool.free(receipt)
        for number in freed:
            self._window.land(number)
            self._spool.claimed.discard(number)
        self._counters.receipts += 1
        self._counters.rejected += len(receipt.rejected)
        self._counters.freed += len(freed)
        return len(freed)

    def _overdue(self, now: float) -> list[Spooled]:
        messages = []
        for number in self._window.overdue(now, BATCH):
            message = self._spool.read(number)
            if message is None:  # a bound dropped it
                self._window.land(number)
                self._spool.claimed.discard(number)
                continue
            self._window.again(number, now, self._chance())
            self._counters.republished += 1
            messages.append(message)
        return messages

    def _next_lane(self) -> Lane | None:
        for lane in (self._events, self._freezes):
            if lane.head():
                return lane
        backlog, fresh = self._backlog, self._fresh
        if not backlog.head() and fresh.head() and fresh.is_long:  # a new backlog has grown behind us
            backlog.take_over(fresh, self._spool.last_number)
        if fresh.head() and (self._fresh_turn or not backlog.head()):
            return fresh
        return backlog if backlog.head() else None
