"""A stage for the desk: a registry with one washer sold to ann, and ways to let things happen to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from cloud.desk.settings import DeskSettings
from cloud.desk.tend import Turn, make_cursors, tend
from cloud.desk.triage.settings import TriageSettings
from cloud.registry import ownership, people
from cloud.registry.costs import Costs
from cloud.registry.gs1 import ProductCode
from cloud.registry.importer import import_catalogue
from tests.support.databases import until_settled

UNIT = ProductCode("09520000900014", "S1", lot="L7")  # a WM-90 of the shipped catalogue
COSTS = Costs.load()


@dataclass
class Stage:
    """A database and a device named chip; hours are counted back from the moment at which the stage was set."""

    connection: AsyncConnection[Any]
    url: str = ""
    device_no: int = 0
    settings: DeskSettings = field(default_factory=DeskSettings)
    triage: TriageSettings | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    _seq: int = 0

    async def set_up(self) -> Stage:
        await import_catalogue(self.connection)
        for name in ("ann", "bo"):
            await people.add_user(self.connection, name)
        self.device_no = await ownership.register_device(self.connection, "chip", "test", gateway="gw")
        await ownership.register_product(self.connection, UNIT)
        await ownership.fit(self.connection, "chip", UNIT, "test")
        await ownership.bind(self.connection, "chip", "ann", self.ago(1_000), "test")
        await make_cursors(self.connection)
        return self

    def ago(self, hours: float) -> datetime:
        return self.now - timedelta(hours=hours)

    async def report(self, hours_ago: float, code: str = "5E", raised: bool = True, device_no: int = 0) -> None:
        """The appliance reports a fault; ingest has committed it."""
        at = self.ago(hours_ago)
        self._seq += 1
        async with self.connection.transaction():
            batch_no = await self._batch(at)
            await self.connection.execute(
                "INSERT INTO fault_report (device_no, occurred_at, boot, seq, code, raised, gateway_no, batch_no, "
                "ingested_at) VALUES (%s, %s, 1, %s, %s, %s, 1, %s, clock_timestamp())",
                [device_no or self.device_no, at, self._seq, code, raised, batch_no],
            )

    async def hear(self, hours_ago: float) -> None:
        """A telemetry frame of the device is committed."""
        at = self.ago(hours_ago)
        self._seq += 1
        async with self.connection.transaction():
            await self.connection.execute("SELECT ensure_frame_partitions(ARRAY[%s]::timestamptz[])", [at])
            batch_no = await self._batch(at)
            await self.connection.execute(
                "INSERT INTO frame VALUES (%s, %s, 1, %s, 1, 1, 1000, 1, 1, 0, '{1}', %s, clock_timestamp())",
                [self.device_no, at, self._seq, batch_no],
            )

    async def predict(self, hours_ago: float, problem: str = "5E", probability: float = 0.7) -> int:
        """The detector raises a prediction."""
        cursor = await self.connection.execute(
            "INSERT INTO prediction (device_no, problem, raised_at, probability, horizon_hours, reason, detector) "
            "VALUES (%s, %s, %s, %s, 72, %s, 'test') RETURNING prediction_no",
            [self.device_no, problem, self.ago(hours_ago), probability, Jsonb({"sentences": ["drainTime is high"]})],
        )
        return int((await cursor.fetchone() or (0,))[0])

    async def unpredict(self, prediction_no: int, hours_ago: float) -> None:
        """The detector clears it."""
        await self.connection.execute(
            "UPDATE prediction SET state = 'cleared', cleared_at = %s WHERE prediction_no = %s",
            [self.ago(hours_ago), prediction_no],
        )

    async def turn(self) -> Turn:
        await until_settled(self.connection)
        return await tend(self.connection, self.settings, COSTS, triage=self.triage)

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        cursor = await self.connection.execute(query)  # type: ignore[call-overload]
        return await cursor.fetchall()

    async def cases(self) -> list[tuple[Any, ...]]:
        """Each case: code, user, missing, withheld, raises, whether it stands."""
        return await self.rows(
            "SELECT problem, user_id, missing, withheld, raises, cleared_at IS NULL FROM fault_case "
            "WHERE merged_into IS NULL ORDER BY occurred_at, case_no"
        )

    async def tickets(self) -> list[tuple[Any, ...]]:
        """Each ticket: problem, user, state, why it was closed."""
        return await self.rows("SELECT problem, user_id, state, closing_reason FROM ticket ORDER BY ticket_no")

    async def _batch(self, at: datetime) -> int:
        cursor = await self.connection.execute(
            "INSERT INTO ingest_batch (frames, fault_reports, first_at, last_at) VALUES (0, 1, %s, %s) "
            "RETURNING batch_no",
            [at, at],
        )
        return int((await cursor.fetchone() or (0,))[0])
