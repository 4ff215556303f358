"""Gentle running of one device: begun and ended by orders, ended by itself at its time, kept over restarts.

Before the driver is asked to begin, the disk says that gentle running is to be ended; only when it has answered, until
when. So no appliance is left running gently by a crash or an answer that was lost: what stands on disk is carried out
after each `open`, and again until the driver has answered.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from edge_agent.counters import Counters
from edge_agent.ports import Driver, DriverError, GentleDriver
from edge_agent.spool.ledgers import GentleOrder
from edge_agent.spool.store import Spool, is_no_room

logger = structlog.get_logger(__name__)

LONGEST_MS = 90 * 86_400_000
"""Who orders more has made a mistake: a visit is weeks away at most."""

AGAIN_MS = 60_000
"""A driver that did not answer is asked again after so long, and read meanwhile."""


class GentleRun:
    """Carries out the orders of one device. Whoever calls holds the device's line; times are ms since the epoch."""

    def __init__(
        self, device: str, driver: Driver, *, spool: Spool, counters: Counters, announce: Callable[[], None]
    ) -> None:
        self._device = device
        self._driver = driver
        self._spool = spool
        self._counters = counters
        self._announce = announce
        self._unsettled = True
        self._again_ms = 0
        self.until_ms: int | None = None
        """Until when the appliance runs gently; None: it runs normally."""

    async def begin(self, until_ms: int, *, ordered_ms: int, now_ms: int) -> None:
        """Run gently until `until_ms`, as ordered at `ordered_ms`.

        Raises:
            ValueError: the appliance cannot, the time makes no sense, or a later order stands.
            OSError, DriverError: the driver did not answer; it is told to run normally, whatever it did.
        """
        driver = self._capable()
        if not now_ms < until_ms <= now_ms + LONGEST_MS:
            raise ValueError(f"until {_written(until_ms)}: it must lie ahead, and at most 90 days")
        before = self._standing(ordered_ms)
        self._to_be_ended(ordered_ms, now_ms)
        try:
            await driver.run_gently(until_ms / 1000)
        except ValueError:
            self._keep(before or GentleOrder(None, ordered_ms))
            raise
        self._stands(GentleOrder(until_ms, ordered_ms))

    async def end(self, *, ordered_ms: int, now_ms: int) -> None:
        """Run normally from now on. Raises as `begin`."""
        driver = self._capable()
        self._standing(ordered_ms)
        self._to_be_ended(ordered_ms, now_ms)
        await driver.run_gently(None)
        self._stands(GentleOrder(None, ordered_ms))

    def opened(self) -> None:
        """The driver has opened: its appliance may have forgotten what was ordered."""
        self._unsettled = True

    async def attend(self, at: float) -> None:
        """Before each reading, at event time `at` (s): carry out what stands, and end what has run out."""
        if self.until_ms is None and not self._unsettled:
            return
        now_ms = round(at * 1000)
        ran_out = self.until_ms is not None and now_ms >= self.until_ms
        waits = now_ms < self._again_ms <= now_ms + AGAIN_MS
        if waits or not (ran_out or self._unsettled):
            return
        try:
            await self._settle(now_ms)
        except (OSError, DriverError) as error:
            self._again_ms = now_ms + AGAIN_MS
            self._counters.driver_errors += 1
            logger.warning("gentle_run_unsettled", device=self._device, reason=str(error))

    async def _settle(self, now_ms: int) -> None:
        order = self._spool.ledgers.gentle_order(self._device)
        if order is not None and order.until_ms is not None:
            try:
                await self._capable().run_gently(order.until_ms / 1000 if now_ms < order.until_ms else None)
            except ValueError as error:
                logger.warning("gentle_run_lost", device=self._device, reason=str(error))
                order = GentleOrder(None, order.ordered_ms)
            if order.until_ms is not None and now_ms >= order.until_ms:
                order = GentleOrder(None, order.ordered_ms)
            try:
                self._stands(order)
            except sqlite3.OperationalError as error:
                if not is_no_room(error):
                    raise  # else it is settled again after the next start
        self._unsettled = False

    def _capable(self) -> GentleDriver:
        if isinstance(self._driver, GentleDriver):
            return self._driver
        raise ValueError(f"unsupported: the driver of device {self._device} cannot make it run gently")

    def _standing(self, ordered_ms: int) -> GentleOrder | None:
        order = self._spool.ledgers.gentle_order(self._device)
        if order is not None and order.ordered_ms > ordered_ms:
            raise ValueError(f"overtaken: an order made later, at {_written(order.ordered_ms)}, stands")
        return order

    def _to_be_ended(self, ordered_ms: int, now_ms: int) -> None:
        self._keep(GentleOrder(now_ms, ordered_ms))
        self._unsettled = True

    def _stands(self, order: GentleOrder) -> None:
        self._unsettled = False
        changed = order.until_ms != self.until_ms
        self.until_ms = order.until_ms
        self._keep(order)
        if changed:
            logger.info("gentle_run", device=self._device, until=order.until_ms and _written(order.until_ms))
            self._announce()

    def _keep(self, order: GentleOrder) -> None:
        if self._spool.ledgers.gentle_order(self._device) == order:
            return
        with self._spool.transaction():
            self._spool.ledgers.set_gentle_order(self._device, order)


def _written(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
