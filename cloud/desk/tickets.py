"""Tickets for those who work on them: read, and move by steps. Each function is one transaction.

Times left out are the desk's now (`desk_now()` in the database: the wall clock, or event time in a replay). A
`version`, where given, must be the one that was read: else TicketChanged, and nothing was done.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from cloud.db import queries
from cloud.desk.errors import DeskError, NoSuchTicket, TicketChanged, typed_errors

Connection = AsyncConnection[Any]

_SQL = queries.load("desk")


class State(StrEnum):
    """Where a ticket stands."""

    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    CONTACTED = "contacted"
    SCHEDULED = "scheduled"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"


NEXT: dict[State, frozenset[State]] = {
    State.PROPOSED: frozenset({State.CONFIRMED, State.DISMISSED}),
    State.CONFIRMED: frozenset({State.CONTACTED, State.DISMISSED}),
    State.CONTACTED: frozenset({State.SCHEDULED, State.RESOLVED, State.DISMISSED}),
    State.SCHEDULED: frozenset({State.CONTACTED, State.RESOLVED, State.DISMISSED}),
    State.RESOLVED: frozenset(),
    State.DISMISSED: frozenset(),
}
"""The legal steps, as table ticket_transition holds them; a test keeps the two equal."""

OPEN = frozenset(state for state, following in NEXT.items() if following)


class Outcome(StrEnum):
    """What was found at the end."""

    FAULT_CONFIRMED = "fault_confirmed"
    OTHER_FAULT = "other_fault"
    NO_FAULT_FOUND = "no_fault_found"
    CAUSED_BY_USE = "caused_by_use"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found: the label that the detector learns from.

    failed_at: when the appliance stopped doing its work, if it did. found_at None: the desk's now.
    """

    outcome: Outcome
    code: str | None = None
    part: str | None = None
    note: str = ""
    failed_at: datetime | None = None
    found_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TicketCard:
    """A ticket with the names that its four codes lead to; the columns of view ticket_card."""

    ticket_no: int
    state: str
    problem: str
    severity: str
    safety: str
    probability: float
    expected_value: float
    rank_reason: dict[str, str]
    customer_words: dict[str, str]
    likely_part: str | None
    detected_at: datetime
    raised_at: datetime
    confirmed_at: datetime | None
    contacted_at: datetime | None
    scheduled_for: datetime | None
    noticed_at: datetime | None
    failed_at: datetime | None
    closed_at: datetime | None
    closing_reason: str | None
    version: int
    device_no: int
    device: str
    user_id: str
    gtin: str
    serial: str
    produced_on: Any
    lot: str | None
    model: str
    model_name: str
    family: str
    price_band: str
    definition_no: int | None
    meaning: dict[str, str] | None
    self_help: dict[str, list[str]] | None
    likely_parts: list[str] | None
    confirmation_rule: dict[str, Any] | None
    fault_stands: bool


@dataclass(frozen=True, slots=True)
class Step:
    """Who moved a ticket, when, from where to where, and why."""

    step_no: int
    ticket_no: int
    from_state: str | None
    to_state: str
    person: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a ticket rests on: seen first and last (event time), how often, with what probability, and why."""

    case_no: int
    kind: str
    first_seen_at: datetime
    last_seen_at: datetime
    times: int
    probability: float
    reason: dict[str, Any] | None


async def list_open(
    connection: Connection,
    *,
    state: State | None = None,
    after: tuple[float, int] | None = None,
    at_most: int = 100,
) -> list[TicketCard]:
    """Open tickets, worth most first; `after` is (expected_value, ticket_no) of the last one that was read."""
    async with connection.cursor(row_factory=class_row(TicketCard)) as cursor:
        await cursor.execute(
            _SQL["open_tickets"],
            {
                "state": state,
                "after_value": after and after[0],
                "after_no": after and after[1],
                "at_most": at_most,
            },
        )
        return await cursor.fetchall()


async def get(connection: Connection, ticket_no: int) -> TicketCard:
    """One ticket. NoSuchTicket if there is none."""
    async with connection.cursor(row_factory=class_row(TicketCard)) as cursor:
        await cursor.execute(_SQL["ticket"], {"ticket_no": ticket_no})
        found = await cursor.fetchone()
    if found is None:
        raise NoSuchTicket(f"there is no ticket {ticket_no}")
    return found


async def steps(connection: Connection, ticket_no: int) -> list[Step]:
    """A ticket's history, oldest first."""
    async with connection.cursor(row_factory=class_row(Step)) as cursor:
        await cursor.execute(_SQL["steps"], {"ticket_no": ticket_no})
        return await cursor.fetchall()


async def evidence(connection: Connection, ticket_no: int) -> list[Evidence]:
    """What a ticket rests on, oldest first."""
    async with connection.cursor(row_factory=class_row(Evidence)) as cursor:
        await cursor.execute(_SQL["evidence"], {"ticket_no": ticket_no})
        return await cursor.fetchall()


