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
from cloud.ingest.writer import Writer

log = structlog.get_logger(__name__)

PROGRAM = "ingest"


async def report_forever(
    pool: Pool, settings: IngestSettings, counters: Counters, subscriber: Subscriber, writer: Writer
) -> None:
    """Every `health_interval_s` write the counters, and who was heard. A database that is away is tried again."""
    while True:
        try:
            await report(pool, settings, counters, subscriber)
            await writer.note_heard()
        except (psycopg.Error, PoolTimeout, OSError) as error:
            log.warning("health_not_written", error=str(error))
        await asyncio.sleep(settings.health_interval_s)


async def report(pool: Pool, settings: IngestSettings, counters: Counters, subscriber: Subscriber) -> None:
    """Write them once."""
    snapshot = {**counters.snapshot(), "broker_connected": subscriber.connected}
    async with pool.connection() as connection:
        await connection.execute(load("ingest")["report_health"], [PROGRAM, settings.instance, Jsonb(snapshot)])
