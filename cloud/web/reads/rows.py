"""Running a named query of `web.sql` and reading its rows into shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from psycopg.rows import class_row, dict_row
from pydantic import BaseModel, ConfigDict

from cloud.db import queries
from cloud.db.pool import Pool


class Shape(BaseModel):
    """An answer: immutable; more columns than fields is an error in the query or the shape."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=BaseModel)


async def many(pool: Pool, shape: type[S], name: str, parameters: Mapping[str, Any] | None = None) -> list[S]:
    """All rows of a named query."""
    async with pool.connection() as connection, connection.cursor(row_factory=class_row(shape)) as cursor:
        await cursor.execute(queries.load("web")[name], parameters or {})
        return await cursor.fetchall()


async def one(pool: Pool, shape: type[S], name: str, parameters: Mapping[str, Any] | None = None) -> S | None:
    """The first row of a named query, if there is any."""
    rows = await many(pool, shape, name, parameters)
    return rows[0] if rows else None


async def values(pool: Pool, name: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """All rows of a named query as plain dictionaries, for answers that are put together from several."""
    async with pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(queries.load("web")[name], parameters or {})
        return await cursor.fetchall()
