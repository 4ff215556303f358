"""Which message goes up next.

Order: what is overdue, then events (faults, replies, births, losses), then freeze frames, then telemetry. Telemetry
that waited when the connection was made is the backlog; what was accepted since is fresh. The two take turns while both
wait: a backlog of a week drains at no less than half of the line's rate, and fresh telemetry, which rarely needs its
half, goes up as it comes. When the backlog is gone, what waits then becomes the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edge_agent.counters import Counters
from edge_agent.draft import Rank
from edge_agent.spool.store import Spool, Spooled
from edge_agent.window import Window
from protocols.messages import Receipt

BATCH = 32
"""Messages taken at once: small, so that a fault accepted meanwhile waits for no more than these."""


class Lane:
    """A position in the messages of one rank: those after `after` and up to `up_to` were not yet published."""

    def __init__(self, spool: Spool, rank: Rank) -> None:
        self._spool = spool
        self.rank = rank
        self.after = 0
        self.up_to = 0

    def peek(self, limit: int) -> list[Spooled]:
        """The next messages, oldest first."""
        return self._spool.waiting(self.rank, self.after, self.up_to, limit) if self.after < self.up_to else []


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
        for lane in (self._events, self._freezes, self._backlog):
            lane.after = 0
        self._backlog.up_to = self._fresh.after = self._spool.last_number

    def take(self, now: float) -> list[Spooled]:
        """The messages to publish now, at most 32; empty when nothing may or need be."""
        taken = self._overdue(now)
        for message in self._candidates():
            if len(taken) >= BATCH or not self._window.has_room(message.rank, message.size):
                break
            self._advance(message)
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

    def _candidates(self) -> Iterator[Spooled]:
        for lane in (self._events, self._freezes, self._fresh):
            lane.up_to = self._spool.last_number
        yield from self._events.peek(BATCH)
        if not self._window.has_room(Rank.FREEZE):
            return
        yield from self._freezes.peek(BATCH)
        yield from self._telemetry()

    def _telemetry(self) -> Iterator[Spooled]:
        backlog, fresh = self._backlog.peek(BATCH), self._fresh.peek(BATCH)
        if not backlog and len(fresh) == BATCH:  # a new backlog has grown behind us
            self._backlog.after, self._backlog.up_to = self._fresh.after, self._spool.last_number
            self._fresh.after = self._spool.last_number
            backlog, fresh = fresh, []
        while backlog or fresh:
            turn = fresh if fresh and (self._fresh_turn or not backlog) else backlog
            self._fresh_turn = turn is backlog
            yield turn.pop(0)

    def _advance(self, message: Spooled) -> None:
        if message.rank == Rank.EVENT:
            lane = self._events
        elif message.rank == Rank.FREEZE:
            lane = self._freezes
        else:
            lane = self._backlog if message.number <= self._backlog.up_to else self._fresh
        lane.after = message.number
