"""A database to work on: the one that a URL names, or an embedded PostgreSQL where none is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from cloud.engines.postgres import PostgresServer
from cloud.engines.settings import EngineSettings

NAME = "firstcall"


@dataclass(frozen=True)
class OpenDatabase:
    """Where the database is. `server` is None when it is not ours to stop."""

    url: str = field(repr=False)
    shown_url: str
    """The same without the password."""
    server: PostgresServer | None


@contextmanager
def open_database(url: str | None, settings: EngineSettings) -> Iterator[OpenDatabase]:
    """The given database as it is, or the database `firstcall` of an embedded server that ends with the block.

    Blocks while the server starts (a second or so); raises EngineError where it cannot.
    """
    if url is not None:
        yield OpenDatabase(url, shown(url), None)
        return
    server = PostgresServer(
        settings.home / "postgres", port=settings.postgres_port, binaries=settings.postgres_binaries
    )
    with server:
        _create(server)
        yield OpenDatabase(server.url(NAME), server.shown_url(NAME), server)


def shown(url: str) -> str:
    """A libpq connection string without its password, fit for logs and people."""
    words = psycopg.conninfo.conninfo_to_dict(url)
    user = f"{words['user']}@" if words.get("user") else ""
    return f"postgresql://{user}{words.get('host', '')}:{words.get('port', 5432)}/{words.get('dbname', '')}"


def _create(server: PostgresServer) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [NAME]).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
