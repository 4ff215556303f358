"""The spool itself: what is neither receipted nor dropped by a bound is kept.

put      accept messages: boot and seq are given and the rows committed in one transaction
waiting  read messages of a rank, oldest first
free     a receipt came: the only way out, apart from the bounds
expire   the bound of age;  the bound of bytes is kept by `put`
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edge_agent.draft import Draft, Rank
from edge_agent.spool import schema
from edge_agent.spool.bound import Bound
from edge_agent.spool.ledgers import Ledgers
from edge_agent.spool.lock import FileLock, SpoolBusy
from protocols.messages import Receipt, payload_digest
from protocols.topics import NO_DEVICE, Kind, Topic

__all__ = ["MEMORY", "Spool", "SpoolBusy", "SpoolCorrupt", "Spooled"]

MEMORY = ":memory:"


class SpoolCorrupt(Exception):
    """The spool's file is damaged: it is to be set aside (`edge_agent.spool.rescue`)."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """A message in the spool. number: order of acceptance; size: bytes that count against the bounds."""

    number: int
    rank: Rank
    device: str
    kind: Kind
    boot: int
    seq: int
    at_ms: int
    size: int
    payload: bytes

    def topic(self, gateway: str) -> str:
        """The MQTT topic under which the message goes up."""
        return Topic(gateway, self.kind, None if self.device == NO_DEVICE else self.device).build()


@dataclass(slots=True)
class Depth:
    """What is in the spool now."""

    messages: int
    bytes: int


