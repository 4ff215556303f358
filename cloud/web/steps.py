"""Moving a ticket: the desk's operations, with its refusals told as problems."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from cloud.db import queries
from cloud.db.pool import Pool
from cloud.desk.errors import DeskError, FormerOwner, IllegalStep, NoSuchTicket, TicketChanged, typed_errors
from cloud.web.problems import Problem, not_found, unprocessable
from cloud.web.reads.tickets import Outcome

Move = Literal["confirmed", "contacted", "dismissed"]
_SQL = queries.load("desk")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who takes a step, and the version of the ticket that they had before their eyes (None: any)."""

    person: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class FindingWords:
    """What was found; `failed_at`: when the appliance stopped doing its work, if it did."""

    outcome: Outcome
    code: str | None = None
    part: str | None = None
    note: str = ""
    failed_at: datetime | None = None
    found_at: datetime | None = None


@asynccontextmanager
async def _ticket(pool: Pool, ticket_no: int, actor: Actor) -> AsyncIterator[Any]:
    try:
        with typed_errors():
            async with pool.connection() as connection, connection.transaction():
                cursor = await connection.execute(_SQL["lock_ticket"], {"ticket_no": ticket_no})
                row: Any = await cursor.fetchone()
                if row is None:
                    raise NoSuchTicket
                if actor.version is not None and row[0] != actor.version:
                    raise TicketChanged
                yield connection
    except NoSuchTicket as error:
        raise not_found(f"ticket {ticket_no}") from error
    except TicketChanged as error:
        raise Problem(412, "changed", "somebody else changed this ticket meanwhile; look at it again") from error
    except (IllegalStep, FormerOwner) as error:
        raise Problem(409, "conflict", str(error)) from error
    except DeskError as error:
        raise unprocessable(str(error)) from error


async def move(pool: Pool, ticket_no: int, to_state: Move, actor: Actor, *, reason: str = "") -> None:
    """Confirm, mark as contacted, or dismiss (with a reason)."""
    if to_state == "dismissed" and not reason.strip():
        raise unprocessable("a dismissal needs a reason")
    async with _ticket(pool, ticket_no, actor) as connection:
        await _step(connection, ticket_no, to_state, actor.person, reason.strip())


async def schedule(pool: Pool, ticket_no: int, at: datetime, actor: Actor, *, reason: str = "") -> None:
    """Agree on a visit."""
    async with _ticket(pool, ticket_no, actor) as connection:
        await _step(connection, ticket_no, "scheduled", actor.person, reason.strip())
        await connection.execute(_SQL["set_appointment"], {"ticket_no": ticket_no, "at": at})


async def resolve(pool: Pool, ticket_no: int, finding: FindingWords, actor: Actor) -> None:
    """Close with what was found: the detector's label."""
    async with _ticket(pool, ticket_no, actor) as connection:
        await _step(connection, ticket_no, "resolved", actor.person, finding.note)


async def _step(connection: Any, ticket_no: int, to_state: str, person: str, reason: str) -> None:
    step = {"ticket_no": ticket_no, "to_state": to_state, "person": person, "at": None, "reason": reason}
    await connection.execute(_SQL["step"], step)
