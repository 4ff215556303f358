"""Hourly roll-ups of newly committed frames.

Each committed batch is counted in exactly once: the cursor over batches moves in the same transaction as the
roll-ups. So late data is merged into its hour, whenever it comes, without reading that hour again, and roll-ups of
frames that retention has dropped stay right.

What this process stored itself it has summed up already (`hourly`). Batches of other ingestors, batches with
duplicates, and those of before a restart are computed from the frames by the database.
"""

from __future__ import annotations

from itertools import takewhile

from psycopg import AsyncConnection

from cloud.db.pool import Pool
from cloud.db.queries import load
from cloud.ingest.hourly import HourlyBook, HourlyParts, copy_parts

Connection = AsyncConnection[tuple[object, ...]]

CONSUMER = "rollup"
BATCHES = 5_000
"""Of one transaction, where they are summed up already."""

BATCHES_IN_SQL = 64
"""Of one transaction, where the database computes them: it holds their samples in memory."""


async def roll_up(pool: Pool, book: HourlyBook | None = None) -> int:
    """Count in the next committed batches; returns how many.

    0: nothing to do, another process is at it, or what was sealed is not yet safe to read (a transaction that began
    earlier is still running): it is left for the next call.
    """
    book = book or HourlyBook()
    if not book.sealed.batches:
        book.seal()
    queries = load("ingest")
    async with pool.connection() as connection, connection.transaction():
        await connection.execute(queries["start_cursor"], [CONSUMER])
        cursor = await connection.execute(queries["take_cursor"], [CONSUMER])
        position = await cursor.fetchone()
        if position is None:
            return 0
        cursor = await connection.execute(queries["next_batches"], [*position, BATCHES])
        listed = list(takewhile(lambda row: not book.is_growing(_number(row)), await cursor.fetchall()))
        sealed = book.sealed
        missing = sealed.batches - set(map(_number, listed))
        if missing:
            cursor = await connection.execute(queries["any_passed"], [list(missing), *position])
            if await cursor.fetchone() == (False,):
                return 0
            sealed.clear()  # another process counted some of them: leave all to the database
        others = [row for row in listed if _number(row) not in sealed.batches]
        if len(others) > BATCHES_IN_SQL:
            sealed.clear()  # a backlog: the cursor cannot leap over it
            listed = others = listed[:BATCHES_IN_SQL]
        if not listed:
            return 0
        if others:
            numbers = [_number(row) for row in others]
            await connection.execute(queries["roll_up_frames"], [numbers, _least(others), _greatest(others)])
        if sealed.batches:
            await _write(connection, sealed)
        await connection.execute(queries["move_cursor"], [listed[-1][0], _number(listed[-1]), CONSUMER])
    book.seal()
    return len(listed)


def _number(row: tuple[object, ...]) -> int:
    return int(str(row[1]))


def _least(rows: list[tuple[object, ...]]) -> object:
    return min(row[2] for row in rows)  # type: ignore[type-var]


def _greatest(rows: list[tuple[object, ...]]) -> object:
    return max(row[3] for row in rows)  # type: ignore[type-var]


async def _write(connection: Connection, parts: HourlyParts) -> None:
    queries = load("ingest")
    await connection.execute(queries["make_rollup_staging"])
    async with connection.cursor() as cursor:
        async with cursor.copy(queries["copy_rollup_staging"]) as copy:
            await copy.write(copy_parts(parts.merged()))
        await cursor.execute(queries["merge_rollup_staging"])


async def roll_up_all(pool: Pool, book: HourlyBook | None = None) -> int:
    """Until nothing is left; returns the batches counted in."""
    total = 0
    while done := await roll_up(pool, book):
        total += done
    return total
