"""The agent: drivers, appliances, spool and uplink of one gateway, started and stopped together."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import structlog

from edge_agent.clock import SystemClock, kernel_clock_synchronised
from edge_agent.commands import Commands
from edge_agent.counters import Counters
from edge_agent.device_loop import DeviceLoop
from edge_agent.dispatch import Dispatch
from edge_agent.draft import Draft, Rank
from edge_agent.drivers import create
from edge_agent.failures import end_tasks, first_cause
from edge_agent.ports import Clock, Driver
from edge_agent.settings import DeviceSettings, EdgeSettings
from edge_agent.spool import Spool, SpoolCorrupt, open_spool
from edge_agent.spool.ledgers import Ledgers
from edge_agent.spool.store import is_no_room
from edge_agent.upkeep import Upkeep
from edge_agent.uplink import Callbacks, Uplink
from edge_agent.window import Window
from protocols.messages import EARLIEST_MS, Birth, Death
from protocols.topics import NO_DEVICE, Kind

logger = structlog.get_logger(__name__)

VERSION = "firstcall-edge 0.1.0"
TOGETHER_S = 0.05
"""Devices that open within so long are told by one birth."""


class AgentFailed(Exception):
    """A part of the agent ended that must not; the cause says which and why."""


class Agent:
    """One gateway's agent. Use it as `async with Agent(settings) as agent:` or await `run()` until `stop()`.

    settings: what gateway.toml would say. drivers: device id -> driver in this process, over or beside the settings'
    devices. clock: event time and waiting (the system's by default). every_sample: read each sampling instant even
    when late, at its own time, as simulated time wants; otherwise a late reading is skipped and counted. boot_floor:
    the least boot number (unix seconds by default). Reusable is it not: one object, one run.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        drivers: Mapping[str, Driver] | None = None,
        clock: Clock | None = None,
        every_sample: bool = False,
        boot_floor: int | None = None,
        randomness: random.Random | None = None,
        clock_synchronised: Callable[[], bool] | None = None,
    ) -> None:
        self.settings = settings
        self.counters = Counters()
        self._drivers = dict(drivers or {})
        self._clock: Clock = clock or SystemClock()
        self._every_sample = every_sample
        self._boot_floor = boot_floor
        self._random = randomness or random.Random()  # noqa: S311 - jitter, not cryptography
        self._synchronised = clock_synchronised or (kernel_clock_synchronised if clock is None else lambda: True)
        self._stopping = asyncio.Event()
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._homeless: list[Draft] = []
        self._spool: Spool | None = None
        self._uplink: Uplink | None = None
        self._loops: dict[str, DeviceLoop] = {}
        self._played_out = asyncio.Event()
        self._emptied = asyncio.Event()
        self._changed = asyncio.Event()

    # --- life ---

    async def run(self) -> None:
        """Run until `stop()`; an orderly stop spools partial frames and says farewell.

        Raises:
            AgentFailed: a part of the agent ended that must not.
            SpoolBusy, WrongVersion, OSError: the spool cannot be opened.
        """
        damage: str | None = None
        while not self._stopping.is_set():
            damage = await self._run_with_spool(damage)

    async def wait(self) -> None:
        """Inside `async with`: return when the agent has stopped, raise as `run` when it failed."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Stop in order; returns when everything is let go. Harmless when called twice."""
        self._stopping.set()
        if self._task is not None and self._task is not asyncio.current_task():
            await asyncio.shield(self._task)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.run(), name=f"agent {self.settings.gateway}")
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            await self._task
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # --- what an embedder may watch ---

    @property
    def spool(self) -> Spool:
        """The open spool; RuntimeError before the start."""
        if self._spool is None:
            raise RuntimeError("the agent has not started: enter it with `async with`")
        return self._spool

    @property
    def connected(self) -> bool:
        """Whether the broker is there now."""
        return self._uplink is not None and self._uplink.connected

    async def wait_played_out(self) -> None:
        """Return when every driver has said that there will be no more."""
        await self._played_out.wait()

    async def wait_drained(self) -> None:
        """Return when the spool is empty: everything that was accepted has its receipt."""
        while self.spool.depth.messages:
            self._emptied.clear()
            await self._emptied.wait()

    def accept(self, drafts: Sequence[Draft], also: Callable[[Ledgers], None] | None = None) -> None:
        """Spool messages, with what is to be remembered beside them, in one transaction; wake the uplink.

        A disk without room drops and counts them. SpoolCorrupt is raised after keeping them for the next spool.
        """
        if not drafts:
            return
        spool = self.spool
        try:
            with spool.transaction():
                spool.put(drafts, self._now_ms())
                if also is not None:
                    also(spool.ledgers)
        except SpoolCorrupt:
            self._homeless.extend(drafts)
            raise
        except sqlite3.OperationalError as error:
            if not is_no_room(error):
                raise
            spool.refuse(drafts)
            logger.warning("spool_refused", messages=len(drafts), reason=str(error))
        if self._uplink is not None:
            self._uplink.wake()

    # --- one spool's life ---

    async def _run_with_spool(self, damage: str | None) -> str | None:
        """Run on one spool file; returns what was wrong with it if it turned out to be damaged."""
        floor = int(time.time()) if self._boot_floor is None else self._boot_floor
        self._spool = open_spool(self.settings.spool, floor, damage)
        try:
            await self._run_parts()
        except BaseExceptionGroup as failures:
            cause = first_cause(failures)
            damaged = failures.subgroup(SpoolCorrupt)
            if damaged is not None:
                return str(first_cause(damaged))
            raise AgentFailed(f"gateway {self.settings.gateway}: {type(cause).__name__}: {cause}") from cause
        finally:
            self._spool.close()
        return None

    async def _run_parts(self) -> None:
        spool, settings = self.spool, self.settings.uplink
        window = Window(
            settings.window_messages,
            settings.window_bytes,
            timeout_s=settings.receipt_timeout_s,
            timeout_max_s=settings.receipt_timeout_max_s,
        )
        dispatch = Dispatch(spool, window, self.counters, self._random.random)
        self._loops = {device.id: self._device_loop(device) for device in self._devices()}
        commands = Commands(self._loops, spool, self.counters, self, self._now_ms)
        callbacks = Callbacks(connected=self._spool_birth, command=commands.take, freed=self._freed)
        uplink = self._uplink = Uplink(self.settings, dispatch, callbacks, self.counters, self._random)
        upkeep = Upkeep(
            settings=self.settings,
            spool=spool,
            uplink=uplink,
            dispatch=dispatch,
            counters=self.counters,
            clock=self._clock,
            synchronised=self._synchronised,
        )
        homeless, self._homeless = self._homeless, []
        self.accept(homeless)
        async with asyncio.TaskGroup() as group:
            parts = {
                "uplink": uplink.run(self._will),
                "devices": self._run_devices(),
                "commands": commands.run(),
                "upkeep": upkeep.run(),
                "births": self._tell_changes(),
            }
            tasks = [group.create_task(part, name=name) for name, part in parts.items()]
            self._ready.set()
            try:
                await self._stopping.wait()
                self._flush()
                await uplink.farewell(Death(at=self._now_ms(), boot=spool.boot, cause="stopped"))
            except asyncio.CancelledError:
                self._flush()  # a part has failed: what was read is not lost with it
                raise
            finally:
                await end_tasks(tasks)

    def _flush(self) -> None:
        for loop in self._loops.values():
            self.accept(loop.flush())

    def _devices(self) -> list[DeviceSettings]:
        configured = list(self.settings.devices)
        ids = {device.id for device in configured}
        return configured + [DeviceSettings(id=one, driver="in-process") for one in self._drivers if one not in ids]

    def _device_loop(self, device: DeviceSettings) -> DeviceLoop:
        driver = self._drivers.get(device.id) or create(device.driver, device.id, device.options)
        return DeviceLoop(
            device,
            driver,
            clock=self._clock,
            counters=self.counters,
            spool=self.spool,
            outlet=self,
            every_sample=self._every_sample,
        )

    async def _run_devices(self) -> None:
        await self._wait_for_clock()
        async with asyncio.TaskGroup() as group:
            for loop in self._loops.values():
                group.create_task(loop.run(), name=f"device {loop.device}")
        self._played_out.set()

    async def _wait_for_clock(self) -> None:
        """Wait while the clock was plainly never set: the cloud refuses event times before 2000."""
        if self._now_ms() < EARLIEST_MS:
            logger.warning("clock_never_set", now_ms=self._now_ms())
        while self._now_ms() < EARLIEST_MS:  # noqa: ASYNC110 - nobody tells us when the clock is set
            await asyncio.sleep(1)

    # --- the gateway's own messages ---

    def _now_ms(self) -> int:
        return round(self._clock.now() * 1000)

    def _will(self) -> Death:
        return Death(at=self._now_ms(), boot=self.spool.boot, cause="lost")

    def announce(self) -> None:
        """The inventory has changed: if connected, tell it soon (a connection begins with a birth anyway)."""
        self._changed.set()

    async def _tell_changes(self) -> None:
        """One birth for devices that open together."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(TOGETHER_S)
            self._changed.clear()
            if self.connected:
                self._spool_birth()

    def _spool_birth(self) -> None:
        """Spool a birth, unless one of the same content still waits for its receipt."""
        at_ms = self._now_ms()
        devices = tuple(loop.inventory() for loop in self._loops.values() if loop.is_open)
        synchronised = self._synchronised()

        def compose(boot: int, seq: int) -> bytes:
            return Birth(
                at=at_ms, boot=boot, seq=seq, agent=VERSION, clock_synchronised=synchronised, devices=devices
            ).encode()

        for waiting in self.spool.find(Kind.BIRTH, NO_DEVICE):
            birth = Birth.decode(waiting.payload)
            if (birth.boot, birth.devices) == (self.spool.boot, devices):
                return
        self.accept([Draft(NO_DEVICE, Kind.BIRTH, Rank.EVENT, at_ms, compose)])

    def _freed(self) -> None:
        if not self.spool.depth.messages:
            self._emptied.set()
