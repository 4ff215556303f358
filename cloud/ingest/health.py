"""Counters written to program_health, where other programs and any SQL tool find them."""

from __future__ import annotations

import asyncio

import psycopg
import structlog
from psycopg.types.json import Jsonb
from psycopg_pool import PoolTimeout

from cloud.db.pool import Pool
from cloud.db.queries import load
from cloud.ingest.counters import Counters
from cloud.ingest.ports import Subscriber
from cloud.ingest.settings import IngestSettings

log = structlog.get_logger(__name__)

PROGRAM = "ingest"


async def report_forever(pool: Pool, settings: IngestSettings, counters: Counters, subscriber: Subscriber) -> None:
    """Write the counters every `health_interval_s`. A database that is away is noted and tried again."""
    while True:
        try:
            await report(pool, settings, counters, subscriber)
        except (psycopg.Error, PoolTimeout, OSError) as error:
            log.warning("health_not_written", error=str(error))
        await asyncio.sleep(settings.health_interval_s)


async def report(pool: Pool, settings: IngestSettings, counters: Counters, subscriber: Subscriber) -> None:
    """Write them once."""
    snapshot = {**counters.snapshot(), "broker_connected": subscriber.connected}
    async with pool.connection() as connection:
        await connection.execute(load("ingest")["report_health"], [PROGRAM, settings.instance, Jsonb(snapshot)])
