"""Changing the database in somebody's name: permission first, then one transaction whose audit entries name them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection

from cloud.db import queries
from cloud.db.pool import Pool
from cloud.web.auth.identity import Identity, require
from cloud.web.auth.permissions import Permission

Connection = AsyncConnection[Any]


async def act_as(connection: Connection, identity: Identity) -> None:
    """Until the transaction's end, audit entries name this person, or this client."""
    name = f"client {identity.name}" if identity.kind == "client" else identity.name
    await connection.execute(queries.load("access")["act_as"], {"person": name})


@asynccontextmanager
async def changing(pool: Pool, permission: Permission) -> AsyncIterator[Connection]:
    """A connection in one transaction, in the name of whoever acts here.

    Raises:
        Problem: they may not do this.
    """
    identity = require(permission)
    async with pool.connection() as connection, connection.transaction():
        await act_as(connection, identity)
        yield connection
