"""Sessions in the database: revocable, and their token rotates. The cookie holds 256 random bits; the database a hash.

A session's token is replaced by a new one from time to time. The one before stays good until the new one was used and
a minute more (requests under way, answers that a flaky network lost); whoever shows it later has a copy, and the
session ends.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from psycopg.rows import dict_row

from cloud.db import queries
from cloud.db.pool import Pool
from cloud.web.auth.changes import Connection
from cloud.web.auth.identity import Identity
from cloud.web.auth.permissions import EVERYTHING, permissions_of

COOKIE = "firstcall_session"
GRACE_S = 60.0
log = structlog.get_logger()
_SQL = queries.load("access")


def token_hash(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True)
class Found:
    """Whose session it is, and the new token if it was rotated."""

    identity: Identity
    new_token: str | None = None


async def begin(connection: Connection, name: str, account_no: int | None, lasts: timedelta) -> str:
    """Begin a session; returns its token. account_no None: signed in with the shared password."""
    async with connection.transaction():
        parameters = {"name": name, "account_no": account_no, "lasts": lasts}
        row = await (await connection.execute(_SQL["begin_session"], parameters)).fetchone()
        assert row is not None
        token = secrets.token_urlsafe(32)
        await connection.execute(_SQL["add_session_token"], {"token_hash": token_hash(token), "session_no": row[0]})
    return token


async def find(pool: Pool, token: str, rotate_after: timedelta | None) -> Found | None:
    """Whose session this token is; None when it is unknown, over, revoked or a copy. rotate_after None: no rotation."""
    hashed = token_hash(token)
    async with pool.connection() as connection:
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(_SQL["session"], {"token_hash": hashed})
            row = await cursor.fetchone()
        if row is None:
            return None
        if row["replaced_s"] is not None and row["replaced_s"] > GRACE_S:
            await end(connection, row["session_no"], "old_token_used")
            log.warning("session.old_token_used", operator=row["name"])
            return None
        if row["first_use"]:
            await connection.execute(_SQL["first_use"], {"token_hash": hashed})
        new = None
        if rotate_after is not None and row["token_age_s"] > rotate_after.total_seconds():
            new = await _rotate(connection, row["session_no"])
    return Found(_identity(row), new)


async def _rotate(connection: Connection, session_no: int) -> str | None:
    token = secrets.token_urlsafe(32)
    parameters = {"token_hash": token_hash(token), "session_no": session_no}
    issued = await (await connection.execute(_SQL["rotate"], parameters)).fetchone()
    return token if issued else None


async def stands(pool: Pool, identity: Identity) -> bool:
    """Whether the session behind a live connection still stands, with at least the permissions that it had."""
    if identity.session_no is None:
        return True
    async with pool.connection() as connection:
        cursor = await connection.execute(_SQL["session_stands"], {"session_no": identity.session_no})
        row: Any = await cursor.fetchone()
    return row is not None and (row[1] is None or permissions_of(row[1]) >= identity.permissions)


async def end(connection: Connection, session_no: int, because: str) -> None:
    """End a session. Idempotent."""
    await connection.execute(_SQL["end_session"], {"session_no": session_no, "because": because})


def _identity(row: dict[str, Any]) -> Identity:
    may = EVERYTHING if row["roles"] is None else permissions_of(row["roles"])
    return Identity(row["name"], "person", may, row["session_no"], row["engineer"])
