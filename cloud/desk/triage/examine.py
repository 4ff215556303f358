"""Triage within the desk's turn: judge the cases that are due, ask for self-tests, confirm or dismiss their tickets.

All within the caller's transaction: a desk that is killed has judged, asked and moved, or done none of it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from cloud.db import queries
from cloud.desk.proposals import SYSTEM, take_step
from cloud.desk.settings import Policy
from cloud.desk.triage.evidence import Connection, Gathered, gather
from cloud.desk.triage.settings import TriageSettings
from cloud.desk.triage.verdict import Judgement, Reason, Verdict, judge

_SQL = queries.load("triage")


@dataclass(frozen=True, slots=True)
class Examined:
    """What one look at the cases did. `more`: some that are due were left for the next turn."""

    judged: int = 0
    confirmed: int = 0
    refuted: int = 0
    more: bool = False


async def examine(
    connection: Connection, cases: Collection[int], now: datetime, policy: Policy, settings: TriageSettings
) -> Examined:
    """Judge the cases that changed in this turn and those that are due."""
    await connection.execute(_SQL["await_verdicts"], {"cases": list(cases)})
    await connection.execute(_SQL["answered_self_tests"], {"now": now})
    cursor = await connection.execute(_SQL["due"], {"now": now, "at_most": settings.cases_at_most})
    due = [case_no for (case_no,) in await cursor.fetchall()]
    if not due:
        return Examined()
    tickets: set[int] = set()
    for found in await gather(connection, due, now, settings):
        await _write(connection, found, judge(found.dossier, now, settings.limits(policy)), now, settings)
        if found.row["ticket_no"] is not None:
            tickets.add(found.row["ticket_no"])
    confirmed, refuted = await _move(connection, tickets, now, policy) if settings.acts else (0, 0)
    return Examined(len(due), confirmed, refuted, len(due) >= settings.cases_at_most)


async def _write(
    connection: Connection, found: Gathered, judgement: Judgement, now: datetime, settings: TriageSettings
) -> None:
    case_no = found.row["case_no"]
    command_id = None
    if judgement.ask_self_test:
        command_id = self_test_id(case_no, 0)
        await ask_self_test(connection, command_id, found.row["device_no"], person=SYSTEM, now=now, settings=settings)
    # A case whose ticket is closed is looked at no more, until it changes.
    open_ticket = found.row["ticket_state"] in ("proposed", "confirmed")
    await connection.execute(
        _SQL["write_verdict"],
        {
            "case_no": case_no,
            "verdict": judgement.verdict,
            "reasons": Jsonb([shown(reason) for reason in judgement.reasons]),
            "evidence": Jsonb(found.shown),
            "now": now,
            "look_at": judgement.look_at if open_ticket else None,
            "self_test": command_id,
        },
    )


async def ask_self_test(
    connection: Connection, command_id: str, device_no: int, *, person: str, now: datetime, settings: TriageSettings
) -> None:
    """Ask a device for its self-test; the dispatcher of commands sends it, ingest stores the reply."""
    await connection.execute(
        _SQL["ask"],
        {
            "command_id": command_id,
            "device_no": device_no,
            "instruction": Jsonb({"action": "self_test"}),
            "now": now,
            "person": person,
            "expires_at": now + timedelta(minutes=settings.self_test_minutes),
        },
    )


def self_test_id(case_no: int, tries: int) -> str:
    """The command's id: the same case and try ask for the same test."""
    return f"self-test-{case_no}-{tries}"


def shown(reason: Reason) -> dict[str, Any]:
    """A reason as JSON: test, outcome, and by language what was seen."""
    return {"test": reason.test, "outcome": reason.outcome.value, **reason.sentence}


async def _move(connection: Connection, tickets: set[int], now: datetime, policy: Policy) -> tuple[int, int]:
    """Confirm and dismiss proposed tickets by their verdicts; take back what was confirmed on old news."""
    confirmed = refuted = 0
    over_after = {"reported": policy.over_after_reported, "predicted": policy.over_after_predicted}
    cursor = await connection.execute(_SQL["tickets_to_move"], {"tickets": list(tickets), "now": now, **over_after})
    for ticket_no, verdict, reasons in await cursor.fetchall():
        if verdict == Verdict.CONFIRMED:
            holding = next((r["en"] for r in reasons if r["outcome"] == "holds"), "confirmed")
            await take_step(connection, ticket_no, "confirmed", now, holding)
            confirmed += 1
        else:
            await take_step(connection, ticket_no, "dismissed", now, "refuted")
            refuted += 1
    cursor = await connection.execute(_SQL["confirmed_too_late"], {"tickets": list(tickets), **over_after})
    for (ticket_no,) in await cursor.fetchall():
        await take_step(connection, ticket_no, "dismissed", now, "over")
        refuted += 1
    return confirmed, refuted
