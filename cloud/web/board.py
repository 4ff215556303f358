"""The live picture, read once for all who look at it: newest faults, the queue, the counts.

Notices wake it; it reads what they name, at most every `refresh_s`, and all of it every `recheck_s` in case a notice
was lost. While nobody looks, it reads nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from cloud.db.pool import Pool
from cloud.web.notices import CHANNELS, Notices
from cloud.web.reads import devices, faults, ingest, service, shelves, tickets
from cloud.web.reads.devices import Clocks
from cloud.web.reads.faults import Fault
from cloud.web.reads.ingest import IngestHealth
from cloud.web.reads.service import Incident
from cloud.web.reads.shelves import Shelf
from cloud.web.reads.tickets import Ticket, TicketFilter

SHOWN = 200  # faults and tickets on the live lists; older ones are a page or a filter away
HEALTH_EVERY_S = 1.0
RESTS = 3  # a slow database is left alone three times as long as it was asked
DESK = frozenset({"fault_case", "ticket", "prediction", "finding", "queue"})
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Picture:
    """What a live screen shows: the newest faults, the queue, the tickets that took the newest steps, and counts.
    `read_at` is monotonic, in seconds."""

    faults: tuple[Fault, ...]
    tickets: tuple[Ticket, ...]
    moved: tuple[Ticket, ...]
    standing: dict[str, int]
    ticket_counts: dict[str, int]
    health: IngestHealth
    clocks: Clocks
    read_at: float
    shelves: tuple[Shelf, ...] = ()
    incidents: tuple[Incident, ...] = ()
    in_storms: frozenset[int] = frozenset()  # cases of `faults` that belong to one of the incidents


@dataclass(slots=True, eq=False)
class Viewer:
    """Somebody who looks: woken whenever there is a new picture."""

    board: Board
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """There is a new picture."""
        self._wake.set()

    async def next(self, timeout_s: float | None = None) -> Picture | None:
        """The next picture that this viewer has not seen; None at the timeout."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return None
        self._wake.clear()
        return self.board.picture


class Board:
    """Keeps the picture current while it is looked at. `run()` runs until cancelled."""

    def __init__(self, pool: Pool, notices: Notices, refresh_s: float, recheck_s: float) -> None:
        self._pool = pool
        self._notices = notices
        self._refresh_s = refresh_s
        self._recheck_s = recheck_s
        self._viewers: set[Viewer] = set()
        self._reading = asyncio.Lock()
        self._stale = True
        self._picture: Picture | None = None
        self.refreshes = 0

    @property
    def picture(self) -> Picture:
        """The picture as last read; `look()` first."""
        if self._picture is None:
            raise LookupError("nobody has looked at the board yet")
        return self._picture

    @property
    def viewers(self) -> int:
        """How many look now."""
        return len(self._viewers)

    @asynccontextmanager
    async def look(self) -> AsyncIterator[Viewer]:
        """Look at the board for a while; the picture is current on entering."""
        viewer = Viewer(self)
        self._viewers.add(viewer)
        try:
            if self._stale:
                await self._read(frozenset(CHANNELS))
            yield viewer
        finally:
            self._viewers.discard(viewer)

    async def current(self) -> Picture:
        """The picture now, for one glance."""
        async with self.look():
            return self.picture

    async def run(self) -> None:
        """Follow the notices."""
        health_at = 0.0
        with self._notices.subscribe() as subscription:
            while True:
                changed = await subscription.changes(self._recheck_s) or frozenset(CHANNELS)
                if not self._viewers:
                    self._stale = True
                    continue
                if changed <= {"ingest_batch"} and time.monotonic() - health_at < HEALTH_EVERY_S:
                    continue
                health_at = time.monotonic()
                await self._try_reading(changed)
                took = time.monotonic() - health_at
                await asyncio.sleep(max(self._refresh_s, RESTS * took))

    async def _try_reading(self, changed: frozenset[str]) -> None:
        try:
            await self._read(changed)
        except (psycopg.OperationalError, PoolTimeout) as error:
            self._stale = True
            log.warning("board.unread", error=type(error).__name__)

    async def _read(self, changed: frozenset[str]) -> None:
        async with self._reading:
            health, clocks = await ingest.health(self._pool), await devices.clocks(self._pool)
            if self._picture is None or self._stale or changed & DESK:
                newest = await faults.newest(self._pool, SHOWN)
                storms = await service.incidents(self._pool)
                numbers = [incident.incident_no for incident in storms]
                self._picture = Picture(
                    faults=tuple(newest),
                    incidents=tuple(storms),
                    in_storms=frozenset(await service.members(self._pool, numbers, [f.case_no for f in newest])),
                    tickets=tuple(await tickets.in_order(self._pool, TicketFilter(), SHOWN)),
                    moved=tuple(await tickets.moved(self._pool, SHOWN)),
                    standing=await faults.standing_by_severity(self._pool),
                    ticket_counts=await tickets.counts(self._pool),
                    health=health,
                    clocks=clocks,
                    read_at=time.monotonic(),
                    shelves=tuple(await shelves.standing(self._pool)),
                )
            else:
                self._picture = replace(self._picture, health=health, clocks=clocks, read_at=time.monotonic())
            self._stale = False
            self.refreshes += 1
        self.wake()

    def wake(self) -> None:
        """Wake everybody who looks."""
        for viewer in tuple(self._viewers):
            viewer.wake()
