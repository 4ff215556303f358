"""What people do about verdicts: read them, overrule them with a reason, ask a device to test itself.

Each function is one transaction. What a person said is not judged again by the desk.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import class_row

from cloud.db import queries
from cloud.desk import tickets
from cloud.desk.errors import DeskError, IllegalStep, NoSuchTicket, TicketChanged, typed_errors
from cloud.desk.tickets import State
from cloud.desk.triage.evidence import Connection
from cloud.desk.triage.examine import ask_self_test, self_test_id
from cloud.desk.triage.settings import TriageSettings

_SQL = queries.load("triage")
_DESK = queries.load("desk")

REFUTED = "refuted"
"""The reason with which the desk dismisses a ticket whose every case is refuted."""


@dataclass(frozen=True, slots=True)
class TicketVerdict:
    """The verdict on a ticket: that of its case that speaks most for it; the columns of view ticket_verdict.

    reasons: one entry a test with test, outcome (holds, fails, open, unknown), en, zh. person 'desk': triage itself.
    """

    ticket_no: int
    case_no: int
    verdict: str
    reasons: list[dict[str, str]]
    evidence: dict[str, Any]
    judged_at: datetime | None
    look_at: datetime | None
    person: str
    note: str
    self_test: str | None


@dataclass(frozen=True, slots=True)
class PastVerdict:
    """One verdict of a ticket's case as it was given."""

    verdict_no: int
    case_no: int
    verdict: str
    reasons: list[dict[str, str]]
    person: str
    note: str
    at: datetime


async def verdict(connection: Connection, ticket_no: int) -> TicketVerdict | None:
    """The verdict on a ticket; None if it was never judged."""
    async with connection.cursor(row_factory=class_row(TicketVerdict)) as cursor:
        await cursor.execute(_SQL["verdict_of_ticket"], {"ticket_no": ticket_no})
        return await cursor.fetchone()


async def verdicts(connection: Connection, ticket_no: int) -> list[PastVerdict]:
    """All verdicts on a ticket's cases, oldest first."""
    async with connection.cursor(row_factory=class_row(PastVerdict)) as cursor:
        await cursor.execute(_SQL["verdicts_of_ticket"], {"ticket_no": ticket_no})
        return await cursor.fetchall()


async def overrule(
    connection: Connection,
    ticket_no: int,
    person: str,
    says: Literal["confirmed", "refuted"],
    reason: str,
    *,
    version: int | None = None,
) -> int:
    """A person says what a ticket's cases are; the ticket moves accordingly. Returns the ticket that now stands for it.

    confirmed: a proposed ticket is confirmed; one that the desk had refuted is opened anew (another number) and
    confirmed. refuted: an open ticket is dismissed.

    Raises:
        DeskError: no person or no reason. NoSuchTicket, TicketChanged. IllegalStep: the ticket is closed for another
        cause, or a new one is open for the same problem.
    """
    if not person.strip() or not reason.strip():
        raise DeskError("overruling a verdict needs a person and a reason")
    with typed_errors():
        async with connection.transaction():
            state, closing = await _lock(connection, ticket_no, version)
            if closing == REFUTED and says == "confirmed":
                ticket_no = await _reopen(connection, ticket_no, person, reason)
                state = State.PROPOSED
            elif state not in tickets.OPEN:
                raise IllegalStep(f"ticket {ticket_no} is {state}: its verdict cannot be changed any more")
            said = {"ticket_no": ticket_no, "verdict": says, "person": person, "note": reason}
            await connection.execute(_SQL["add_overruled"], said)
            await connection.execute(_SQL["overrule"], said)
            if says == "refuted":
                await tickets.dismiss(connection, ticket_no, person, f"{REFUTED}: {reason}")
            elif state == State.PROPOSED:
                await tickets.confirm(connection, ticket_no, person, reason)
            return ticket_no


async def request_self_test(connection: Connection, ticket_no: int, person: str, settings: TriageSettings) -> str:
    """Ask the ticket's device to test itself, again if need be; returns the command's id. NoSuchTicket."""
    async with connection.transaction():
        row = await (await connection.execute(_SQL["cases_to_test"], {"ticket_no": ticket_no})).fetchone()
        if row is None:
            raise NoSuchTicket(f"there is no ticket {ticket_no} with a case")
        case_no, device_no, tries = row
        now = await (await connection.execute(_DESK["now"])).fetchone()
        assert now is not None
        command_id = self_test_id(case_no, tries)
        await ask_self_test(connection, command_id, device_no, person=person, now=now[0], settings=settings)
        await connection.execute(_SQL["note_self_test"], {"case_no": case_no, "command_id": command_id})
        return command_id


async def _lock(connection: Connection, ticket_no: int, version: int | None) -> tuple[State, str | None]:
    await connection.execute(_DESK["lock_device_of_ticket"], {"ticket_no": ticket_no})
    row = await (await connection.execute(_DESK["lock_ticket"], {"ticket_no": ticket_no})).fetchone()
    if row is None:
        raise NoSuchTicket(f"there is no ticket {ticket_no}")
    if version is not None and row[0] != version:
        raise TicketChanged(f"ticket {ticket_no} is at version {row[0]} ({row[1]}), you had read version {version}")
    return State(row[1]), (await tickets.get(connection, ticket_no)).closing_reason


async def _reopen(connection: Connection, ticket_no: int, person: str, reason: str) -> int:
    row = await (await connection.execute(_SQL["reopen"], {"ticket_no": ticket_no})).fetchone()
    if row is None:
        raise IllegalStep(f"the problem of ticket {ticket_no} has a new ticket already")
    new = int(row[0])
    await connection.execute(
        _DESK["step"], {"ticket_no": new, "to_state": "proposed", "person": person, "at": None, "reason": reason}
    )
    await connection.execute(_SQL["move_cases"], {"ticket_no": ticket_no, "to": new})
    return new
