"""One device's loop: open its driver, read it on time, spool what comes of it, and open it again after an error."""

from __future__ import annotations

import asyncio

import structlog

from edge_agent.appliance import Appliance
from edge_agent.backoff import ceiling
from edge_agent.counters import Counters
from edge_agent.draft import Draft
from edge_agent.gentle_run import GentleRun
from edge_agent.outlet import Outlet
from edge_agent.ports import Clock, Description, Driver, DriverError, Reading
from edge_agent.settings import DeviceSettings
from edge_agent.spool import Spool
from edge_agent.spool.ledgers import Ledgers
from protocols.messages import ActiveFault, DeviceInventory

logger = structlog.get_logger(__name__)

REOPEN_S = 1.0
REOPEN_MAX_S = 60.0
RETIME_S = 5.0
"""Shorter waits are waited out when the period is changed: two tasks a sample would cost more than they are worth."""


class DeviceLoop:
    """Runs one device: what it reads goes to the outlet."""

    def __init__(
        self,
        settings: DeviceSettings,
        driver: Driver,
        *,
        clock: Clock,
        counters: Counters,
        spool: Spool,
        outlet: Outlet,
        every_sample: bool,
    ) -> None:
        self.device = settings.id
        self._settings = settings
        self.driver = driver
        self._clock = clock
        self._counters = counters
        self._ledgers = spool.ledgers
        self._outlet = outlet
        self._every_sample = every_sample
        self._description: Description | None = None
        self.appliance: Appliance | None = None
        self._retimed = asyncio.Event()
        self._answered = False
        self.line = asyncio.Lock()
        """Held while the driver is asked: a self-test and a reading never overlap."""
        self.gentle = GentleRun(self.device, driver, spool=spool, counters=counters, announce=outlet.announce)

    @property
    def is_open(self) -> bool:
        """Whether the driver has described its device."""
        return self.appliance is not None

    @property
    def opened(self) -> Appliance:
        """The appliance; RuntimeError when the driver has not described it yet."""
        if self.appliance is None:
            raise RuntimeError(f"device {self.device} is not open")
        return self.appliance

    def inventory(self) -> DeviceInventory:
        """What a birth says of the device; only when open."""
        appliance = self.opened
        active = tuple(
            ActiveFault(code=code, since=round(since * 1000)) for code, since in sorted(appliance.active_faults.items())
        )
        return DeviceInventory(
            device=self.device,
            firmware=self._description.firmware if self._description else "",
            channel_sets=(appliance.channel_set,),
            active_faults=active,
            gentle_until=self.gentle.until_ms,
        )

    def flush(self) -> list[Draft]:
        """The frames begun so far."""
        return self.appliance.flush() if self.appliance else []

    async def run(self) -> None:
        """Run until the driver says that there will be no more."""
        attempt = 0
        try:
            while not await self._attend():
                await self.driver.close()
                attempt = 0 if self._answered else attempt + 1
                await asyncio.sleep(ceiling(attempt, REOPEN_S, REOPEN_MAX_S))
        finally:
            await self.driver.close()

    async def _attend(self) -> bool:
        """Open the driver and sample it; True when there will be no more, False after an error."""
        self._answered = False
        try:
            async with self.line:
                self._opened(await self.driver.open())
                self.gentle.opened()
            await self._sample()
        except (OSError, DriverError) as error:
            self._counters.driver_errors += 1
            logger.warning("driver_failed", device=self.device, reason=str(error))
            self._outlet.accept(self.flush())
            return False
        return True

    def _opened(self, description: Description) -> None:
        if description == self._description:
            return
        self._description = description
        active = self._ledgers.active_faults(self.device)
        self.appliance = Appliance(description.channel_set, self._settings, self._counters, active)
        order = self._ledgers.sampling(self.device)
        if order is not None:
            self.appliance.set_sampling(order)
        self._outlet.announce()

    async def _sample(self) -> None:
        appliance = self.opened
        due = self._clock.now()
        while True:
            due = await self._wait(due, appliance)
            due, at = self._on_time(due, appliance.period_ms / 1000)
            async with self.line:
                await self.gentle.attend(at)
                reading = await self.driver.read(at)
            self._answered = True
            if reading is None:
                self._outlet.accept(appliance.flush())
                return
            self.take(appliance, reading)
            due += appliance.period_ms / 1000

    def retime(self) -> None:
        """The sampling period has changed: do not wait out the old one."""
        self._retimed.set()

    async def _wait(self, due: float, appliance: Appliance) -> float:
        """Wait for a sampling instant, or for the earlier one of a period that was changed meanwhile."""
        self._retimed.clear()
        if due - self._clock.now() < RETIME_S:
            await self._clock.sleep_until(due)
            return due
        waits = [asyncio.create_task(self._clock.sleep_until(due)), asyncio.create_task(self._retimed.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self._retimed.is_set():
            return due
        return min(due, self._clock.now() + appliance.period_ms / 1000)

    def take(self, appliance: Appliance, reading: Reading) -> None:
        """Spool what a reading completes, and the active faults with it."""
        faults = self._counters.faults
        drafts = appliance.observe(reading)
        changed = self._counters.faults != faults
        self._outlet.accept(drafts, self._keep_faults if changed else None)

    def _keep_faults(self, ledgers: Ledgers) -> None:
        ledgers.set_active_faults(self.device, self.opened.active_faults)

    def _on_time(self, due: float, period: float) -> tuple[float, float]:
        """The sampling instant that it is now, and the event time for it, both in s."""
        if self._every_sample:
            return due, due
        now = self._clock.now()
        if now < due - period:  # the wall clock was set back
            self._counters.clock_steps += 1
            return now, now
        late = int((now - due) / period)
        if late:
            self._counters.missed_samples += late
        return due + late * period, now
