"""The run loop of dispatch: a round and a look at the service clocks, on a notice or the timer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from cloud.db.settings import DatabaseSettings
from cloud.desk.dispatch.clocks import escalate
from cloud.desk.dispatch.rounds import hold_round
from cloud.desk.dispatch.settings import DispatchSettings

log = structlog.get_logger(__name__)


async def run(settings: DispatchSettings, database: DatabaseSettings, stop: asyncio.Event) -> None:
    """Run until `stop` is set. A lost database is waited for; a round that was cut off is held again."""
    while not stop.is_set():
        try:
            await _follow(settings, database, stop)
        except psycopg.OperationalError as error:
            log.warning("database_lost", detail=str(error).strip(), next_try_s=settings.poll_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), settings.poll_s)


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
            await _wait(notices, settings.poll_s, stop)


async def _wait(notices: AsyncConnection[Any], at_most_s: float, stop: asyncio.Event) -> None:
    async def first_notice() -> None:
        async for _ in notices.notifies(timeout=at_most_s, stop_after=1):
            return

    waits = [asyncio.ensure_future(first_notice()), asyncio.ensure_future(stop.wait())]
    done, left = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for task in done:
        task.result()
