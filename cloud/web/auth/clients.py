"""API clients: programs, each with its scopes and its tokens. A token is shown once, when it is made."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row

from cloud.db import queries
from cloud.db.pool import Pool
from cloud.web.auth.changes import Connection
from cloud.web.auth.identity import Identity
from cloud.web.auth.permissions import scopes_of
from cloud.web.auth.session_store import token_hash

MARK = "fc_"  # what every token begins with: found by scanners when one gets where it should not be
_SQL = queries.load("access")


@dataclass(frozen=True, slots=True)
class ClientToken:
    """A client with one of its tokens, if it has any."""

    name: str
    scopes: list[str]
    disabled_at: datetime | None
    begins: str | None
    created_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


async def issue(
    connection: Connection, name: str, scopes: Iterable[str], created_by: str, lasts: timedelta | None = None
) -> str:
    """Make a token for a client, and the client, or give it these scopes. Returns the token.

    Raises:
        UnknownRole: no such scope.
    """
    wanted = sorted(scopes_of(scopes))
    token = MARK + secrets.token_urlsafe(32)
    async with connection.transaction():
        cursor = await connection.execute(
            _SQL["add_client"], {"name": name, "scopes": wanted, "created_by": created_by}
        )
        row = await cursor.fetchone()
        assert row is not None
        await connection.execute(
            _SQL["add_api_token"],
            {
                "token_hash": token_hash(token),
                "client_no": row[0],
                "begins": token[:8],
                "created_by": created_by,
                "lasts": lasts,
            },
        )
    return token


async def find(pool: Pool, token: str) -> Identity | None:
    """The client whose token this is; None when it is unknown, revoked or over."""
    async with pool.connection() as connection:
        cursor = await connection.execute(_SQL["client_of_token"], {"token_hash": token_hash(token)})
        row: tuple[object, ...] | None = await cursor.fetchone()
    if row is None:
        return None
    name, scopes = row
    assert isinstance(scopes, list)
    return Identity(str(name), "client", scopes_of(map(str, scopes)))


async def listed(connection: Connection) -> list[ClientToken]:
    """All clients with their tokens, by name."""
    async with connection.cursor(row_factory=class_row(ClientToken)) as cursor:
        await cursor.execute(_SQL["clients"])
        return await cursor.fetchall()


async def revoke(connection: Connection, name: str, begins: str | None = None) -> int:
    """Revoke a client's tokens, or the one that begins so; returns how many were."""
    cursor = await connection.execute(_SQL["revoke_tokens"], {"name": name, "begins": begins})
    return cursor.rowcount
