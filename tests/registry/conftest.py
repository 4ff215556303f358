"""A connection to a migrated database of the test's own, and a few names in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from cloud.registry.keys import MasterKey

Connection = AsyncConnection[Any]


@pytest.fixture
async def connection(migrated_url: str) -> AsyncIterator[Connection]:
    async with await AsyncConnection.connect(migrated_url, autocommit=True, options="-c timezone=UTC") as opened:
        yield opened


@pytest.fixture
def master() -> MasterKey:
    return MasterKey(bytes(range(32)))
