"""The run loop of dispatch: a round and a look at the service clocks, on a notice or the timer."""

from __future__ import annotations

import asyncio

from psycopg import AsyncConnection

from cloud.db.settings import DatabaseSettings
from cloud.db.waiting import despite_losses, notice_within
from cloud.desk.dispatch.clocks import escalate
from cloud.desk.dispatch.rounds import hold_round
from cloud.desk.dispatch.settings import DispatchSettings


async def run(settings: DispatchSettings, database: DatabaseSettings, stop: asyncio.Event) -> None:
    """Run until `stop` is set. A lost database is waited for; a round that was cut off is held again."""
    await despite_losses(lambda: _follow(settings, database, stop), stop, settings.poll_s)


async def _follow(settings: DispatchSettings, database: DatabaseSettings, stop: asyncio.Event) -> None:
    url = database.url.get_secret_value()
    options = "-c timezone=UTC"
    async with (
        await AsyncConnection.connect(
            url, autocommit=True, options=options, application_name="firstcall-dispatch"
        ) as work,
        await AsyncConnection.connect(url, autocommit=True, application_name="firstcall-dispatch-listen") as notices,
    ):
        await notices.execute("LISTEN ticket")
        await notices.execute("LISTEN outreach_answer")
        while not stop.is_set():
            await hold_round(work, settings)
            await escalate(work, settings)
            await notice_within(notices, settings.poll_s, stop)