class Spool:
    """One gateway's spool. Open it with `open_spool`; one process at a time.

    Every method raises SpoolCorrupt when the file turns out to be damaged.
    """

    def __init__(self, connection: sqlite3.Connection, lock: FileLock | None, boot: int, bound_bytes: int) -> None:
        self._connection = connection
        self._lock = lock
        self.boot = boot
        self.bound_bytes = bound_bytes
        self._seqs: dict[str, int] = {}
        self.claimed: set[int] = set()
        """Numbers of messages under way; a bound drops others first."""
        with _naming_damage():
            (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM message").fetchone()
            messages, size = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM message").fetchone()
        self.last_number: int = last
        self.depth = Depth(messages, size)
        self.ledgers = Ledgers(connection)
        self._bound = Bound(connection)
        self._refused: list[tuple[str, str, int, int]] = []
        self.accepted_bytes = 0
        """Bytes accepted since the start."""
        self.dropped_telemetry = 0
        self.dropped_faults = 0

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; transactions inside this one join it."""
        with _naming_damage():
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            before = (self.last_number, dict(self._seqs), Depth(self.depth.messages, self.depth.bytes))
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self.last_number, self._seqs, self.depth = before
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def put(self, drafts: Sequence[Draft], now_ms: int) -> list[Spooled]:
        """Accept messages, all or none: give each its boot and seq, and commit.

        When the bound of bytes is reached, the oldest telemetry goes first, then freeze frames, then faults and
        replies; what is dropped is counted and reported by a Loss message.
        """
        spooled = []
        with self.transaction():
            for draft in drafts:
                spooled.append(self._insert(draft, now_ms))
            excess = self.depth.bytes - self.bound_bytes
            if excess > 0:
                self._account(self._bound.make_room(excess, self.bound_bytes // 64, self.claimed))
        self.accepted_bytes += sum(message.size for message in spooled)
        return spooled

    def _insert(self, draft: Draft, now_ms: int) -> Spooled:
        seq = self._seqs.get(draft.device, 0) + 1
        payload = draft.compose(self.boot, seq)
        number, size = self.last_number + 1, schema.stored_bytes(len(payload))
        digest = bytes.fromhex(payload_digest(payload))
        row = (number, int(draft.rank), draft.device, draft.kind.value, self.boot, seq, draft.at_ms, now_ms)
        self._write((*row, size, digest, schema.row_check(row, digest), payload))
        self._seqs[draft.device] = seq
        self.last_number = number
        self.depth.messages += 1
        self.depth.bytes += size
        return Spooled(number, draft.rank, draft.device, draft.kind, self.boot, seq, draft.at_ms, size, payload)

    def _write(self, row: Sequence[Any]) -> bool:
        places = ", ".join("?" * len(row))
        return self._connection.execute(f"INSERT OR IGNORE INTO message VALUES ({places})", row).rowcount > 0  # noqa: S608

    def refuse(self, drafts: Sequence[Draft]) -> None:
        """The disk has no room for these: count them as dropped; `note_refused` writes it down once there is room."""
        for draft in drafts:
            size = schema.stored_bytes(len(draft.compose(self.boot, 0)))
            self._refused.append((draft.device, draft.kind.value, draft.at_ms, size))
            self._count_drop(draft.rank)

    def note_refused(self) -> None:
        """Note what was refused, in the table from which the Loss messages are made."""
        if self._refused:
            with self.transaction():
                for refused in self._refused:
                    self._bound.note(*refused)
            self._refused.clear()

    def waiting(self, rank: Rank, after: int, up_to: int, limit: int) -> list[Spooled]:
        """Up to `limit` messages of a rank with after < number <= up_to, oldest first."""
        return self._select(
            "rank = ? AND number > ? AND number <= ? ORDER BY number LIMIT ?", rank, after, up_to, limit
        )

    def read(self, number: int) -> Spooled | None:
        """One message, or None if it is no longer there."""
        found = self._select("number = ?", number)
        return found[0] if found else None

    def find(self, kind: Kind, device: str | None = None) -> list[Spooled]:
        """The messages of an event kind, of one device or all, that wait for their receipt, oldest first."""
        if device is None:
            return self._select("rank = 0 AND kind = ? ORDER BY number", kind.value)
        return self._select("rank = 0 AND kind = ? AND device = ? ORDER BY number", kind.value, device)

    def free(self, receipt: Receipt) -> list[int]:
        """Free what a receipt names; return the numbers freed. Messages that it names and we do not have are ignored.

        The deletion need not outlive a power cut (the message would only go up again), so it costs no fsync.
        """
        freed: list[tuple[int, int]] = []
        with self._relaxed(), self.transaction():
            for committed in receipt.committed:
                for first, last in committed.ranges:
                    freed += self._connection.execute(
                        "DELETE FROM message WHERE device = ? AND boot = ? AND seq BETWEEN ? AND ?"
                        " RETURNING number, size",
                        (committed.device, committed.boot, first, last),
                    ).fetchall()
            for rejected in receipt.rejected:
                freed += self._connection.execute(
                    "DELETE FROM message WHERE device = ? AND kind = ? AND digest = ? RETURNING number, size",
                    (rejected.device, rejected.kind, bytes.fromhex(rejected.digest)),
                ).fetchall()
            self.depth.messages -= len(freed)
            self.depth.bytes -= sum(size for _, size in freed)
        return [number for number, _ in freed]

    def expire(self, before_ms: int) -> None:
        """Drop telemetry accepted before `before_ms`, count it and note the gap; events have no bound of age."""
        with self.transaction():
            self._account(self._bound.expire(before_ms))

    def adopt(self, row: Sequence[Any]) -> bool:
        """Take over an intact row of a damaged file; False if it is here already."""
        _number, *columns, size, digest, _check, payload = row
        with self.transaction():
            columns = [self.last_number + 1, *columns]
            if not self._write((*columns, size, digest, schema.row_check(columns, digest), payload)):
                return False
            self.last_number += 1
            self.depth.messages += 1
            self.depth.bytes += size
            return True

    def adopt_ledger(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Take over the rows of a ledger of a damaged file."""
        with self.transaction():
            for row in rows:
                places = ", ".join("?" * len(row))
                self._connection.execute(f"INSERT OR IGNORE INTO {table} VALUES ({places})", row)  # noqa: S608

    @property
    def set_aside(self) -> int:
        """How many damaged files were set aside since the first start."""
        return int(self.ledgers.fact("set_aside") or 0)

    def oldest_ms(self) -> int | None:
        """Event time (ms) of the message accepted first among those that wait."""
        with _naming_damage():
            row = self._connection.execute("SELECT at_ms FROM message ORDER BY number LIMIT 1").fetchone()
        return row[0] if row else None

    def close(self) -> None:
        """Let go of the file; harmless when called twice."""
        self._connection.close()
        if self._lock:
            self._lock.release()

    def _account(self, dropped: Collection[tuple[Rank, int]]) -> None:
        for rank, size in dropped:
            self.depth.messages -= 1
            self.depth.bytes -= size
            self._count_drop(rank)

    def _count_drop(self, rank: Rank) -> None:
        if rank == Rank.EVENT:
            self.dropped_faults += 1
        else:
            self.dropped_telemetry += 1

    def _select(self, condition: str, *arguments: int | str) -> list[Spooled]:
        with _naming_damage():
            # the conditions are this module's own constants
            query = f"SELECT {schema.ROW} FROM message WHERE {condition}"  # noqa: S608
            return [_message(row) for row in self._connection.execute(query, arguments)]

    @contextlib.contextmanager
    def _relaxed(self) -> Iterator[None]:
        if self._connection.in_transaction:
            yield
            return
        (level,) = self._connection.execute("PRAGMA synchronous").fetchone()
        self._connection.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self._connection.execute(f"PRAGMA synchronous = {level}")


def _message(row: Sequence[Any]) -> Spooled:
    if not schema.is_intact(row):  # sent as it is, it could never be receipted
        raise SpoolCorrupt(f"the spool is damaged: message {row[0]} is not what was written")
    number, rank, device, kind, boot, seq, at_ms, _spooled_ms, size, _digest, _check, payload = row
    return Spooled(number, Rank(rank), device, Kind(kind), boot, seq, at_ms, size, payload)


@contextlib.contextmanager
def _naming_damage() -> Iterator[None]:
    """SQLite's two words for a damaged file become ours; a full disk or a lock stays what it is."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise SpoolCorrupt(f"the spool is damaged: {error}") from error
        raise


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the error says that the file is damaged, rather than locked or out of room."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_no_room(error: sqlite3.DatabaseError) -> bool:
    """Whether the error says that the disk is full or refuses to write: waiting may help, another file would not."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)
