"""The queue: the order of the day, kept in a table for screens, and open tickets by it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from cloud.db import queries
from cloud.desk.priority import worth
from cloud.desk.triage.capacity import Candidate, likelihood, order
from cloud.desk.triage.evidence import Connection, Row
from cloud.desk.triage.settings import TriageSettings
from cloud.registry.costs import Costs

_SQL = queries.load("queue")


async def order_queue(connection: Connection, now: datetime, costs: Costs, settings: TriageSettings) -> int:
    """Make the order anew; returns how many tickets stand in it. What did not change is not written."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["candidates"], {"now": now})
        rows = await cursor.fetchall()
    day = now.astimezone(ZoneInfo(settings.time_zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    used = await (await connection.execute(_SQL["used"], {"day": day, "now": now})).fetchone()
    calls, visits = (0, 0) if used is None else used
    places = order(
        [candidate(row, costs) for row in rows], settings.calls_a_day - calls, settings.visits_a_day - visits
    )
    changed = (await connection.execute(_SQL["forget"], {"tickets": [p.ticket_no for p in places]})).rowcount
    if places:
        written = await connection.execute(
            _SQL["put"],
            {
                "tickets": [p.ticket_no for p in places],
                "places": [p.place for p in places],
                "today": [p.today for p in places],
                "probabilities": [p.probability for p in places],
                "values": [p.value for p in places],
                "visits": [p.visits for p in places],
                "sentences": [Jsonb(p.sentence) for p in places],
                "now": now,
            },
        )
        changed += written.rowcount
    if changed:
        await connection.execute(_SQL["announce"])
    return len(places)


async def order_day(connection: Connection, costs: Costs, settings: TriageSettings) -> int:
    """Order the queue in a transaction of its own, unless another desk is at it (then 0)."""
    async with connection.transaction():
        free = await (await connection.execute(_SQL["lock"])).fetchone()
        now = await (await connection.execute(_SQL["now"])).fetchone()
        if free is None or now is None or not free[0]:
            return 0
        return await order_queue(connection, now[0], costs, settings)


def candidate(row: Row, costs: Costs) -> Candidate:
    """A ticket's worth with its verdict and the findings of its kind taken into account."""
    probability = likelihood(row["probability"], row["verdict"], row["real"], row["found"])
    found = worth(probability, row["severity"], row["family"], costs)
    solved = costs.of(row["family"]).self_help_solves if row["self_help"] else 0.0
    return Candidate(row["ticket_no"], found.value, 1.0 - solved, probability, found.sentence)


async def list_queue(
    connection: Connection, *, today: bool | None = None, after: tuple[float, int] | None = None, at_most: int = 100
) -> list[dict[str, Any]]:
    """Open tickets in the queue's order: the columns of view queue_card, those of ticket_card among them.

    A ticket without a place (just raised, or not waiting for a call) has None in `place`, `today` and `sentence`.
    `after`: (turn, ticket_no) of the last one that was read. today None: all.
    """
    turn, number = after or (None, None)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["queue"], {"turn": turn, "number": number, "today": today, "at_most": at_most})
        return await cursor.fetchall()
