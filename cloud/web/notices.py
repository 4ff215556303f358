"""What the database announces (NOTIFY), handed on to whoever is interested inside this process.

One connection listens; a lost connection is made again with full-jitter back-off, after which every subscriber is
told `everything`, because notices sent meanwhile are gone. A notice only says *look again*: no fact travels in it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import psycopg
import structlog
from psycopg import AsyncConnection, sql

CHANNELS = ("ingest_batch", "fault_case", "ticket", "prediction", "finding", "queue")
log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Subscription:
    """One listener's pending notices, folded together: however slow the listener, this stays small."""

    wanted: frozenset[str]
    _pending: set[str] = field(default_factory=set)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, channel: str) -> None:
        """Note that something happened on a channel."""
        if channel in self.wanted:
            self._pending.add(channel)
            self._wake.set()

    async def changes(self, timeout_s: float) -> frozenset[str]:
        """The channels that spoke since the last call; waits for one, at most `timeout_s`; empty at the timeout."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return frozenset()
        found = frozenset(self._pending)
        self._pending.clear()
        self._wake.clear()
        return found


class Notices:
    """The listening side. `run()` listens until cancelled; `subscribe()` gives a subscription for a while."""

    def __init__(self, url: str, channels: tuple[str, ...] = CHANNELS) -> None:
        self._url = url
        self._channels = channels
        self._subscriptions: set[Subscription] = set()
        self.connected = False
        self.reconnects = 0
        self.received = 0

    @contextmanager
    def subscribe(self, *channels: str) -> Iterator[Subscription]:
        """Notices of these channels (all, when none is named) until the block is left."""
        unknown = set(channels) - set(self._channels)
        if unknown:
            raise ValueError(f"nobody listens on {', '.join(sorted(unknown))}")
        subscription = Subscription(frozenset(channels or self._channels))
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def run(self) -> None:
        """Listen, and come back after each loss of the connection."""
        attempt = 0
        while True:
            try:
                async with self._listening() as connection:
                    attempt = 0
                    async for notice in connection.notifies():
                        self.received += 1
                        self._tell(notice.channel)
            except (psycopg.Error, OSError) as error:
                log.warning("notices.lost", error=type(error).__name__)
            self.reconnects += 1
            attempt += 1
            await asyncio.sleep(random.uniform(0, min(10.0, 0.1 * 2**attempt)))  # noqa: S311 - jitter, not a secret

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[AsyncConnection[tuple[object, ...]]]:
        connection = await AsyncConnection.connect(self._url, autocommit=True, application_name="firstcall-web-notices")
        try:
            for channel in self._channels:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            self.connected = True
            for channel in self._channels:
                self._tell(channel)
            yield connection
        finally:
            self.connected = False
            await connection.close()

    def _tell(self, channel: str) -> None:
        for subscription in tuple(self._subscriptions):
            subscription.tell(channel)
