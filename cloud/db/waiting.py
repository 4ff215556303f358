"""How a program waits: for an event, for a notice of the database, and for a lost database to come back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

log = structlog.get_logger(__name__)


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether `event` is set, after waiting for it for at most `seconds`.

    Not by asyncio.wait_for: in Python 3.11 that swallows a cancellation which comes together with the event, and
    the task that was to end goes on.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def notice_within(listening: AsyncConnection[Any], seconds: float, stop: asyncio.Event) -> None:
    """Return at the next notice of a connection that has said LISTEN, when `stop` is set, or after `seconds`.

    Raises:
        psycopg.OperationalError: the connection was lost.
    """

    async def first_notice() -> None:
        async for _ in listening.notifies(timeout=seconds, stop_after=1):
            return

    waits = [asyncio.ensure_future(first_notice()), asyncio.ensure_future(stop.wait())]
    done, left = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for task in done:
        task.result()


async def despite_losses(follow: Callable[[], Awaitable[None]], stop: asyncio.Event, pause_s: float) -> None:
    """Run `follow` until `stop` is set, again each time that the database was lost, after a pause.

    Whatever else `follow` raises goes through. It must be one that can begin again: what it did is committed or not.
    """
    while not stop.is_set():
        try:
            await follow()
        except psycopg.OperationalError as error:
            log.warning("database_lost", detail=str(error).strip(), next_try_s=pause_s)
            await set_within(stop, pause_s)
