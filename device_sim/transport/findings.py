"""What engineers found, told to the cloud late, as in life: rows of the table `finding`, or only a file.

Without a database the findings stand in findings.jsonl. Nothing here reads what the detector thinks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg
import structlog

from device_sim.fleet.truth import iso
from edge_agent.ports import Clock

logger = structlog.get_logger(__name__)

FINDINGS = "findings.jsonl"
PATIENCE_S = 20.0
"""Real seconds to wait for a device's first row in the database."""

INSERT = """
INSERT INTO finding (device_no, outcome, code, part, note, person, failed_at, found_at)
SELECT device_no, %(outcome)s, %(code)s, %(part)s, %(note)s, 'simulated engineer', %(failed_at)s, %(found_at)s
FROM device d WHERE device = %(device)s
    AND NOT EXISTS (SELECT FROM finding f WHERE f.device_no = d.device_no
        AND f.found_at = %(found_at)s AND f.part IS NOT DISTINCT FROM %(part)s)
RETURNING finding_no
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. failed_at, found_at: event time in s; found_at is when the cloud may know of it."""

    device: str
    outcome: Literal["fault_confirmed", "other_fault", "no_fault_found", "caused_by_use"]
    found_at: float
    failed_at: float | None = None
    code: str | None = None
    part: str | None = None
    note: str = ""

    def row(self) -> dict[str, Any]:
        """The finding as JSON."""
        return {
            "device": self.device, "outcome": self.outcome, "found_at": iso(self.found_at),
            "failed_at": iso(self.failed_at), "code": self.code, "part": self.part, "note": self.note,
        }  # fmt: skip


class FindingFeed:
    """Writes findings when event time reaches them: one run, in order of `found_at`."""

    def __init__(self, findings: Sequence[Finding], folder: Path, database: str | None) -> None:
        self._findings = sorted(findings, key=lambda finding: (finding.found_at, finding.device, finding.part or ""))
        self._file = folder / FINDINGS
        self._database = database
        self.told = 0
        self.untold = 0
        """Findings whose device the database did not know in time."""

    @property
    def sleeps(self) -> bool:
        """Whether `run` sleeps on the clock: only when it tells a database."""
        return self._database is not None

    async def run(self, clock: Clock) -> None:
        """Sleep from finding to finding on `clock`; returns after the last.

        Raises:
            psycopg.Error: the database cannot be reached or refuses the row.
        """
        with self._file.open("w", encoding="utf-8") as out:
            if self._database is None:
                for finding in self._findings:
                    out.write(json.dumps(finding.row(), separators=(",", ":")) + "\n")
                return
            connection = await psycopg.AsyncConnection.connect(self._database, autocommit=True)
            async with connection:
                for finding in self._findings:
                    await clock.sleep_until(finding.found_at)
                    await self._tell(connection, finding)
                    out.write(json.dumps(finding.row(), separators=(",", ":")) + "\n")

    async def _tell(self, connection: psycopg.AsyncConnection[Any], finding: Finding) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S
        while True:
            cursor = await connection.execute("SELECT 1 FROM device WHERE device = %s", (finding.device,))
            if await cursor.fetchone():
                break
            if loop.time() > deadline:
                self.untold += 1
                logger.warning("finding_untold", device=finding.device, reason="the database does not know the device")
                return
            await asyncio.sleep(0.2)
        cursor = await connection.execute(INSERT, finding.row())
        self.told += 1
        if row := await cursor.fetchone():
            await connection.execute("SELECT pg_notify('finding', %s)", (str(row[0]),))
