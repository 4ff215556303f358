"""What has to be done now and then: roll-ups, retention, compression."""

from __future__ import annotations

import asyncio
import time

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from cloud.db.pool import Pool
from cloud.db.queries import load
from cloud.ingest.hourly import HourlyBook
from cloud.ingest.rollup import roll_up_all
from cloud.ingest.settings import IngestSettings

log = structlog.get_logger(__name__)

RETENTION_EVERY_S = 3_600.0


async def upkeep_forever(pool: Pool, settings: IngestSettings, book: HourlyBook) -> None:
    """Roll up every `upkeep_interval_s`; once an hour drop and compress what is old."""
    retained_at = float("-inf")
    while True:
        try:
            await roll_up_all(pool, book)
            if time.monotonic() - retained_at > RETENTION_EVERY_S:
                await keep_house(pool, settings, book)
                retained_at = time.monotonic()
        except (psycopg.Error, PoolTimeout, OSError) as error:
            log.warning("upkeep_postponed", error=str(error))
        await asyncio.sleep(settings.upkeep_interval_s)


async def keep_house(pool: Pool, settings: IngestSettings, book: HourlyBook | None = None) -> int:
    """Drop frames older than the retention (rolled up first) and batches nobody follows; compress where allowed.

    Returns how many partitions or chunks were dropped.
    """
    queries = load("ingest")
    dropped = 0
    await roll_up_all(pool, book)
    async with pool.connection() as connection:
        if settings.compress_after_days is not None:
            await connection.execute(queries["compress_after"], [settings.compress_after_days])
        if settings.retention_days is not None:
            cursor = await connection.execute(queries["drop_frames"], [settings.retention_days])
            row = await cursor.fetchone()
            dropped = int(str(row[0])) if row else 0
            if dropped:
                log.info("frames_dropped", weeks=dropped, older_than_days=settings.retention_days)
        await connection.execute(queries["forget_batches"])
    return dropped
