"""How tasks end: what stands behind a group of exceptions, and a cancellation that is not lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

CANCEL_AGAIN_S = 0.5


def first_cause(error: BaseException) -> BaseException:
    """The first exception of a group, of a group in it, and so on; any other exception is its own."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def end_tasks(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended.

    Before Python 3.12 `asyncio.wait_for`, which aiomqtt uses, swallows a cancellation that meets its result: once is
    not enough. Source: CPython issue 86296.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
