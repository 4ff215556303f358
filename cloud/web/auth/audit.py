"""Reading the audit log, and proving that it is whole. It is written by the database's triggers alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from psycopg.rows import class_row
from pydantic import BaseModel, Field

from cloud.db import queries
from cloud.db.pool import Pool
from cloud.web.auth.changes import Connection

Action = Literal["insert", "update", "delete", "truncate", "look"]
_SQL = queries.load("access")


class Entry(BaseModel):
    """One change, or one look at personal data."""

    entry_no: int
    at: datetime
    person: str | None = Field(description="In whose name; null: a program of itself.")
    program: str
    login: str = Field(description="The database role that signed in.")
    action: Action
    subject: str = Field(description="The table.")
    key: dict[str, Any] = Field(description="The row's primary key.")
    detail: dict[str, Any] = Field(description="Which columns changed; values only where they tell of no customer.")
    position: int | None = Field(description="Place in the chain of seals; null for a moment after the change.")
    hash: str | None = Field(description="SHA-256 over the hash before and this entry, in hexadecimal.")


class Head(BaseModel):
    """The newest seal. Whoever keeps it elsewhere can show later that nothing before it was altered or cut off."""

    position: int
    hash: str

    def __str__(self) -> str:
        return f"{self.position}:{self.hash}"


class Verdict(BaseModel):
    """Whether the log is whole."""

    whole: bool
    head: Head | None = Field(description="The newest seal; null while nothing is sealed.")
    wrong: list[str] = Field(description="What is not as it was sealed, the first hundred places.")


async def entries(
    pool: Pool,
    limit: int,
    before: int | None = None,
    *,
    person: str | None = None,
    subject: str | None = None,
    action: Action | None = None,
) -> list[Entry]:
    """Entries, the newest first."""
    parameters = {"limit": limit, "number": before, "person": person, "subject": subject, "action": action}
    async with pool.connection() as connection, connection.cursor(row_factory=class_row(Entry)) as cursor:
        await cursor.execute(_SQL["audit_entries"], parameters)
        return await cursor.fetchall()


async def verify(connection: Connection, known: Head | None = None) -> Verdict:
    """Reckon the whole chain anew; with `known`, a head kept elsewhere, also that the log still holds it."""
    rows = await (await connection.execute(_SQL["audit_faults"])).fetchall()
    wrong = [f"seal {place}: {what}" if place is not None else str(what) for place, what in rows]
    head = await head_at(connection)
    if known is not None:
        held = await head_at(connection, known.position)
        if held != known:
            wrong.insert(0, f"seal {known.position} was {known.hash}, and is {held.hash if held else 'gone'}")
    return Verdict(whole=not wrong, head=head, wrong=wrong)


async def head_at(connection: Connection, position: int | None = None) -> Head | None:
    """The newest seal, or the one at a position."""
    async with connection.cursor(row_factory=class_row(Head)) as cursor:
        await cursor.execute(_SQL["audit_head"], {"position": position})
        return await cursor.fetchone()
