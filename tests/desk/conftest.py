"""The desk's stage on a migrated database of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection

from tests.desk.stage import Stage


@pytest.fixture
async def stage(migrated_url: str) -> AsyncIterator[Stage]:
    async with await AsyncConnection.connect(migrated_url, autocommit=True, options="-c timezone=UTC") as connection:
        yield await Stage(connection, migrated_url).set_up()


@pytest.fixture
async def stage_on_both(database: str) -> AsyncIterator[Stage]:
    """The same on plain PostgreSQL and on TimescaleDB."""
    async with await AsyncConnection.connect(database, autocommit=True, options="-c timezone=UTC") as connection:
        yield await Stage(connection, database).set_up()
