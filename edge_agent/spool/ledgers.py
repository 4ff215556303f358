"""What the agent must remember beside messages: facts, active faults, orders that last, commands, what was dropped."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from protocols.messages import SetSampling

COMMANDS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class GentleOrder:
    """The last order to run gently until a time, or normally (None), and when it was made; ms since the epoch."""

    until_ms: int | None
    ordered_ms: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """Messages of one device that a bound made us drop. Times in ms since the epoch."""

    device: str
    kind: Literal["telemetry", "fault"]
    messages: int
    bytes: int
    first_ms: int
    last_ms: int


class Ledgers:
    """Small tables in the spool's file. Writers are called inside `Spool.transaction()`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def fact(self, name: str) -> float | int | str | None:
        """A remembered value, None if there is none."""
        row = self._connection.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def remember(self, name: str, value: float | int | str) -> None:
        """Remember a value under a name."""
        self._connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    def active_faults(self, device: str) -> dict[str, float]:
        """Code -> since (s), as last set."""
        rows = self._connection.execute("SELECT code, since FROM active_fault WHERE device = ?", (device,))
        return dict(rows.fetchall())

    def set_active_faults(self, device: str, active: Mapping[str, float]) -> None:
        """Replace a device's active faults."""
        self._connection.execute("DELETE FROM active_fault WHERE device = ?", (device,))
        self._connection.executemany(
            "INSERT INTO active_fault VALUES (?, ?, ?)", [(device, code, since) for code, since in active.items()]
        )

    def sampling(self, device: str) -> SetSampling | None:
        """The sampling that was ordered for a device, if any."""
        row = self._connection.execute("SELECT json FROM sampling_order WHERE device = ?", (device,)).fetchone()
        return SetSampling.model_validate_json(row[0]) if row else None

    def set_sampling(self, device: str, order: SetSampling) -> None:
        """Keep an order, over the ones before it."""
        before = self.sampling(device) or SetSampling()
        merged = SetSampling(
            period_ms=order.period_ms or before.period_ms,
            deadbands={**before.deadbands, **order.deadbands},
            max_interval_ms=order.max_interval_ms or before.max_interval_ms,
        )
        self._connection.execute(
            "INSERT OR REPLACE INTO sampling_order VALUES (?, ?)", (device, merged.model_dump_json())
        )

    def gentle_order(self, device: str) -> GentleOrder | None:
        """Whether a device was last ordered to run gently, if it ever was."""
        row = self._connection.execute(
            "SELECT until_ms, ordered_ms FROM gentle_run WHERE device = ?", (device,)
        ).fetchone()
        return GentleOrder(*row) if row else None

    def set_gentle_order(self, device: str, order: GentleOrder) -> None:
        """Keep an order, in place of the one before it."""
        self._connection.execute(
            "INSERT OR REPLACE INTO gentle_run VALUES (?, ?, ?)", (device, order.until_ms, order.ordered_ms)
        )

    def command(self, command: str) -> tuple[str, str | None] | None:
        """Device and outcome (JSON, None while it is under way) of a command begun earlier."""
        row = self._connection.execute("SELECT device, outcome FROM command WHERE id = ?", (command,)).fetchone()
        return (row[0], row[1]) if row else None

    def begin_command(self, command: str, device: str, at_ms: int) -> None:
        """Note that a command is begun; the oldest beyond 10,000 are forgotten."""
        self._connection.execute("INSERT INTO command VALUES (?, ?, ?, NULL)", (command, device, at_ms))
        self._connection.execute(
            "DELETE FROM command WHERE begun_ms <"
            " (SELECT begun_ms FROM command ORDER BY begun_ms DESC LIMIT 1 OFFSET ?)",
            (COMMANDS_KEPT,),
        )

    def end_command(self, command: str, outcome: str) -> None:
        """Keep a command's outcome (JSON)."""
        self._connection.execute("UPDATE command SET outcome = ? WHERE id = ?", (outcome, command))

    def dropped(self) -> list[Dropped]:
        """What was dropped and not yet told."""
        return [Dropped(*row) for row in self._connection.execute("SELECT * FROM dropped").fetchall()]

    def forget_dropped(self, dropped: Dropped) -> None:
        """It has been told."""
        self._connection.execute("DELETE FROM dropped WHERE device = ? AND kind = ?", (dropped.device, dropped.kind))
