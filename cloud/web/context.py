"""What every route and page works with, made when the program starts and gone when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from fastapi import Request

from cloud.db.pool import Pool, open_pool
from cloud.db.settings import DatabaseSettings
from cloud.registry.keys import MasterKey
from cloud.web import upkeep
from cloud.web.auth.identity import Identity
from cloud.web.board import Board
from cloud.web.metrics import Metrics
from cloud.web.notices import Notices
from cloud.web.settings import WebSettings


@dataclass(frozen=True, slots=True)
class WebContext:
    """The parts of the running program."""

    settings: WebSettings
    pool: Pool
    notices: Notices
    board: Board
    metrics: Metrics
    master_key: MasterKey | None
    ending: asyncio.Event

    def end(self) -> None:
        """The program is about to stop: streams end by themselves, so that nobody has to be cut off."""
        self.ending.set()
        self.board.wake()


@asynccontextmanager
async def open_context(
    settings: WebSettings, database: DatabaseSettings, metrics: Metrics, master_key: MasterKey | None
) -> AsyncIterator[WebContext]:
    """Open the pool, listen for notices, keep the board; all ended on leaving. If one of them dies, all end."""
    notices = Notices(database.url.get_secret_value())
    async with open_pool(database, "web") as pool:
        board = Board(pool, notices, settings.refresh_s, settings.recheck_s)
        context = WebContext(settings, pool, notices, board, metrics, master_key, asyncio.Event())
        tasks = [
            asyncio.create_task(notices.run(), name="notices"),
            asyncio.create_task(board.run(), name="board"),
            asyncio.create_task(upkeep.tell_webhooks(pool, notices, settings), name="webhooks"),
            asyncio.create_task(upkeep.keep_order(pool), name="upkeep"),
        ]
        try:
            yield context
        finally:
            context.end()
            await _end(tasks)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel until all are over: before Python 3.12 `wait_for`, with which psycopg waits, loses a cancellation that
    comes in the moment in which it is done (bpo-42130)."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=1.0)
    await asyncio.gather(*tasks, return_exceptions=True)


def context_of(request: Request) -> WebContext:
    """The running program's parts, for a route. While a request changes something, all of it happens on its one
    connection (cloud/web/api/changing.py)."""
    context: WebContext = request.app.state.context
    one_connection = getattr(request.state, "one_connection", None)
    return context if one_connection is None else replace(context, pool=one_connection)


def identity_of(request: Request) -> Identity:
    """Who asks, as the guard found it."""
    identity: Identity = request.state.identity
    return identity


def operator_of(request: Request) -> str:
    """Under whose name this request goes on, as the guard found it."""
    return str(request.state.operator)