async def finding(connection: Connection, ticket_no: int) -> dict[str, Any] | None:
    """A resolved ticket's finding."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["finding_of_ticket"], {"ticket_no": ticket_no})
        return await cursor.fetchone()


async def confirm(
    connection: Connection,
    ticket_no: int,
    person: str,
    reason: str = "",
    *,
    at: datetime | None = None,
    version: int | None = None,
) -> None:
    """The fault is real: the customer may be called. IllegalStep, NoSuchTicket, TicketChanged."""
    await _move(connection, ticket_no, State.CONFIRMED, person, reason, at=at, version=version)


async def contact(
    connection: Connection,
    ticket_no: int,
    person: str,
    reason: str = "",
    *,
    at: datetime | None = None,
    version: int | None = None,
) -> None:
    """The customer was reached. FormerOwner: the user does not have the device any more; do not call."""
    await _move(connection, ticket_no, State.CONTACTED, person, reason, at=at, version=version)


async def schedule(
    connection: Connection,
    ticket_no: int,
    person: str,
    scheduled_for: datetime,
    *,
    at: datetime | None = None,
    version: int | None = None,
) -> None:
    """A visit was agreed for that time. FormerOwner as for `contact`."""
    with typed_errors():
        async with connection.transaction():
            await _move(connection, ticket_no, State.SCHEDULED, person, "", at=at, version=version)
            await connection.execute(_SQL["set_appointment"], {"ticket_no": ticket_no, "scheduled_for": scheduled_for})


async def resolve(
    connection: Connection,
    ticket_no: int,
    person: str,
    found: Finding,
    *,
    at: datetime | None = None,
    version: int | None = None,
) -> int:
    """The ticket ends with a finding, which goes to the detector as a label; returns the finding's number."""
    with typed_errors():
        async with connection.transaction():
            await _move(connection, ticket_no, State.RESOLVED, person, found.outcome, at=at, version=version)
            device_no = (await get(connection, ticket_no)).device_no
            await connection.execute(_SQL["set_failed"], {"ticket_no": ticket_no, "at": found.failed_at})
            return await _put_finding(connection, ticket_no, device_no, person, found)


async def dismiss(
    connection: Connection,
    ticket_no: int,
    person: str,
    reason: str,
    *,
    at: datetime | None = None,
    version: int | None = None,
) -> None:
    """The ticket ends without a call or a visit, for a reason."""
    if not reason.strip():
        raise DeskError("a dismissal needs a reason")
    await _move(connection, ticket_no, State.DISMISSED, person, reason, at=at, version=version)


async def notice(connection: Connection, ticket_no: int, at: datetime) -> None:
    """The customer says that they noticed the fault at that time, called or not; the earliest word counts."""
    cursor = await connection.execute(_SQL["set_noticed"], {"ticket_no": ticket_no, "at": at})
    if cursor.rowcount == 0:
        raise NoSuchTicket(f"there is no ticket {ticket_no}")


async def report_failure(connection: Connection, device: str, person: str, found: Finding) -> int:
    """A failure that no ticket foresaw, reported by the customer; returns the finding's number."""
    async with connection.transaction():
        cursor = await connection.execute(_SQL["device_no"], {"device": device})
        row = await cursor.fetchone()
        if row is None:
            raise DeskError(f"there is no device {device}")
        return await _put_finding(connection, None, row[0], person, found)


async def _move(
    connection: Connection,
    ticket_no: int,
    to: State,
    person: str,
    reason: str,
    *,
    at: datetime | None,
    version: int | None,
) -> None:
    """Take a step. The device is locked before the ticket, as the registry's operations do: no deadlock."""
    if not person.strip():
        raise DeskError("a step is taken by somebody: give the person")
    with typed_errors():
        async with connection.transaction():
            await connection.execute(_SQL["lock_device_of_ticket"], {"ticket_no": ticket_no})
            row = await (await connection.execute(_SQL["lock_ticket"], {"ticket_no": ticket_no})).fetchone()
            if row is None:
                raise NoSuchTicket(f"there is no ticket {ticket_no}")
            if version is not None and row[0] != version:
                raise TicketChanged(
                    f"ticket {ticket_no} is at version {row[0]} ({row[1]}), you had read version {version}"
                )
            await connection.execute(
                _SQL["step"],
                {"ticket_no": ticket_no, "to_state": to, "person": person, "at": at, "reason": reason},
            )


async def _put_finding(
    connection: Connection, ticket_no: int | None, device_no: int, person: str, found: Finding
) -> int:
    cursor = await connection.execute(
        _SQL["put_finding"],
        {
            "ticket_no": ticket_no,
            "device_no": device_no,
            "outcome": found.outcome,
            "code": found.code,
            "part": found.part,
            "note": found.note,
            "person": person,
            "failed_at": found.failed_at,
            "found_at": found.found_at,
        },
    )
    row = await cursor.fetchone()
    if row is None:
        raise DeskError("the finding was not written")
    return int(row[0])
