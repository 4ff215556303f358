"""Bring a database to this program's schema: numbered migrations once, views and functions whenever they change.

Several programs may migrate at the same moment: an advisory lock lets one work and the others wait. A migration
that was changed after it ran is refused, by checksum.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import LiteralString

import psycopg
from psycopg import AsyncConnection

LOCK = 4_662_610_131  # any fixed number: names the lock in this database

_LEDGER: LiteralString = """
CREATE TABLE IF NOT EXISTS schema_migration (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

_NOTE_REPEATABLE: LiteralString = """
INSERT INTO schema_migration (name, checksum) VALUES (%s, %s)
ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = now()
"""


class MigrationChanged(RuntimeError):
    """A migration that this database already has was edited afterwards; write a new one instead."""


@dataclass(frozen=True, slots=True)
class Script:
    """One SQL file of the package."""

    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def scripts(folder: str) -> list[Script]:
    """The SQL files of `migrations` or `repeatable`, by name."""
    found = [f for f in files("cloud.db").joinpath(folder).iterdir() if f.name.endswith(".sql")]
    return [Script(f.name, f.read_text(encoding="utf-8")) for f in sorted(found, key=lambda f: f.name)]


async def migrate(url: str) -> list[str]:
    """Apply what is missing; return the names of the migrations that ran now.

    Raises:
        MigrationChanged: see there. psycopg.Error: the database refused; nothing of that script is kept.
    """
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        await connection.execute("SET client_min_messages = warning")
        await connection.execute(_LEDGER)
        done = await _applied(connection)
        ran = []
        for script in scripts("migrations"):
            if script.name not in done:
                await _apply(connection, script)
                ran.append(script.name)
            elif done[script.name] != script.checksum:
                raise MigrationChanged(f"{script.name} was edited after it ran here; add a new migration instead")
        repeatable = scripts("repeatable")
        if ran or any(done.get(script.name) != script.checksum for script in repeatable):
            await _repeat(connection, repeatable)
        return ran


async def _repeat(connection: AsyncConnection[tuple[object, ...]], repeatable: list[Script]) -> None:
    """Run them all, in one transaction: a reader sees the old views or the new ones."""
    async with connection.transaction():
        for script in repeatable:
            try:
                await connection.execute(script.text)
            except psycopg.Error as error:
                error.add_note(f"while running {script.name}; the views and functions are as they were")
                raise
            await connection.execute(_NOTE_REPEATABLE, [script.name, script.checksum])


async def _applied(connection: AsyncConnection[tuple[object, ...]]) -> dict[str, str]:
    cursor = await connection.execute("SELECT name, checksum FROM schema_migration")
    return {str(name): str(checksum) for name, checksum in await cursor.fetchall()}


async def _apply(connection: AsyncConnection[tuple[object, ...]], script: Script) -> None:
    try:
        async with connection.transaction():
            await connection.execute(script.text)
            await connection.execute(
                "INSERT INTO schema_migration (name, checksum) VALUES (%s, %s)", [script.name, script.checksum]
            )
    except psycopg.Error as error:
        error.add_note(f"while applying migration {script.name}; nothing of it was kept")
        raise
