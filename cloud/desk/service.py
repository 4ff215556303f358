"""The desk as a program: wakes on NOTIFY or a timer, stops when told or when one of its tasks dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import time
from dataclasses import dataclass

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from cloud.db import queries
from cloud.db.pool import Pool, open_pool
from cloud.db.settings import DatabaseSettings
from cloud.desk.settings import DeskSettings
from cloud.desk.tend import Turn, make_cursors, tend
from cloud.desk.triage.queue import order_day
from cloud.desk.triage.settings import TriageSettings
from cloud.registry.costs import Costs

CHANNELS = ("ingest_batch", "prediction", "registry")
LONGEST_PAUSE_S = 10.0
HEALTH_EVERY_S = 5.0

_SQL = queries.load("desk")
_log = structlog.get_logger()


@dataclass(slots=True)
class Counters:
    """What the desk did since it started."""

    turns: int = 0
    batches: int = 0
    changes: int = 0
    cases: int = 0
    tickets: int = 0
    over: int = 0
    judged: int = 0
    confirmed: int = 0
    refuted: int = 0
    retries: int = 0

    def add(self, turn: Turn) -> None:
        """Count a turn."""
        self.turns += 1
        self.batches += turn.batches
        self.changes += turn.changes
        self.cases += turn.cases
        self.tickets += turn.tickets
        self.over += turn.over
        self.judged += turn.examined.judged
        self.confirmed += turn.examined.confirmed
        self.refuted += turn.examined.refuted


class Desk:
    """The run loop. `run()` works until `stop()` or until one of its tasks fails; not to be run twice."""

    def __init__(
        self, settings: DeskSettings, database: DatabaseSettings, triage: TriageSettings | None = None
    ) -> None:
        self.counters = Counters()
        self._settings = settings
        self._triage = triage or TriageSettings()
        self._database = database
        self._costs = Costs.load(settings.costs_file)
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ask `run` to end after the turn in hand. Idempotent."""
        self._stopping.set()
        self._woken.set()

    async def run(self) -> None:
        """Work. The first task that fails ends the others and is raised."""
        async with open_pool(self._database, "desk") as pool, asyncio.TaskGroup() as tasks:
            side = [
                tasks.create_task(self._listen(), name="desk listens"),
                tasks.create_task(self._report(pool), name="desk reports its health"),
            ]
            tasks.create_task(self._work(pool), name="desk works")
            await self._stopping.wait()
            for task in side:
                task.cancel()

    async def _work(self, pool: Pool) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                async with pool.connection() as connection:
                    await make_cursors(connection)
                    failures = 0
                    await self._turns(connection)
            except psycopg.Error as error:
                if not is_temporary(error):
                    raise
                failures += 1
                self.counters.retries += 1
                _log.warning("desk.database_unreachable", error=str(error).strip(), failures=failures)
                await self._pause(random.uniform(0, min(LONGEST_PAUSE_S, 0.2 * 2**failures)))  # noqa: S311 - jitter

    async def _turns(self, connection: AsyncConnection[tuple[object, ...]]) -> None:
        swept, ordered = -self._settings.sweep_s, -self._triage.queue_s
        while not self._stopping.is_set():
            self._woken.clear()
            due = time.monotonic() - swept >= self._settings.sweep_s
            turn = await tend(connection, self._settings, self._costs, sweep=due, triage=self._triage)
            swept = time.monotonic() if due else swept
            self.counters.add(turn)
            if time.monotonic() - ordered >= self._triage.queue_s:
                await order_day(connection, self._costs, self._triage)
                ordered = time.monotonic()
            if turn.cases or turn.tickets or turn.over:
                _log.info("desk.turn", batches=turn.batches, cases=turn.cases, tickets=turn.tickets, over=turn.over)
            if not turn.more:
                await self._pause(self._settings.wake_s)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)

    async def _listen(self) -> None:
        """Wake the work on every notification; a lost connection is made again, the timer serves meanwhile."""
        while True:
            try:
                async with await AsyncConnection.connect(
                    self._database.url.get_secret_value(), autocommit=True, application_name="firstcall-desk-listen"
                ) as connection:
                    for channel in CHANNELS:
                        await connection.execute(_LISTEN[channel])
                    async for _notice in connection.notifies():
                        self._woken.set()
            except psycopg.Error as error:
                if not is_temporary(error):
                    raise
                _log.warning("desk.listener_lost", error=str(error).strip())
                await asyncio.sleep(self._settings.wake_s)

    async def _report(self, pool: Pool) -> None:
        instance = f"{socket.gethostname()}:{os.getpid()}"
        while True:
            await asyncio.sleep(HEALTH_EVERY_S)
            counters = {name: getattr(self.counters, name) for name in Counters.__slots__}
            try:
                async with pool.connection() as connection:
                    await connection.execute(_SQL["report_health"], {"instance": instance, "counters": Jsonb(counters)})
            except psycopg.Error as error:
                if not is_temporary(error):
                    raise
                _log.warning("desk.health_not_written", error=str(error).strip())


def is_temporary(error: psycopg.Error) -> bool:
    """Whether trying again may help: the connection broke, the server restarts or is out of something, a deadlock.

    Decided by SQLSTATE class alone: psycopg takes states that it does not know, such as the desk's own, for
    operational errors. Without a state it is the connection itself that failed. A wrong guess costs either a
    program that stops where a retry would have served, or one that retries for good; the classes are those of
    PostgreSQL's appendix A that speak of circumstances and not of the statement.
    """
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate[:2] in {"08", "40", "53", "57", "58"}


_LISTEN = {"ingest_batch": "LISTEN ingest_batch", "prediction": "LISTEN prediction", "registry": "LISTEN registry"}
