"""Fixtures of ingest's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from cloud.db.pool import Pool, open_pool
from cloud.db.settings import DatabaseSettings
from cloud.ingest.writer import Writer
from tests.support.databases import until_settled

Ask = Callable[..., Awaitable[list[tuple[Any, ...]]]]


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    """A pool on a migrated database; the test runs on plain PostgreSQL and on TimescaleDB."""
    async with open_pool(DatabaseSettings(url=database), "test") as pool:  # type: ignore[arg-type]
        yield pool


@pytest.fixture
def writer(pool: Pool) -> Writer:
    return Writer(pool)


@pytest.fixture
def ask(pool: Pool) -> Ask:
    """`await ask("SELECT ...", parameters)` gives the rows."""

    async def run(query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        async with pool.connection() as connection:
            cursor = await connection.execute(query, parameters)  # type: ignore[arg-type]
            return await cursor.fetchall() if cursor.description else []

    return run


async def all_settled(pool: Pool) -> None:
    """What has been committed is what a reader behind a cursor sees (`until_settled`)."""
    async with pool.connection() as connection:
        await until_settled(connection)
