"""The spool's tables, and how its connection is set up."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from typing import Any, Final

from protocols.messages import payload_digest

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
    row_check INTEGER NOT NULL,   -- CRC-32 of the columns above, so that a damaged row is known
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

ADDED: Final = """
CREATE TABLE IF NOT EXISTS gentle_run ( -- the last order: gently until then, or normally (NULL); and when it was made
    device TEXT PRIMARY KEY, until_ms INTEGER, ordered_ms INTEGER NOT NULL
) WITHOUT ROWID;
"""
"""Tables that came later: files of the same version get them too, and an older agent does not miss them."""

ROW: Final = "number, rank, device, kind, boot, seq, at_ms, spooled_ms, size, digest, row_check, payload"
PAGE: Final = 4096
COLUMNS_BYTES: Final = 90  # the other columns of a row, ids of usual length
INDEX_BYTES: Final = 64  # its entries in the two indexes
LARGEST_CELL: Final = PAGE - 35  # a larger row has overflow pages; about 500 bytes of it stay in its leaf
LOCAL_BYTES: Final = 500


def stored_bytes(payload_bytes: int) -> int:
    """What a message of so many bytes takes on the disk: rows share 4 KiB pages, and a page is not always filled.

    Source of the limits: "Database File Format", sqlite.org/fileformat2.html, sections 1.6 and 1.5.
    """
    cell = payload_bytes + COLUMNS_BYTES
    if cell <= LARGEST_CELL:
        return PAGE // ((PAGE - 8) // cell) + INDEX_BYTES
    overflow_pages = -(-(cell - LOCAL_BYTES) // (PAGE - 4))
    return overflow_pages * PAGE + LOCAL_BYTES + INDEX_BYTES


def row_check(columns: Sequence[int | str], digest: bytes) -> int:
    """The CRC-32 of a row's columns up to spooled_ms and its digest, which covers the payload."""
    return zlib.crc32(digest, zlib.crc32(",".join(map(str, columns)).encode()))


def is_intact(row: Sequence[Any]) -> bool:
    """Whether a row (ROW's columns) is as it was written."""
    *columns, size, digest, check, payload = row
    if not (isinstance(digest, bytes) and isinstance(payload, bytes)):
        return False
    whole = check == row_check(columns, digest) and digest.hex() == payload_digest(payload)
    return whole and size == stored_bytes(len(payload))


class WrongVersion(Exception):
    """The spool file was written by another version of the agent."""


def connect(path: str) -> sqlite3.Connection:
    """Open the file, with synchronous = FULL; transactions are begun by hand (autocommit mode)."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    connection.execute(f"PRAGMA page_size = {PAGE}")
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
    connection.executescript(ADDED)
