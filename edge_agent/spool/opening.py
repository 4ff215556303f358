"""Opening a spool: the lock, the boot number, and what to do with a file that cannot be read."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import structlog

from edge_agent.spool import schema
from edge_agent.spool.lock import FileLock
from edge_agent.spool.rescue import readable_boot, rescue, set_aside
from edge_agent.spool.store import MEMORY, Spool, SpoolCorrupt, is_damage

logger = structlog.get_logger(__name__)


def open_spool(path: str, bound_bytes: int, synchronous: str, unix_seconds: int, damage: str | None = None) -> Spool:
    """Open or create a spool and begin a new boot: max(last boot + 1, unix seconds), on disk before it is used.

    A damaged file is set aside beside the new one, and what can still be read of it is taken over; `damage` says
    that it turned out to be damaged while it was in use.

    Raises:
        SpoolBusy: another process has it open.
        WrongVersion: it is of another version of the agent.
        OSError: the folder or file cannot be written.
    """
    if path == MEMORY:
        return _open(MEMORY, None, bound_bytes, synchronous, unix_seconds)
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    lock.acquire()
    try:
        if damage is None:
            try:
                return _open(path, lock, bound_bytes, synchronous, unix_seconds)
            except SpoolCorrupt as found:
                damage = str(found)
        return _start_over(file, lock, bound_bytes, synchronous, unix_seconds, damage)
    except BaseException:
        lock.release()
        raise


def _open(path: str, lock: FileLock | None, bound_bytes: int, synchronous: str, unix_seconds: int) -> Spool:
    connection: sqlite3.Connection | None = None
    try:
        connection = schema.connect(path, synchronous)
        schema.prepare(connection)
        boot = _next_boot(connection, unix_seconds)
        return Spool(connection, lock, boot, bound_bytes)
    except sqlite3.DatabaseError as error:
        if connection:
            connection.close()
        if is_damage(error) or "no such" in str(error):
            raise SpoolCorrupt(str(error)) from error
        raise OSError(f"the spool {path} cannot be opened: {error}") from error
    except BaseException:
        if connection:
            connection.close()
        raise


def _next_boot(connection: sqlite3.Connection, unix_seconds: int) -> int:
    connection.execute("BEGIN IMMEDIATE")
    row = connection.execute("SELECT value FROM fact WHERE name = 'boot'").fetchone()
    boot = max((row[0] if row else 0) + 1, unix_seconds)
    connection.execute("INSERT OR REPLACE INTO fact VALUES ('boot', ?)", (boot,))
    connection.execute("COMMIT")
    return boot


def _start_over(file: Path, lock: FileLock, bound_bytes: int, synchronous: str, unix_seconds: int, why: str) -> Spool:
    aside = set_aside(file)
    logger.error("spool_set_aside", file=file.name, aside=aside.name, why=why)
    spool = _open(str(file), lock, bound_bytes, synchronous, max(unix_seconds, readable_boot(aside) + 1))
    saved = rescue(aside, spool)
    spool.count_set_aside()
    logger.warning("spool_rescued", messages=saved, boot=spool.boot)
    return spool
