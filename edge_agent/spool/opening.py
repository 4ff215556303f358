"""Opening a spool: the lock, the boot number, and what to do with a file that cannot be read."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import structlog

from edge_agent.settings import SpoolSettings
from edge_agent.spool import schema
from edge_agent.spool.lock import FileLock
from edge_agent.spool.rescue import readable_facts, rescue, set_aside
from edge_agent.spool.store import MEMORY, Spool, SpoolCorrupt, is_damage

logger = structlog.get_logger(__name__)


def open_spool(settings: SpoolSettings, unix_seconds: int, damage: str | None = None) -> Spool:
    """Open or create a spool and begin a new boot: max(last boot + 1, unix seconds), on disk before it is used.

    A damaged file is set aside beside the new one, and what can still be read of it is taken over; `damage` says
    that it turned out to be damaged while it was in use.

    Raises:
        SpoolBusy: another process has it open.
        WrongVersion: it is of another version of the agent.
        OSError: the folder or file cannot be written.
    """
    if settings.path == MEMORY:
        return _open(settings, None, unix_seconds)
    file = Path(settings.path)
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    lock.acquire()
    try:
        if damage is None:
            try:
                return _open(settings, lock, unix_seconds)
            except SpoolCorrupt as found:
                damage = str(found)
        return _start_over(settings, lock, unix_seconds, damage)
    except BaseException:
        lock.release()
        raise


def _open(settings: SpoolSettings, lock: FileLock | None, unix_seconds: int) -> Spool:
    connection: sqlite3.Connection | None = None
    try:
        connection = schema.connect(settings.path)
        schema.prepare(connection)
        boot = _next_boot(connection, unix_seconds)
        connection.execute(f"PRAGMA synchronous = {settings.synchronous.upper()}")
        return Spool(connection, lock, boot, settings.bound_bytes)
    except BaseException as error:
        if connection:
            connection.close()
        if isinstance(error, sqlite3.DatabaseError):
            if is_damage(error) or "no such" in str(error):
                raise SpoolCorrupt(str(error)) from error
            raise OSError(f"the spool {settings.path} cannot be opened: {error}") from error
        raise


def _next_boot(connection: sqlite3.Connection, unix_seconds: int) -> int:
    connection.execute("BEGIN IMMEDIATE")
    row = connection.execute("SELECT value FROM fact WHERE name = 'boot'").fetchone()
    boot = max((row[0] if row else 0) + 1, unix_seconds)
    connection.execute("INSERT OR REPLACE INTO fact VALUES ('boot', ?)", (boot,))
    connection.execute("COMMIT")
    return boot


def _start_over(settings: SpoolSettings, lock: FileLock, unix_seconds: int, why: str) -> Spool:
    file = Path(settings.path)
    aside = set_aside(file)
    logger.error("spool_set_aside", file=file.name, aside=aside.name, why=why)
    facts = readable_facts(aside)
    spool = _open(settings, lock, max(unix_seconds, facts["boot"] + 1))
    saved = rescue(aside, spool)
    with spool.transaction():
        spool.ledgers.remember("set_aside", facts["set_aside"] + 1)
    logger.warning("spool_rescued", messages=saved, boot=spool.boot)
    return spool
