"""The fixtures that the other tests stand on."""

from __future__ import annotations

import psycopg
import pytest


def test_each_test_gets_a_database_of_its_own(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE only_here (a int)")


def test_that_is_empty(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT to_regclass('only_here')").fetchone() == (None,)


@pytest.mark.timescale
def test_timescale_makes_hypertables(timescale_url: str) -> None:
    with psycopg.connect(timescale_url) as connection:
        connection.execute("CREATE TABLE reading (at timestamptz NOT NULL, value real)")
        made = connection.execute("SELECT create_hypertable('reading', by_range('at'))").fetchone()
        assert made is not None


def test_migrated_database(database: str) -> None:
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT count(*) FROM schema_migration").fetchone()
        assert rows is not None
        assert rows[0] >= 0
