"""A simulated fleet on real agents: one agent a gateway, all in this process, against a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import structlog

from device_sim.failure.life import Span
from device_sim.fleet.population import Appliance
from device_sim.fleet.truth import write_truth
from device_sim.randomness import dice
from device_sim.transport.clocks import AcceleratedClock
from device_sim.transport.driver import SimulatedDriver
from device_sim.transport.ledger import AccountedAgent, SentLedger, played_out
from device_sim.transport.network import Link, drawn_network
from edge_agent.settings import (
    BrokerSettings,
    DeviceSettings,
    EdgeSettings,
    FaultSettings,
    SamplingSettings,
    SpoolSettings,
    UplinkSettings,
)
from protocols.topics import Kind

logger = structlog.get_logger(__name__)

TRUTH, LEDGER = "truth.jsonl", "sent.jsonl"
LEDGER_FLUSH_S = 1.0


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """How a fleet runs.

    broker: MQTT URL. folder: where truth, ledger and spools go. speed: simulated seconds a real second. period_s:
    sampling period in simulated seconds. network: a name of `transport.network`, or mixed. drain_s: real seconds to
    wait at the end until the spools are empty. qos: of what goes up. keep_spools: on disk (else in memory).
    """

    broker: str
    folder: Path
    speed: float = 1440.0
    period_s: float = 60.0
    network: str = "good"
    drain_s: float = 30.0
    qos: int = 1
    keep_spools: bool = True
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None


@dataclass(slots=True)
class Progress:
    """Where a fleet run stands: event time in s, and counts over all agents."""

    at: float
    connected: int
    gateways: int
    accepted: dict[str, int]
    freed: int
    waiting: int
    cuts: int


@dataclass(slots=True)
class Outcome:
    """What a finished run did."""

    seconds: float
    faults: int
    accepted: dict[str, int] = field(default_factory=dict)
    unreceipted: int = 0
    dropped: int = 0

    @property
    def frames(self) -> int:
        """Telemetry frames that the spools accepted."""
        return self.accepted.get(Kind.TELEMETRY.value, 0)


class Fleet:
    """Runs appliances on agents from `span.start` to `span.end` of event time.

    Use it once: `outcome = await Fleet(...).run(watch)`. `watch` is called about each second with the progress.
    """

    def __init__(self, seed: int, appliances: Sequence[Appliance], span: Span, settings: FleetSettings) -> None:
        self._seed = seed
        self._appliances = tuple(appliances)
        self._span = span
        self._settings = settings
        self._agents: list[AccountedAgent] = []
        self._links: list[Link] = []
        self.clock = AcceleratedClock(span.start, settings.speed)

    async def run(self, watch: Callable[[Progress], None] = lambda _: None) -> Outcome:
        """Run to the end of the span, wait for the receipts, stop the agents.

        Cancelled, it stops the agents in order and keeps what the spools hold.
        """
        folder = self._settings.folder
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / TRUTH).open("w", encoding="utf-8") as truth:
            faults = write_truth(truth, self._appliances, self._span)
        began = time.monotonic()
        with (folder / LEDGER).open("a", encoding="utf-8") as out:
            async with self._ledger(out) as ledger:
                await self._play(ledger, watch)
        return Outcome(
            seconds=time.monotonic() - began,
            faults=faults,
            accepted=dict(ledger.messages),
            unreceipted=self._waiting,
            dropped=sum(agent.spool.dropped_telemetry + agent.spool.dropped_faults for agent in self._agents),
        )

    @contextlib.asynccontextmanager
    async def _ledger(self, out: TextIO) -> AsyncIterator[SentLedger]:
        ledger = SentLedger(out)

        async def flush_now_and_then() -> None:
            while True:
                await asyncio.sleep(LEDGER_FLUSH_S)
                ledger.flush()

        flushing = asyncio.create_task(flush_now_and_then(), name="ledger")
        try:
            yield ledger
        finally:
            flushing.cancel()
            ledger.flush()

    async def _play(self, ledger: SentLedger, watch: Callable[[Progress], None]) -> None:
        async with AsyncExitStack() as stack:
            for gateway, appliances in self._by_gateway().items():
                agent = await self._agent(stack, gateway, appliances)
                agent.ledger = ledger
                await stack.enter_async_context(agent)
                self._agents.append(agent)
            watching = asyncio.create_task(self._watch(ledger, watch), name="progress")
            try:
                self.clock.release()
                logger.info("fleet_running", gateways=len(self._agents), devices=len(self._appliances))
                await asyncio.gather(*(played_out(agent) for agent in self._agents))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.drain_s):
                        await asyncio.gather(*(agent.wait_drained() for agent in self._agents))
            finally:
                self._waiting = sum(agent.spool.depth.messages for agent in self._agents)
                watching.cancel()
                watch(self._progress(ledger))

    _waiting = 0

    def _by_gateway(self) -> dict[str, list[Appliance]]:
        groups: dict[str, list[Appliance]] = {}
        for appliance in self._appliances:
            groups.setdefault(appliance.gateway, []).append(appliance)
        return groups

    async def _agent(self, stack: AsyncExitStack, gateway: str, appliances: Sequence[Appliance]) -> AccountedAgent:
        settings = self._settings
        url = await self._through_link(stack, gateway, settings.broker)
        drivers = {
            one.device: SimulatedDriver(self._seed, one, settings.period_s, self._span.end) for one in appliances
        }
        edge = EdgeSettings(
            gateway=gateway,
            broker=BrokerSettings(
                url=url, qos=1 if settings.qos else 0, username=settings.username,
                password_file=settings.password_file, ca_file=settings.ca_file,
            ),
            uplink=UplinkSettings(reconnect_max_s=5.0),
            spool=SpoolSettings(
                path=str(settings.folder / "spools" / f"{gateway}.db") if settings.keep_spools else ":memory:",
                synchronous="normal",
            ),
            devices=tuple(_device_settings(device, settings.period_s) for device in drivers),
        )  # fmt: skip
        return AccountedAgent(
            edge,
            drivers=drivers,
            clock=self.clock,
            every_sample=True,
            randomness=dice(self._seed, "agent", gateway),
        )

    async def _through_link(self, stack: AsyncExitStack, gateway: str, url: str) -> str:
        rng = dice(self._seed, "network", gateway)
        network = drawn_network(rng, self._settings.network)
        if network == drawn_network(rng, "good"):
            return url
        parts = urlsplit(url)
        if parts.scheme != "mqtt":
            raise ValueError("a bad network can be simulated on mqtt:// only: over TLS the name would not match")
        link = await stack.enter_async_context(Link(parts.hostname or "", parts.port or 1883, network, rng))
        self._links.append(link)
        return f"mqtt://127.0.0.1:{link.port}"

    async def _watch(self, ledger: SentLedger, watch: Callable[[Progress], None]) -> None:
        while True:
            watch(self._progress(ledger))
            await asyncio.sleep(1.0)

    def _progress(self, ledger: SentLedger) -> Progress:
        return Progress(
            at=min(self.clock.now(), self._span.end),
            connected=sum(agent.connected for agent in self._agents),
            gateways=len(self._agents),
            accepted=dict(ledger.messages),
            freed=sum(agent.counters.freed for agent in self._agents),
            waiting=sum(agent.spool.depth.messages for agent in self._agents),
            cuts=sum(link.cuts for link in self._links),
        )


def _device_settings(device: str, period_s: float) -> DeviceSettings:
    return DeviceSettings(
        id=device,
        driver="simulated",
        sampling=SamplingSettings(frame_samples=240, frame_seconds=10.0 * period_s),
        faults=FaultSettings(freeze_before_s=30.0 * period_s, freeze_after_s=10.0 * period_s),
    )
