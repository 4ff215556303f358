"""Rounds in which all fault rates are compared; what stands out becomes a quality finding with its members."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from cloud.db import queries
from cloud.desk.errors import DeskError
from cloud.desk.triage.evidence import Connection
from cloud.desk.triage.lots import Comparison, sentence, standing_out
from cloud.desk.triage.settings import TriageSettings

_SQL = queries.load("quality")


async def compare_rates(connection: Connection, now: datetime, settings: TriageSettings) -> int | None:
    """Hold a round if one is due; returns how many groups stand out, None if it was not due."""
    every = timedelta(hours=settings.quality_hours)
    if await (await connection.execute(_SQL["due"], {"now": now, "every": every})).fetchone() is None:
        return None
    await connection.execute(_SQL["clear_sizes"])
    await connection.execute(_SQL["count_sizes"], {"now": now})
    since = now - timedelta(days=settings.quality_days)
    cursor = await connection.execute(_SQL["comparisons"], {"now": now, "since": since})
    comparisons = [Comparison(*row) for row in await cursor.fetchall()]
    found = standing_out(comparisons, settings.quality_false_share, settings.quality_least)
    for standing in found:
        columns = {
            **asdict(standing.comparison),
            "p_value": standing.p_value,
            "q_value": standing.q_value,
            "sentence": Jsonb(sentence(standing)),
            "now": now,
        }
        row = await (await connection.execute(_SQL["put_finding"], columns)).fetchone()
        if row is None:
            raise RuntimeError("the quality finding was not written")
        await connection.execute(_SQL["put_members"], {**columns, "since": since, "quality_finding_no": row[0]})
    await connection.execute(_SQL["fade"], {"now": now})
    await connection.execute(_SQL["note_round"], {"comparisons": len(comparisons), "standing_out": len(found)})
    return len(found)


async def list_quality_findings(
    connection: Connection, *, state: str | None = "open", at_most: int = 200
) -> list[dict[str, Any]]:
    """Quality findings, the surest first; the columns of view quality_card. state: open, faded, closed; None: all."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["findings"], {"state": state, "at_most": at_most})
        return await cursor.fetchall()


async def quality_members(connection: Connection, quality_finding_no: int, at_most: int = 1000) -> list[dict[str, Any]]:
    """The devices behind a quality finding: device_no, device, case_no, occurred_at, ticket_no, user_id."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["members"], {"quality_finding_no": quality_finding_no, "at_most": at_most})
        return await cursor.fetchall()


async def close_quality_finding(connection: Connection, quality_finding_no: int, person: str, note: str) -> None:
    """A person is done with it; it opens again when twice as many devices are affected."""
    if not person.strip() or not note.strip():
        raise DeskError("closing a quality finding needs a person and a note")
    cursor = await connection.execute(
        _SQL["close"], {"quality_finding_no": quality_finding_no, "person": person, "note": note}
    )
    if await cursor.fetchone() is None:
        raise DeskError(f"there is no quality finding {quality_finding_no}")
