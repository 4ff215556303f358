"""The feed of what happened to faults, tickets and findings, in commit order; read by the stream and by webhooks.

Triggers write an event in the transaction of the change. A place in the feed is (xid, event_no) and only events below
the oldest running transaction are given out, so that one that commits late is never skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from psycopg.rows import class_row
from pydantic import BaseModel

from cloud.db import queries
from cloud.db.pool import Pool
from cloud.web.reads import faults, tickets
from cloud.web.reads.tickets import Ticket

Kind = Literal["fault", "ticket", "finding"]
CHANNELS = ("ticket", "fault_case", "finding")
_PLACE = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")
_SQL = queries.load("access")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Behind which event one has read."""

    xid: int
    event_no: int

    def __str__(self) -> str:
        return f"{self.xid}-{self.event_no}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something new or changed."""

    xid: str
    event_no: int
    kind: Kind
    number: int

    @property
    def place(self) -> Place:
        """Behind this event."""
        return Place(int(self.xid), self.event_no)


def read_place(text: str) -> Place | None:
    """A place as `str` wrote it; None when this is none."""
    found = _PLACE.fullmatch(text.strip())
    if found is None:
        return None
    place = Place(int(found[1]), int(found[2]))
    return place if max(place.xid, place.event_no) < 2**63 else None


async def head(pool: Pool) -> Place:
    """Behind all that is committed and past every running transaction."""
    return await _place(pool, "event_head") or Place(0, 0)


async def still_held(pool: Pool, place: Place) -> bool:
    """Whether nothing behind this place was thrown away yet: then one can go on from there."""
    oldest = await _place(pool, "oldest_event")
    return oldest is not None and place >= oldest


async def after(pool: Pool, place: Place, limit: int = 500) -> list[Event]:
    """The next events behind a place."""
    parameters = {"xid": str(place.xid), "event_no": place.event_no, "limit": limit}
    async with pool.connection() as connection, connection.cursor(row_factory=class_row(Event)) as cursor:
        await cursor.execute(_SQL["events_after"], parameters)
        return await cursor.fetchall()


def newest_of_each(events: list[Event]) -> list[Event]:
    """Of each thing its last event, in order: what it was meanwhile is gone."""
    last = {(event.kind, event.number): event for event in events}
    return sorted(last.values(), key=lambda event: event.place)


async def item_of(pool: Pool, event: Event) -> BaseModel | None:
    """The thing as the lists show it now; None when it is shown no more (two cases became one)."""
    match event.kind:
        case "fault":
            return await faults.get(pool, event.number)
        case "ticket":
            return await _ticket(pool, event.number)
        case "finding":
            return await tickets.finding(pool, event.number)


async def _ticket(pool: Pool, number: int) -> Ticket | None:
    async with pool.connection() as connection, connection.cursor(row_factory=class_row(Ticket)) as cursor:
        await cursor.execute(_SQL["shown_ticket"], {"ticket_no": number})
        return await cursor.fetchone()


async def _place(pool: Pool, query: str) -> Place | None:
    async with pool.connection() as connection:
        row = await (await connection.execute(_SQL[query])).fetchone()
    return Place(int(str(row[0])), int(str(row[1]))) if row else None
