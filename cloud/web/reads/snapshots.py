"""Figures that take seconds to count on a large fleet: shown as counted last, counted anew behind the reader's back.

What is counted quickly is counted anew for the reader; what takes long is shown as it is, with its time, and a count is
begun for the next one. A count rests twenty times as long as it took, so that it never costs more than a twentieth of
one core of the database.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import psycopg
import structlog
from psycopg.types.json import Jsonb
from psycopg_pool import PoolClosed, PoolTimeout
from pydantic import TypeAdapter

from cloud.db import queries
from cloud.db.pool import Pool
from cloud.web.reads.rows import values

QUICK_S = 0.3
LEAST_REST_S = 5.0
RESTS = 20
log = structlog.get_logger()
_counting: dict[tuple[str, str], asyncio.Task[Any]] = {}


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """Figures, and the desk's now when they were counted."""

    figures: T
    at: datetime


async def kept(pool: Pool, name: str, kind: type[T], count: Callable[[], Awaitable[T]]) -> Kept[T]:
    """The figures of this name: as counted last, or counted now if that is quick or was never done."""
    shape: TypeAdapter[T] = TypeAdapter(kind)
    found = await values(pool, "snapshot", {"name": name})
    if not found:
        return await _count(pool, name, shape, count)
    row = found[0]
    if row["age_s"] > max(LEAST_REST_S, RESTS * row["took_s"]):
        task = _begin(pool, name, shape, count)
        if row["took_s"] < QUICK_S:
            return await asyncio.shield(task)
    return Kept(shape.validate_python(row["body"]), row["desk_at"])


def _begin(pool: Pool, name: str, shape: TypeAdapter[T], count: Callable[[], Awaitable[T]]) -> asyncio.Task[Kept[T]]:
    key = (pool.name + str(id(pool)), name)
    task = _counting.get(key)
    if task is None:
        task = _counting[key] = asyncio.create_task(_count(pool, name, shape, count), name=f"count {name}")
        task.add_done_callback(lambda done: _ended(key, done))
    return task


def _ended(key: tuple[str, str], done: asyncio.Task[Any]) -> None:
    _counting.pop(key, None)
    if not done.cancelled() and (error := done.exception()) is not None:
        away = isinstance(error, psycopg.OperationalError | PoolTimeout | PoolClosed)
        log.log(30 if away else 40, "snapshot.uncounted", name=key[1], error=type(error).__name__)


async def _count(pool: Pool, name: str, shape: TypeAdapter[T], count: Callable[[], Awaitable[T]]) -> Kept[T]:
    began = time.monotonic()
    figures = await count()
    kept_as = {"name": name, "body": Jsonb(shape.dump_python(figures, mode="json")), "took_s": time.monotonic() - began}
    async with pool.connection() as connection:
        await connection.execute(queries.load("web")["keep_snapshot"], kept_as)
        row = await (await connection.execute("SELECT desk_now()")).fetchone()
    at: Any = row[0] if row else None
    return Kept(figures, at)
