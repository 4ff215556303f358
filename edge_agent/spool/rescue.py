"""A damaged spool file: set aside, and whatever can still be read of it taken over into a new one."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from edge_agent.spool.schema import ROW, is_intact
from edge_agent.spool.store import Spool

ASIDE = ".damaged"
SIDE_FILES = ("-wal", "-shm")
LEDGERS = ("active_fault", "sampling_order", "gentle_run", "command", "dropped")


def set_aside(file: Path) -> Path:
    """Rename the file and its side files; a file set aside earlier is replaced, so that the disk is not filled."""
    aside = file.with_name(file.name + ASIDE)
    for suffix in ("", *SIDE_FILES):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{file}{suffix}").replace(f"{aside}{suffix}")
    return aside


def readable_facts(aside: Path) -> dict[str, int]:
    """The last boot that the damaged file tells of, and how many were set aside before it; 0 where it tells nothing."""
    facts = {"boot": 0, "set_aside": 0}
    with _opened(aside) as damaged, contextlib.suppress(sqlite3.DatabaseError):
        for name, value in damaged.execute("SELECT name, value FROM fact WHERE name IN ('boot', 'set_aside')"):
            facts[name] = value if isinstance(value, int) else 0
    with _opened(aside) as damaged, contextlib.suppress(sqlite3.DatabaseError):
        (last,) = damaged.execute("SELECT max(boot) FROM message").fetchone()
        facts["boot"] = max(facts["boot"], last or 0)
    return facts


def rescue(aside: Path, spool: Spool) -> int:
    """Take over every message that is still what was written, and the ledgers; return the number of messages."""
    saved = 0
    with _opened(aside) as damaged:
        for row in _readable_rows(damaged):
            if is_intact(row):
                saved += spool.adopt(row)
        for table in LEDGERS:
            with contextlib.suppress(sqlite3.DatabaseError):
                rows = damaged.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - names from LEDGERS
                spool.adopt_ledger(table, rows)
    return saved


def _readable_rows(damaged: sqlite3.Connection) -> Iterator[tuple]:  # type: ignore[type-arg]
    """Rows from the start up to the damage, then from the end back to it. One row is held at a time."""
    reached = 0
    try:
        for row in damaged.execute(f"SELECT {ROW} FROM message ORDER BY number"):  # noqa: S608
            reached = row[0]
            yield row
    except (sqlite3.DatabaseError, OverflowError):
        with contextlib.suppress(sqlite3.DatabaseError, OverflowError):
            query = f"SELECT {ROW} FROM message WHERE number > ? ORDER BY number DESC"  # noqa: S608
            yield from damaged.execute(query, (reached,))


@contextlib.contextmanager
def _opened(aside: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(aside, isolation_level=None)
    connection.text_factory = lambda raw: raw.decode(errors="replace")
    try:
        yield connection
    finally:
        with contextlib.suppress(sqlite3.Error):
            connection.close()
