"""Commands go down: whoever wants something of a device writes a row of `command`, and here it is published.

A command is sent again until it is answered or expires, since the port gives no promise of delivery; an agent does the
same command once and repeats its answer (edge_agent/commands.py). So: at least once, and idempotent by its id.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg_pool import PoolTimeout
from pydantic import ValidationError

from cloud.db.pool import Pool
from cloud.db.queries import load
from cloud.ingest.counters import Counters
from cloud.ingest.ports import Subscriber
from cloud.ingest.settings import IngestSettings
from protocols.errors import ProtocolError
from protocols.messages import Command
from protocols.topics import Kind, Topic

log = structlog.get_logger(__name__)

AT_MOST = 500
_SQL = load("commands")


def read_command(row: tuple[Any, ...]) -> tuple[str, bytes]:
    """Topic and payload of a row of query `claim`.

    Raises:
        ValidationError: the instruction is none that the contract knows. ProtocolError: an id is not well formed.
    """
    command_id, gateway, device, instruction, at_ms, expires_ms = row
    command = Command.model_validate({"id": command_id, "at": at_ms, "expires_at": expires_ms, "order": instruction})
    return Topic(gateway, Kind.COMMAND, device).build(), command.encode()


async def send_due(
    connection: AsyncConnection[Any], settings: IngestSettings, subscriber: Subscriber, counters: Counters
) -> int:
    """Publish the commands that are due; returns how many rows were taken: none while the broker is away."""
    if not subscriber.connected:
        return 0
    cursor = await connection.execute(
        _SQL["claim"],
        {
            "resend_after": timedelta(seconds=settings.command_resend_s),
            "partitions": sorted(settings.partitions),
            "at_most": AT_MOST,
        },
    )
    rows = await cursor.fetchall()
    messages = []
    for row in rows:
        try:
            messages.append(read_command(row))
        except (ValidationError, ProtocolError) as error:
            counters.commands_unreadable += 1
            log.warning("command_unreadable", command=row[0], error=str(error))
    if messages:
        await subscriber.publish(messages)
        counters.commands_sent += len(messages)
    return len(rows)


async def send_commands_forever(
    pool: Pool, settings: IngestSettings, subscriber: Subscriber, counters: Counters
) -> None:
    """Send what is due on each NOTIFY `command` and at least every `command_look_s`, until cancelled."""
    while True:
        try:
            async with pool.connection() as connection:
                await connection.execute("LISTEN command")
                await _follow(connection, settings, subscriber, counters)
        except (psycopg.OperationalError, PoolTimeout, OSError) as error:
            log.warning("commands_postponed", error=str(error).strip())
            await asyncio.sleep(settings.command_look_s)


async def _follow(
    connection: AsyncConnection[Any], settings: IngestSettings, subscriber: Subscriber, counters: Counters
) -> None:
    while True:
        while await send_due(connection, settings, subscriber, counters) == AT_MOST:
            pass
        async for _notice in connection.notifies(timeout=settings.command_look_s, stop_after=1):
            pass
