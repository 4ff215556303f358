"""The spool's tables, and how its connection is set up."""

from __future__ import annotations

import sqlite3
from typing import Final

VERSION: Final = 1

SCHEMA: Final = """
CREATE TABLE message (
    number INTEGER PRIMARY KEY,   -- order of acceptance
    rank INTEGER NOT NULL,        -- 0 event, 1 freeze frame, 2 telemetry
    device TEXT NOT NULL,         -- '-' for the gateway's own
    kind TEXT NOT NULL,
    boot INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,       -- event time
    spooled_ms INTEGER NOT NULL,  -- the clock's time of acceptance
    size INTEGER NOT NULL,        -- bytes that count against the bound
    digest BLOB NOT NULL,         -- first 8 bytes of the payload's SHA-256
    payload BLOB NOT NULL,
    UNIQUE (device, boot, seq)
);
CREATE INDEX message_lane ON message (rank, number, size);
CREATE TABLE dropped (            -- what a bound made us drop and no Loss message has told yet
    device TEXT NOT NULL, kind TEXT NOT NULL, messages INTEGER NOT NULL, bytes INTEGER NOT NULL,
    first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, PRIMARY KEY (device, kind)
) WITHOUT ROWID;
CREATE TABLE fact (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE active_fault (
    device TEXT NOT NULL, code TEXT NOT NULL, since REAL NOT NULL, PRIMARY KEY (device, code)
) WITHOUT ROWID;
CREATE TABLE sampling_order (device TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE command (            -- every command begun, so that none is done twice
    id TEXT PRIMARY KEY, device TEXT NOT NULL, begun_ms INTEGER NOT NULL, outcome TEXT
) WITHOUT ROWID;
"""

ROW_BYTES: Final = 160
"""What a row costs in the file beside its payload, indexes included; see tests/edge/test_spool_bounds.py."""


class WrongVersion(Exception):
    """The spool file was written by another version of the agent."""


def connect(path: str) -> sqlite3.Connection:
    """Open the file, with synchronous = FULL; transactions are begun by hand (autocommit mode)."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    connection.execute("PRAGMA journal_mode = WAL").fetchone()
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -512")  # KiB: the working set is the ends of two lanes
    connection.execute("PRAGMA journal_size_limit = 1048576")
    connection.execute("PRAGMA wal_autocheckpoint = 250")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA busy_timeout = 2000")
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """Create the tables in a new file; check those of an old one.

    Raises:
        WrongVersion: the file is of another version.
        sqlite3.DatabaseError: the file is damaged.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    elif version != VERSION:
        raise WrongVersion(f"the spool is of version {version}, this agent writes version {VERSION}")
