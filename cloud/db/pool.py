"""The pool of database connections: explicit open and close, UTC sessions, application name set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from cloud.db.settings import DatabaseSettings

RECONNECT_S = 2.0
"""After so long the pool gives up an attempt to connect; the next request begins anew, without the long pauses that its
own back-off would have grown to while the database was away."""

Pool = AsyncConnectionPool[AsyncConnection[tuple[object, ...]]]


@asynccontextmanager
async def open_pool(settings: DatabaseSettings, program: str) -> AsyncIterator[Pool]:
    """A pool for one program; `program` is shown in pg_stat_activity. Closed on leaving."""
    pool: Pool = AsyncConnectionPool(
        settings.url.get_secret_value(),
        kwargs={"application_name": f"firstcall-{program}", "options": "-c timezone=UTC", "autocommit": True},
        min_size=settings.pool_min,
        max_size=settings.pool_max,
        timeout=settings.connect_timeout_s,
        reconnect_timeout=RECONNECT_S,
        open=False,
        name=program,
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()
