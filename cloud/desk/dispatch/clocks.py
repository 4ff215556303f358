"""Service clocks of open tickets: read, paused, and escalated when time runs out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import structlog
from psycopg.rows import dict_row

from cloud.desk.dispatch.people import SQL, Connection
from cloud.desk.dispatch.settings import DispatchSettings
from cloud.desk.dispatch.sla import Clock, ClockName, Level, Milestones, clocks, escalations

log = structlog.get_logger(__name__)

PauseReason = Literal["customer_asked_later", "customer_unreachable", "waiting_for_part", "no_access", "watching"]


async def clocks_of(
    connection: Connection, settings: DispatchSettings, ticket_no: int | None = None
) -> dict[int, list[Clock]]:
    """The clocks of open tickets, or of one, by ticket."""
    return {row["ticket_no"]: found for row, found in await _read(connection, settings, ticket_no)}


async def escalate(connection: Connection, settings: DispatchSettings) -> int:
    """Note each level that a clock has reached, once, and tell `NOTIFY sla`; how many were new."""
    new = 0
    for row, found in await _read(connection, settings, None):
        for clock in found:
            already: frozenset[Level] = frozenset(level for name, level in row["told"] if name == clock.name)
            for level in escalations(clock, already):
                new += await _tell(connection, row, clock.name, level)
    return new


async def pause(
    connection: Connection, ticket_no: int, reason: PauseReason, person: str, until: datetime | None = None
) -> bool:
    """Stop a ticket's clocks until then (None: until `resume`); False when they are stopped already."""
    cursor = await connection.execute(
        SQL["pause"], {"ticket_no": ticket_no, "reason": reason, "person": person, "until": until}
    )
    return await cursor.fetchone() is not None


async def desk_now(connection: Connection) -> datetime:
    """What the desk holds for now."""
    row = await (await connection.execute(SQL["now"])).fetchone()
    if row is None:
        raise LookupError("desk_clock has no row; run `firstcall migrate`")
    now: datetime = row[0]
    return now


async def resume(connection: Connection, ticket_no: int) -> bool:
    """Let a ticket's clocks run on; False when they were running."""
    return (await connection.execute(SQL["resume"], {"ticket_no": ticket_no})).rowcount > 0


async def _tell(connection: Connection, row: dict[str, Any], clock: ClockName, level: Level) -> bool:
    async with connection.transaction():
        told = {"ticket_no": row["ticket_no"], "clock": clock, "level": level, "at": row["now"]}
        if await (await connection.execute(SQL["escalate"], told)).fetchone() is None:
            return False
        await connection.execute("SELECT pg_notify('sla', %s)", [str(row["ticket_no"])])
    log.warning("sla_escalated", ticket=row["ticket_no"], clock=clock, level=level)
    return True


async def _read(
    connection: Connection, settings: DispatchSettings, ticket_no: int | None
) -> list[tuple[dict[str, Any], list[Clock]]]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["sla_tickets"], {"ticket_no": ticket_no})
        rows = await cursor.fetchall()
    allowances: dict[ClockName, dict[str, float]] = {"contact": settings.contact_hours, "visit": settings.visit_hours}
    return [(row, clocks(row["severity"], _milestones(row), _pauses(row), row["now"], allowances)) for row in rows]


def _milestones(row: dict[str, Any]) -> Milestones:
    return Milestones(row["confirmed_at"], row["contacted_at"], row["closed_at"])


def _pauses(row: dict[str, Any]) -> list[tuple[datetime, datetime | None]]:
    return [
        (datetime.fromisoformat(begin), None if over is None else datetime.fromisoformat(over))
        for begin, over in row["pauses"]
    ]
