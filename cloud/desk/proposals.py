"""Cases become tickets, and tickets that turn out wrong are retracted. All within the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from cloud.db import queries
from cloud.desk.cases import Connection
from cloud.desk.decide import Outlook, Propose, Withhold, decide
from cloud.desk.face import Face, face
from cloud.desk.settings import Policy
from cloud.registry.costs import Costs

SYSTEM = "desk"
"""The person named by steps that the system takes by itself."""

_SQL = queries.load("desk")


async def outlooks(
    connection: Connection,
    now: datetime,
    stale_after: timedelta,
    cases: Collection[int] = (),
    tickets: Collection[int] = (),
) -> list[Outlook]:
    """These cases, and those of these tickets, with all that a decision needs; in order of event time."""
    async with connection.cursor(row_factory=class_row(Outlook)) as cursor:
        await cursor.execute(
            _SQL["outlook"],
            {"now": now, "stale_after": stale_after, "cases": list(cases), "tickets": list(tickets)},
        )
        return await cursor.fetchall()


async def attend(
    connection: Connection,
    cases: Collection[int],
    fresh: Collection[int],
    *,
    now: datetime,
    policy: Policy,
    costs: Costs,
) -> set[int]:
    """Decide about these cases: propose tickets, gather into open ones, or withhold; returns the tickets concerned.

    `fresh` are those of them that came new in this turn.
    """
    tickets: set[int] = set()
    opened: set[int] = set()
    withheld: dict[int, str | None] = {}
    for case in await outlooks(connection, now, policy.stale_after, cases):
        new = case.case_no in fresh
        decision = decide(case, now, policy, new)
        if isinstance(decision, Propose):
            at = case.occurred_at if policy.replay and new else now
            ticket_no, is_new = await _propose(connection, case, decision.user_id, at, costs)
            opened = opened | {ticket_no} if is_new else opened - {ticket_no}
            tickets.add(ticket_no)
        elif isinstance(decision, Withhold):
            withheld[case.case_no] = decision.why
        elif case.ticket_no is not None:
            tickets.add(case.ticket_no)
        elif case.withheld is not None:
            withheld[case.case_no] = None
    if withheld:
        await connection.execute(_SQL["withhold"], {"cases": list(withheld), "whys": list(withheld.values())})
    await _bring_up_to_date(connection, tickets, opened, now=now, policy=policy, costs=costs)
    return tickets


async def retract_wrong(connection: Connection, devices: Collection[int] | None, now: datetime) -> set[int]:
    """Dismiss open tickets of these devices (None: of all) whose user does not have them now, or whose codes are gone.

    Returns the cases that they had gathered, to be decided anew.
    """
    released: set[int] = set()
    named = None if devices is None else list(devices)
    cursor = await connection.execute(_SQL["tickets_not_the_owners"], {"devices": named, "now": now})
    for ticket_no, was_owner in await cursor.fetchall():
        reason = "former_owner" if was_owner else "wrong_owner"
        released |= await dismiss_and_release(connection, ticket_no, now, reason)
    cursor = await connection.execute(_SQL["tickets_without_codes"], {"devices": named})
    for (ticket_no,) in await cursor.fetchall():
        released |= await dismiss_and_release(connection, ticket_no, now, "codes_missing")
    return released


async def dismiss_over(connection: Connection, now: datetime, policy: Policy) -> int:
    """Dismiss proposed tickets whose every fault has been clear for long enough; returns how many."""
    cursor = await connection.execute(
        _SQL["tickets_over"],
        {"now": now, "reported": policy.over_after_reported, "predicted": policy.over_after_predicted},
    )
    over = await cursor.fetchall()
    for ticket_no, over_at in over:
        await take_step(connection, ticket_no, "dismissed", over_at if policy.replay else now, "over")
    return len(over)


async def _propose(connection: Connection, case: Outlook, user_id: str, at: datetime, costs: Costs) -> tuple[int, bool]:
    """Open a ticket for the case, or gather it into the open one; the unique index decides which.

    Returns the ticket and whether it is new.
    """
    columns = _columns(face([case], costs))
    cursor = await connection.execute(
        _SQL["open_ticket"],
        {**columns, "device_no": case.device_no, "problem": case.problem, "user_id": user_id, "raised_at": at},
    )
    row = await cursor.fetchone()
    is_new = row is not None
    if row is not None:
        await take_step(connection, row[0], "proposed", at, f"{case.source} {case.problem}")
    else:
        cursor = await connection.execute(
            _SQL["open_ticket_of"], {"device_no": case.device_no, "problem": case.problem}
        )
        row = await cursor.fetchone()
        if row is None:
            raise RuntimeError(f"the open ticket of case {case.case_no} closed while it was gathered into it")
    await connection.execute(_SQL["link_case"], {"ticket_no": row[0], "case_no": case.case_no})
    return int(row[0]), is_new


async def _bring_up_to_date(
    connection: Connection,
    tickets: Collection[int],
    opened: Collection[int],
    *,
    now: datetime,
    policy: Policy,
    costs: Costs,
) -> None:
    """Evidence, codes, severity, words and price of these tickets, from all their cases; `opened` just now are so."""
    if not tickets:
        return
    await connection.execute(_SQL["put_evidence"], {"tickets": list(tickets)})
    gathered: dict[int, list[Outlook]] = {}
    for case in await outlooks(connection, now, policy.stale_after, tickets=set(tickets) - set(opened)):
        if case.ticket_no is not None and not case.missing:
            gathered.setdefault(case.ticket_no, []).append(case)
    for ticket_no, cases in gathered.items():
        await connection.execute(_SQL["refresh_ticket"], {"ticket_no": ticket_no, **_columns(face(cases, costs))})


async def dismiss_and_release(connection: Connection, ticket_no: int, now: datetime, reason: str) -> set[int]:
    """Dismiss a ticket and let go of its cases, which are returned: they are to be decided anew."""
    await take_step(connection, ticket_no, "dismissed", now, reason)
    cursor = await connection.execute(_SQL["release_cases"], {"ticket_no": ticket_no})
    return {case_no for (case_no,) in await cursor.fetchall()}


async def take_step(connection: Connection, ticket_no: int, to_state: str, at: datetime, reason: str) -> None:
    """Move a ticket in the system's own name."""
    await connection.execute(
        _SQL["step"],
        {"ticket_no": ticket_no, "to_state": to_state, "person": SYSTEM, "at": at, "reason": reason},
    )


def _columns(shown: Face) -> dict[str, Any]:
    columns = asdict(shown)
    for name in ("rank_reason", "customer_words"):
        columns[name] = Jsonb(columns[name])
    return columns
