"""Hourly roll-ups of newly committed frames.

Each committed batch is counted in exactly once: the cursor over batches moves in the same transaction as the
roll-ups. So late data is merged into its hour, whenever it comes, without reading that hour again, and roll-ups of
frames that retention has dropped stay right. `rebuild` computes hours anew from the frames that are there.
"""

from __future__ import annotations

from psycopg import AsyncConnection

from cloud.db.pool import Pool
from cloud.db.queries import load

Connection = AsyncConnection[tuple[object, ...]]

CONSUMER = "rollup"
BATCHES = 64


async def roll_up(pool: Pool, batches: int = BATCHES) -> int:
    """Count in the next committed batches; return how many there were (0: nothing to do, or another does it)."""
    async with pool.connection() as connection, connection.transaction():
        cursor = await connection.execute(load("ingest")["roll_up"], {"at_most": batches})
        row = await cursor.fetchone()
        return int(str(row[0])) if row else 0


async def roll_up_all(pool: Pool) -> int:
    """Until nothing is left; returns the batches counted in."""
    total = 0
    while done := await roll_up(pool):
        total += done
    return total
