"""Waiting for an event, for a bounded time."""

from __future__ import annotations

import asyncio
import contextlib


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether `event` is set, after waiting for it for at most `seconds`.

    Not by asyncio.wait_for: in Python 3.11 that swallows a cancellation which comes together with the event, and
    the task that was to end goes on.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
