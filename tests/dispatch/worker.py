"""Dispatch as a process of its own, to be killed: plans, books what is held, ends visits, until all is done."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime

from psycopg import AsyncConnection

from cloud.desk.dispatch.booking import SlotTaken, accept
from cloud.desk.dispatch.rounds import hold_round
from cloud.desk.dispatch.settings import DispatchSettings
from cloud.desk.dispatch.visits import VisitReport, finish
from cloud.desk.tickets import Outcome

HELD = "SELECT slot_no FROM visit_slot WHERE state = 'held' ORDER BY slot_no"
BOOKED = "SELECT w.work_order_no, s.engineer FROM work_order AS w JOIN visit_slot AS s USING (work_order_no)" \
    " WHERE w.state = 'booked' AND s.state = 'booked' ORDER BY 1"  # fmt: skip
FOUND_AT = datetime(2030, 1, 1, tzinfo=UTC)


async def main() -> None:
    settings = DispatchSettings()
    async with await AsyncConnection.connect(os.environ["FIRSTCALL_DB_URL"], autocommit=True) as connection:
        print("ready", flush=True)
        while True:
            await hold_round(connection, settings)
            for (slot,) in await (await connection.execute(HELD)).fetchall():
                try:
                    await accept(connection, slot, "customer", settings)
                except SlotTaken:
                    continue
            for number, engineer in await (await connection.execute(BOOKED)).fetchall():
                report = VisitReport(Outcome.FAULT_CONFIRMED, FOUND_AT, code="5E", part="pump")
                await finish(connection, number, engineer, report)
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(main())
