"""Dead letters: listed for people, and read again by what ingest has learnt since."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from cloud.db.pool import Pool, open_pool
from cloud.db.queries import load
from cloud.db.settings import DatabaseSettings
from cloud.ingest.database_errors import is_permanent
from cloud.ingest.intake import TopicReader, read_batch
from cloud.ingest.ports import Arrival
from cloud.ingest.writer import Writer

AT_A_TIME = 200


@dataclass(slots=True)
class Replayed:
    """What became of the dead letters that were read again."""

    stored: int = 0
    refused: int = 0


async def listing(settings: DatabaseSettings, reason: str | None, everything: bool, at_most: int) -> list[str]:
    """A line each, newest first."""
    async with open_pool(settings, "dead-letters") as pool, pool.connection() as connection:
        cursor = await connection.execute(
            load("ingest")["list_dead_letters"], {"reason": reason, "all": everything, "at_most": at_most}
        )
        return [
            f"{number}  {at:%Y-%m-%d %H:%M:%S}Z  x{times}  {why}  {topic}  {size} B  {detail}"
            + (f"  replayed {replayed:%Y-%m-%d %H:%M:%S}Z" if replayed else "")
            for number, at, times, topic, why, detail, size, replayed in await cursor.fetchall()
        ]


async def replay(settings: DatabaseSettings, numbers: Sequence[int] | None, reason: str | None) -> Replayed:
    """Read dead letters again, store what can be stored and mark it as replayed.

    No receipt goes out: the gateway was told at the time that the message was filed, and has freed it.
    """
    outcome = Replayed()
    after = 0
    async with open_pool(settings, "dead-letters") as pool:
        writer = Writer(pool)
        while chosen := await _next(pool, numbers, reason, after):
            after = int(str(chosen[-1][0]))
            for number, topic, payload in chosen:
                stored = await _store_again(writer, str(topic), bytes(payload))  # type: ignore[call-overload]
                outcome.stored += stored
                outcome.refused += not stored
                if stored:
                    async with pool.connection() as connection:
                        await connection.execute(load("ingest")["mark_replayed"], [[number]])
    return outcome


async def _next(pool: Pool, numbers: Sequence[int] | None, reason: str | None, after: int) -> list[tuple[object, ...]]:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            load("ingest")["dead_letters_to_replay"],
            {"numbers": list(numbers) if numbers else None, "reason": reason, "after": after, "at_most": AT_A_TIME},
        )
        return await cursor.fetchall()


async def _store_again(writer: Writer, topic: str, payload: bytes) -> bool:
    intake = read_batch([Arrival(topic, payload)], time.time_ns() // 1_000_000, TopicReader())
    if intake.poison:
        return False
    try:
        await writer.store(intake, time.time_ns() // 1_000)
    except Exception as error:
        if is_permanent(error):
            return False
        raise
    return True
