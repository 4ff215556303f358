"""Moving a ticket: the desk's operations, with its refusals told as problems."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cloud.db.pool import Pool
from cloud.desk import tickets
from cloud.desk.dispatch import clocks
from cloud.desk.errors import DeskError, NoSuchTicket, TicketChanged
from cloud.desk.tickets import Connection, Finding
from cloud.desk.triage.overrule import overrule
from cloud.web.auth.changes import changing
from cloud.web.auth.permissions import Permission
from cloud.web.problems import Problem, conflict, not_found, unprocessable

Move = Literal["confirmed", "contacted"]
Delay = Literal["customer_unreachable", "customer_asked_later", "waiting_for_part", "no_access"]
"""Why a person may stop a service clock; `watching` is the desk's own."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who takes a step, and the version of the ticket that they had before their eyes (None: any)."""

    person: str
    version: int | None = None


@asynccontextmanager
async def _desk(pool: Pool, permission: Permission) -> AsyncIterator[Connection]:
    """A connection for the desk, for somebody who may do this; what the desk refuses becomes a problem."""
    try:
        async with changing(pool, permission) as connection:
            yield connection
    except NoSuchTicket as error:
        raise Problem(404, "not-found", str(error)) from error
    except TicketChanged as error:
        raise Problem(412, "changed", f"{error}; look at it again") from error
    except DeskError as error:
        raise conflict(str(error)) from error


async def move(pool: Pool, ticket_no: int, to_state: Move, actor: Actor, *, reason: str = "") -> None:
    """Confirm the fault, or write down that the customer was contacted."""
    take, needs = (
        (tickets.confirm, Permission.CONFIRM) if to_state == "confirmed" else (tickets.contact, Permission.CONTACT)
    )
    async with _desk(pool, needs) as desk:
        await take(desk, ticket_no, actor.person, reason.strip(), version=actor.version)


async def dismiss(pool: Pool, ticket_no: int, reason: str, actor: Actor) -> None:
    """There is nothing to do, for a reason."""
    if not reason.strip():
        raise unprocessable("say why there is nothing to do")
    async with _desk(pool, Permission.DISMISS) as desk:
        await tickets.dismiss(desk, ticket_no, actor.person, reason.strip(), version=actor.version)


async def schedule(pool: Pool, ticket_no: int, at: datetime, actor: Actor) -> None:
    """Agree on a visit."""
    async with _desk(pool, Permission.SCHEDULE) as desk:
        await tickets.schedule(desk, ticket_no, actor.person, at, version=actor.version)


async def resolve(pool: Pool, ticket_no: int, finding: Finding, actor: Actor) -> None:
    """Close with what was found: the detector's label."""
    async with _desk(pool, Permission.RESOLVE) as desk:
        await tickets.resolve(desk, ticket_no, actor.person, finding, version=actor.version)


async def reopen(pool: Pool, ticket_no: int, reason: str, person: str) -> int:
    """The rule refuted a fault, and a person knows better: another ticket, confirmed. Returns its number."""
    if not reason.strip():
        raise unprocessable("say why the fault is real")
    async with _desk(pool, Permission.CONFIRM) as desk:
        return await overrule(desk, ticket_no, person, "confirmed", reason.strip())


async def stop_clock(pool: Pool, ticket_no: int, reason: Delay, lasts: timedelta | None, person: str) -> None:
    """Stop a ticket's service clocks for so long, or until `run_clock`."""
    async with _desk(pool, Permission.CONTACT) as desk:
        until = None if lasts is None else await clocks.desk_now(desk) + lasts
        if not await clocks.pause(desk, ticket_no, reason, person, until):
            raise conflict(f"the clocks of ticket {ticket_no} are stopped already")


async def run_clock(pool: Pool, ticket_no: int) -> None:
    """Let a ticket's service clocks run on. That they run already is no error."""
    async with _desk(pool, Permission.CONTACT) as desk:
        await clocks.resume(desk, ticket_no)


async def report_failure(pool: Pool, device: str, finding: Finding, person: str) -> int:
    """A failure that no ticket foresaw; returns the finding's number."""
    try:
        async with _desk(pool, Permission.REPORT) as desk:
            return await tickets.report_failure(desk, device, person, finding)
    except Problem as problem:
        if problem.status == 409:
            raise not_found(f"device {device}") from problem
        raise
