"""Fresh databases on a running server, cheap by template."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import threading
from collections.abc import Iterator
from typing import Any, Protocol

import psycopg
from psycopg import sql

_numbers = itertools.count(1)


class Server(Protocol):
    """A running PostgreSQL server."""

    def url(self, database: str = ...) -> str: ...


@contextlib.contextmanager
def fresh_database(server: Server, template: str = "template1") -> Iterator[str]:
    """The URL of a new database, a copy of `template`; dropped at the end with whoever is still connected."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    _administer(server, "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy", name, template)
    try:
        yield server.url(name)
    finally:
        _administer(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def make_template(server: Server, name: str, *, extension: str | None = None, migrated: bool = False) -> str:
    """A database to copy from, closed to connections so that copying never waits; returns its name."""
    _administer(server, "CREATE DATABASE {}", name)
    if extension:
        with psycopg.connect(server.url(name), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(extension)))
    if migrated:
        _migrate(server.url(name))
    _administer(server, "ALTER DATABASE {} ALLOW_CONNECTIONS false", name)
    _administer(
        server,
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = {}",
        name,
        literal=True,
    )
    return name


async def until_settled(connection: psycopg.AsyncConnection[Any]) -> None:
    """Wait until every transaction that has begun on the server is over; `connection` is in autocommit mode.

    Those who read behind a cursor see only what is older than the oldest open transaction, whosever it is: without
    this, what a test has committed may come one turn late when autovacuum or a program beside it is at work.
    TimeoutError: a transaction stayed open for 20 s.
    """
    row = await (await connection.execute("SELECT pg_current_xact_id()")).fetchone()
    over = "SELECT pg_snapshot_xmin(pg_current_snapshot()) > %s::text::xid8"
    async with asyncio.timeout(20):
        while (await (await connection.execute(over, row)).fetchone()) != (True,):  # noqa: ASYNC110 - others end them
            await asyncio.sleep(0.005)


def _administer(server: Server, statement: str, *names: str, literal: bool = False) -> None:
    shape = sql.Literal if literal else sql.Identifier
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(shape, names)))


def _migrate(url: str) -> None:
    """In a thread of its own: the test that asked first may have an event loop here."""
    from cloud.db.migrate import migrate

    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(migrate(url))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="migrate the template")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
