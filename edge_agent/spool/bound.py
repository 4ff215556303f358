"""What goes when a bound is reached, and the note of it from which the Loss message is made."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable

from edge_agent.draft import Rank
from protocols.topics import Kind

DROPPABLE = (Kind.FAULT.value, Kind.REPLY.value)
"""Event kinds that may be dropped; births and losses are few and small and are never."""

ROWS = "SELECT number, rank, device, kind, at_ms, size FROM message WHERE"
Row = tuple[int, int, str, str, int, int]  # number, rank, device, kind, at_ms, size


class Bound:
    """Deletes rows and notes them in the table `dropped`, inside the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def make_room(self, excess: int, slack: int, claimed: Collection[int]) -> list[tuple[Rank, int]]:
        """Drop at least `excess` bytes (about `slack` more, so that it is not needed again at once).

        Oldest first; telemetry, then freeze frames, then messages under way, then faults and replies. Returns rank
        and size of each message dropped.
        """
        wanted = excess + slack
        under_way = json.dumps(sorted(claimed))
        spared = "number NOT IN (SELECT value FROM json_each(?))"
        rounds = [
            ("rank = 2 AND " + spared, under_way),
            ("rank = 1 AND " + spared, under_way),
            ("rank > 0 AND number IN (SELECT value FROM json_each(?))", under_way),
            ("rank = 0 AND kind IN (SELECT value FROM json_each(?))", json.dumps(DROPPABLE)),
        ]
        dropped: list[tuple[Rank, int]] = []
        for condition, argument in rounds:
            gone = self._drop(self._oldest(condition, argument, wanted))
            dropped += gone
            wanted -= sum(size for _, size in gone)
            if wanted <= slack:  # `slack` is only for what is dropped lightly
                break
        return dropped

    def expire(self, before_ms: int) -> list[tuple[Rank, int]]:
        """Drop telemetry and freeze frames that were accepted before `before_ms`."""
        rows = self._connection.execute(
            "SELECT number, rank, device, kind, at_ms, size FROM message"
            " WHERE rank > 0 AND spooled_ms < ? ORDER BY number LIMIT 10000",
            (before_ms,),
        ).fetchall()
        return self._drop(rows)

    def _oldest(self, condition: str, argument: str, wanted: int) -> list[Row]:
        rows = self._connection.execute(
            f"{ROWS} {condition} ORDER BY number",
            (argument,),
        )
        chosen: list[Row] = []
        for row in rows:
            if wanted <= 0:
                break
            chosen.append(row)
            wanted -= row[5]
        rows.close()
        return chosen

    def note(self, device: str, kind: str, at_ms: int, size: int) -> None:
        """Note one message as dropped."""
        self._connection.execute(
            "INSERT INTO dropped VALUES (?1, ?2, 1, ?3, ?4, ?4) ON CONFLICT DO UPDATE SET messages = messages + 1,"
            " bytes = bytes + ?3, first_ms = min(first_ms, ?4), last_ms = max(last_ms, ?4)",
            (device, "telemetry" if kind == Kind.TELEMETRY else "fault", size, at_ms),
        )

    def _drop(self, rows: Iterable[Row]) -> list[tuple[Rank, int]]:
        dropped = []
        for number, rank, device, kind, at_ms, size in rows:
            self._connection.execute("DELETE FROM message WHERE number = ?", (number,))
            self.note(device, kind, at_ms, size)
            dropped.append((Rank(rank), size))
        return dropped
