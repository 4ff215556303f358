"""What the web program does by itself: fills and delivers webhooks' outboxes, seals the audit log, throws away what is
over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx
import psycopg
import structlog
from psycopg_pool import PoolTimeout

from cloud.db import queries
from cloud.db.pool import Pool
from cloud.web import events
from cloud.web.notices import Notices
from cloud.web.settings import WebSettings
from cloud.web.webhooks.deliver import TIMEOUT_S, deliver
from cloud.web.webhooks.store import fill

LOOK_EVERY_S = 1.0
SEAL_AT_MOST = 5_000
PURGE_EVERY_S = 3600.0
RESTS_S = 5.0  # after the database was away
log = structlog.get_logger()
_SQL = queries.load("access")


async def tell_webhooks(pool: Pool, notices: Notices, settings: WebSettings) -> None:
    """Until cancelled."""
    limits = httpx.Timeout(TIMEOUT_S)
    async with httpx.AsyncClient(timeout=limits, follow_redirects=False) as client:
        with notices.subscribe(*events.CHANNELS) as subscription:

            async def turn() -> None:
                await fill(pool)
                if not await deliver(pool, settings, client):
                    await subscription.changes(LOOK_EVERY_S)

            await _again_and_again(turn)


async def keep_order(pool: Pool) -> None:
    """Seal the audit log every second, purge every hour; until cancelled."""
    purged_at = float("-inf")

    async def turn() -> None:
        nonlocal purged_at
        sealed = await _run(pool, "seal", {"at_most": SEAL_AT_MOST})
        if time.monotonic() - purged_at > PURGE_EVERY_S:
            await _run(pool, "purge", None)
            purged_at = time.monotonic()
        if sealed < SEAL_AT_MOST:
            await asyncio.sleep(LOOK_EVERY_S)

    await _again_and_again(turn)


async def _run(pool: Pool, query: str, parameters: dict[str, int] | None) -> int:
    async with pool.connection() as connection:
        cursor = await connection.execute(_SQL[query], parameters)
        row = await cursor.fetchone() if cursor.description else None
    return int(str(row[0])) if row else 0


async def _again_and_again(turn: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await turn()
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("upkeep.interrupted", error=type(error).__name__, said=str(error).split("\n")[0])
            await asyncio.sleep(RESTS_S)
