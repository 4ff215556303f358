"""The line to the broker: connect, birth, publish what the dispatch gives, take receipts and commands, back off."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiomqtt
import structlog

from edge_agent.backoff import full_jitter
from edge_agent.broker_client import open_client
from edge_agent.counters import Counters
from edge_agent.dispatch import Dispatch
from edge_agent.failures import first_cause
from edge_agent.settings import EdgeSettings
from edge_agent.spool.store import Spooled
from protocols.errors import ProtocolError
from protocols.messages import Death, Heartbeat, Receipt
from protocols.topics import NO_DEVICE, Kind, Topic

logger = structlog.get_logger(__name__)

STEADY_S = 10.0
"""A connection that lasted so long was a good one: the back-off begins anew."""

FAREWELL_S = 1.0
IDLE_S = 60.0
PUBACK_TIMEOUT_S = 60.0
"""No PUBACK for so long, though pings are answered: connect anew. Slow links need long; a receipt decides, not this."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What the agent does for the uplink.

    connected: a new connection stands, subscriptions made; spool the birth. command: a command came for a device
    (ProtocolError: it cannot even be refused). freed: a receipt freed messages.
    """

    connected: Callable[[], None]
    command: Callable[[str, bytes], None]
    freed: Callable[[], None]


class Uplink:
    """Keeps one connection to the broker for as long as `run` is awaited; a constructor does nothing."""

    def __init__(
        self,
        settings: EdgeSettings,
        dispatch: Dispatch,
        callbacks: Callbacks,
        counters: Counters,
        randomness: random.Random,
    ) -> None:
        self._settings = settings
        self._dispatch = dispatch
        self._callbacks = callbacks
        self._counters = counters
        self._random = randomness
        self._waiting = asyncio.Event()
        self._client: aiomqtt.Client | None = None

    @property
    def connected(self) -> bool:
        """Whether a connection stands now."""
        return self._client is not None

    def wake(self) -> None:
        """Something was spooled, or room was made."""
        self._waiting.set()

    async def run(self, will: Callable[[], Death]) -> None:
        """Connect, serve, and connect again, until cancelled. `will` gives the last will of each connection."""
        attempt = 0
        while True:
            began = time.monotonic()
            stood = False
            try:
                async with open_client(self._settings, will()) as client:
                    logger.info("broker_connected", broker=self._settings.broker.url, gateway=self._settings.gateway)
                    self._counters.connections += 1
                    stood = True
                    await self._serve(client)
            except* (aiomqtt.MqttError, OSError) as failures:
                if stood:
                    self._counters.connections_lost += 1
                else:
                    self._counters.connect_failures += 1
                action = "broker_lost" if stood else "broker_unreachable"
                reason = str(first_cause(failures))
                logger.warning(action, broker=self._settings.broker.url, reason=reason, attempt=attempt)
            finally:
                self._client = None
            attempt = 0 if time.monotonic() - began >= STEADY_S else attempt + 1
            uplink = self._settings.uplink
            # random, so that a fleet that lost its broker at one instant does not return at one instant
            await asyncio.sleep(
                full_jitter(attempt - 1, uplink.reconnect_s, uplink.reconnect_max_s, self._random.random())
            )

    async def heartbeat(self, message: Heartbeat) -> None:
        """Publish a heartbeat if connected; it is not spooled, the next one tells more."""
        if self._client is not None:
            with contextlib.suppress(aiomqtt.MqttError):
                topic = Topic(self._settings.gateway, Kind.HEARTBEAT).build()
                await self._client.publish(topic, message.encode(), qos=0)

    async def farewell(self, message: Death) -> None:
        """Say that this is an orderly stop, if connected; waits a second at most."""
        if self._client is not None:
            with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
                async with asyncio.timeout(FAREWELL_S):
                    topic = Topic(self._settings.gateway, Kind.DEATH).build()
                    await self._client.publish(topic, message.encode(), qos=self._settings.broker.qos)

    async def _serve(self, client: aiomqtt.Client) -> None:
        gateway = self._settings.gateway
        # a receipt that is missed comes again with the message's repeat; a command is kept for us (QoS 1)
        await client.subscribe([(Topic(gateway, Kind.RECEIPT).build(), 0), (_commands_filter(gateway), 1)])
        self._client = client
        self._dispatch.reset()
        self._callbacks.connected()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._receive(client), name="receive")
            group.create_task(self._publish(client, group), name="publish")

    async def _publish(self, client: aiomqtt.Client, group: asyncio.TaskGroup) -> None:
        while True:
            self._waiting.clear()
            batch = self._dispatch.take(time.monotonic())
            for message in batch:
                if self._settings.broker.qos == 0:
                    await self._publish_one(client, message)
                else:  # the window bounds how many of these there are
                    group.create_task(self._publish_one(client, message))
            if batch:
                await asyncio.sleep(0)
                continue
            deadline = self._dispatch.wait_until()
            patience = IDLE_S if deadline is None else max(0.01, deadline - time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._waiting.wait()

    async def _publish_one(self, client: aiomqtt.Client, message: Spooled) -> None:
        topic, qos = message.topic(self._settings.gateway), self._settings.broker.qos
        await client.publish(topic, message.payload, qos=qos, timeout=PUBACK_TIMEOUT_S)

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            try:
                self._take(message.topic.value, bytes(message.payload))
            except ProtocolError as error:
                self._counters.downlink_malformed += 1
                logger.warning("downlink_malformed", topic=message.topic.value[:200], reason=str(error))

    def _take(self, text: str, payload: bytes) -> None:
        topic = Topic.parse(text)
        if topic.kind == Kind.RECEIPT:
            self._dispatch.receipt(Receipt.decode(payload))
            self._callbacks.freed()
            self.wake()
        elif topic.kind == Kind.COMMAND:
            self._callbacks.command(topic.device or NO_DEVICE, payload)


def _commands_filter(gateway: str) -> str:
    return Topic(gateway, Kind.COMMAND, "any").build().replace("/any/", "/+/")
