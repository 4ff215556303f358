"""One turn of the desk's work: read what was committed since the cursors, make cases and tickets, move the cursors.

Everything is one transaction. The cursors are locked first, so that two desks take turns and never the same rows; a
desk killed at any moment has done all of a turn or nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cloud.db import queries
from cloud.desk.cases import Connection, judge, take_predictions, take_reports
from cloud.desk.proposals import attend, dismiss_over, retract_wrong
from cloud.desk.settings import DeskSettings
from cloud.desk.triage.examine import Examined, examine
from cloud.desk.triage.incidents import fold
from cloud.desk.triage.quality import compare_rates
from cloud.desk.triage.settings import TriageSettings
from cloud.registry.costs import Costs

BATCHES, CHANGES, PREDICTIONS = "desk.batches", "desk.changes", "desk.predictions"
_CONSUMERS = [BATCHES, CHANGES, PREDICTIONS]

_SQL = queries.load("desk")


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn did. `more`: something was left for the next one."""

    batches: int = 0
    changes: int = 0
    cases: int = 0
    tickets: int = 0
    over: int = 0
    examined: Examined = field(default_factory=Examined)
    more: bool = False


@dataclass(frozen=True, slots=True)
class _Cursor:
    xid: str
    number: int


async def make_cursors(connection: Connection) -> None:
    """Make the desk's cursors, at the beginning of everything; those that are there stay."""
    await connection.execute(_SQL["make_cursors"], {"consumers": _CONSUMERS})


async def tend(
    connection: Connection,
    settings: DeskSettings,
    costs: Costs,
    sweep: bool = True,
    triage: TriageSettings | None = None,
) -> Turn:
    """Do one turn; with `sweep`, look at all open tickets too. psycopg.Error: nothing of it was kept.

    Without `triage` settings, cases and tickets alone: no verdicts, no storms.
    """
    policy, at_most = settings.policy, settings.batches_at_most
    async with connection.transaction():
        cursors = await _lock(connection)
        batches = await _after(connection, "batches", cursors[BATCHES], at_most)
        changes = await _after(connection, "changes", cursors[CHANGES], at_most)
        predictions = await _after(connection, "new_predictions", cursors[PREDICTIONS], at_most)
        now = await _now(connection, settings, batches)

        cases: set[int] = set()
        reporting = [batch for batch in batches if batch[4]]
        if reporting:
            span = (min(batch[2] for batch in reporting), max(batch[3] for batch in reporting))
            cases |= await take_reports(connection, [batch[1] for batch in reporting], span, policy.chatter_gap)
        cases |= await take_predictions(connection, [number for _, number in predictions])
        fresh = frozenset(cases)
        cases |= await _concerned(connection, changes)
        await judge(connection, cases)
        cases |= await retract_wrong(connection, None if sweep else _devices(changes), now)
        if sweep:
            cursor = await connection.execute(
                _SQL["stale_cases_heard_again"], {"now": now, "stale_after": policy.stale_after}
            )
            cases |= {case_no for (case_no,) in await cursor.fetchall()}
        if triage:
            cases |= await fold(connection, cases, now, triage, sweep)
        tickets = await attend(connection, cases, fresh, now=now, policy=policy, costs=costs)
        over = await dismiss_over(connection, now, policy) if sweep else 0
        examined = await examine(connection, cases, now, policy, triage) if triage else Examined()
        if triage and sweep:
            await compare_rates(connection, now, triage)

        for consumer, rows in ((BATCHES, batches), (CHANGES, changes), (PREDICTIONS, predictions)):
            if rows:
                await connection.execute(
                    _SQL["move_cursor"], {"consumer": consumer, "xid": rows[-1][0], "number": rows[-1][1]}
                )
    more = max(len(batches), len(changes), len(predictions)) >= at_most or examined.more
    return Turn(len(batches), len(changes), len(cases), len(tickets), over, examined, more)


async def _lock(connection: Connection) -> dict[str, _Cursor]:
    cursor = await connection.execute(_SQL["lock_cursors"], {"consumers": _CONSUMERS})
    found = {consumer: _Cursor(xid, number) for consumer, xid, number in await cursor.fetchall()}
    if len(found) < len(_CONSUMERS):
        raise RuntimeError("the desk's cursors are missing; call make_cursors first")
    return found


async def _after(connection: Connection, query: str, cursor: _Cursor, at_most: int) -> list[Any]:
    rows = await connection.execute(_SQL[query], {"xid": cursor.xid, "number": cursor.number, "at_most": at_most})
    return await rows.fetchall()


async def _now(connection: Connection, settings: DeskSettings, batches: Sequence[Any]) -> datetime:
    """Set the desk's clock, for everybody who asks it, and read it."""
    latest = max((batch[3] for batch in batches), default=None)
    await connection.execute(_SQL["set_clock"], {"reads": settings.clock, "at": latest})
    row = await (await connection.execute(_SQL["now"])).fetchone()
    if row is None:
        raise RuntimeError("the database gave no time")
    return row[0]  # type: ignore[no-any-return]


async def _concerned(connection: Connection, changes: Sequence[Any]) -> set[int]:
    """Cases whose four codes may be others since these changes of the registry."""
    if not changes:
        return set()
    meanings = [(model, code) for *_, model, code in changes if model is not None]
    cursor = await connection.execute(
        _SQL["cases_of_changes"],
        {
            "devices": list(_devices(changes)),
            "gtins": list({change[3] for change in changes if change[3] is not None}),
            "models": [model for model, _ in meanings],
            "codes": [code for _, code in meanings],
        },
    )
    return {case_no for (case_no,) in await cursor.fetchall()}


def _devices(changes: Sequence[Any]) -> set[int]:
    return {change[2] for change in changes if change[2] is not None}
