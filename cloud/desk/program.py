"""The whole desk as one program: cases and tickets, outreach, dispatch. The first that fails ends all."""

from __future__ import annotations

import asyncio

from cloud.db.settings import DatabaseSettings
from cloud.desk.dispatch import service as dispatch
from cloud.desk.dispatch.settings import DispatchSettings
from cloud.desk.outreach import service as outreach
from cloud.desk.outreach.settings import OutreachSettings
from cloud.desk.service import Desk
from cloud.desk.settings import DeskSettings


async def run(database: DatabaseSettings, stop: asyncio.Event) -> None:
    """Run until `stop` is set; settings come from the environment: FIRSTCALL_{DESK,OUTREACH,DISPATCH}_*."""
    desk = Desk(DeskSettings(), database)
    reaching, sending = OutreachSettings(), DispatchSettings()

    async def until_stopped() -> None:
        await stop.wait()
        desk.stop()

    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(until_stopped(), name="stop")
        tasks.create_task(outreach.run(reaching, database, stop, dispatch=sending), name="outreach")
        tasks.create_task(dispatch.run(sending, database, stop), name="dispatch")
        await desk.run()
        stop.set()
        await waiting
