"""The subscriber on any MQTT broker: persistent session, QoS 1, acknowledgement by hand after the commit.

MQTT 5 where the broker speaks it (with Receive Maximum raised: a 3.1.1 client of Mosquitto stays at 20 messages in
flight), else 3.1.1. paho runs on the event loop, without a thread of its own: acknowledging from another thread
costs nearly twice as much.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from cloud.db.waiting import set_within
from cloud.ingest.backoff import Backoff
from cloud.ingest.ports import Arrival
from cloud.ingest.settings import IngestSettings
from cloud.ingest.tls import tls_context
from protocols.topics import UPLINK_FILTER

log = structlog.get_logger(__name__)

KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 10.0
UNSUPPORTED_VERSION = "Unsupported protocol version"
DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}


class Refused(ConnectionError):
    """The broker answered CONNECT or SUBSCRIBE with a refusal."""


class MqttSubscriber:
    """See `ports.Subscriber`. A token is the connection's generation and the packet identifier: an identifier of an
    earlier connection may name another message by now, so it is not acknowledged again."""

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._version = MQTTProtocolVersion.MQTTv5
        self._client: Client | None = None
        self._generation = 0
        self._waiting: deque[Arrival] = deque()
        self._arrived = asyncio.Event()
        self._subscribed: asyncio.Future[None] | None = None
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._online = False
        self._backoff = Backoff(settings.retry_first_s, settings.retry_longest_s, random.random)

    @property
    def connected(self) -> bool:
        """Whether the session stands and is subscribed."""
        return self._online

    @property
    def version(self) -> MQTTProtocolVersion:
        """Which MQTT the broker was found to speak."""
        return self._version

    async def open(self) -> None:
        """Connect and subscribe; waits for a broker that is away."""
        if self._keeper is not None:
            raise RuntimeError("this subscriber is open already")
        await self._connect_until_done()
        self._keeper = asyncio.create_task(self._keep_connected(), name="mqtt connection")

    async def receive(self, at_most: int, timeout_s: float) -> list[Arrival]:
        """See the port."""
        if not self._waiting:
            self._arrived.clear()
            await set_within(self._arrived, timeout_s)
        waiting = self._waiting
        return [waiting.popleft() for _ in range(min(at_most, len(waiting)))]

    async def ack(self, arrivals: Sequence[Arrival]) -> None:
        """See the port."""
        client = self._client
        if client is None or not self._online:
            return
        for arrival in arrivals:
            generation, packet = arrival.token
            if packet and generation == self._generation:
                client.ack(packet, 1)

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """See the port: QoS 0. What is published while the broker is away is lost, on purpose."""
        client = self._client
        if client is not None and self._online:
            for topic, payload in messages:
                client.publish(topic, payload, qos=0)

    async def close(self) -> None:
        """Disconnect; the broker keeps the session and what was not acknowledged."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        client, self._client = self._client, None
        if client is not None:
            self._online = False
            client.disconnect()
            _detach(client)
        self._generation += 1
        self._waiting.clear()

    async def _keep_connected(self) -> None:
        """Send pings, and connect again whenever the connection is lost."""
        while True:
            if await set_within(self._lost, 1.0):
                log.warning("broker_lost", broker=self._settings.broker_address())
                await self._connect_until_done()
            elif self._client is not None:
                self._client.loop_misc()

    async def _connect_until_done(self) -> None:
        while True:
            try:
                await self._connect()
            except (OSError, TimeoutError) as error:
                if isinstance(error, Refused) and UNSUPPORTED_VERSION in str(error):
                    self._version = MQTTProtocolVersion.MQTTv311
                    continue
                pause = self._backoff.pause_s()
                log.warning(
                    "broker_away", broker=self._settings.broker_address(), error=str(error) or "no answer",
                    pause_s=round(pause, 2),
                )  # fmt: skip
                await asyncio.sleep(pause)
            else:
                self._backoff.succeeded()
                log.info("broker_connected", broker=self._settings.broker_address(), mqtt=self._version.name)
                return

    async def _connect(self) -> None:
        """One attempt: a new client object, so that nothing of the old connection is left in it."""
        if self._client is not None:
            _detach(self._client)
        self._generation += 1
        self._waiting.clear()
        self._lost.clear()
        self._online = False
        loop = asyncio.get_running_loop()
        self._subscribed = loop.create_future()
        client = self._client = self._new_client()
        parts = urlsplit(self._settings.broker_address())
        options: dict[str, Any] = {}
        if self._version is MQTTProtocolVersion.MQTTv5:
            options = {"clean_start": False, "properties": self._session_properties()}
        # paho opens the socket and waits for TCP (and TLS): off the loop, or a dead network would stop it.
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await asyncio.to_thread(client.connect, str(parts.hostname), port, KEEPALIVE_S, **options)
            _attach(client, loop)
            await self._subscribed
        self._online = True

    def _new_client(self) -> Client:
        settings = self._settings
        five = self._version is MQTTProtocolVersion.MQTTv5
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"firstcall-ingest-{settings.instance}",
            protocol=self._version,
            manual_ack=True,
            reconnect_on_failure=False,
            **({} if five else {"clean_session": False}),  # type: ignore[arg-type]
        )
        user, password = settings.credentials()
        if user:
            client.username_pw_set(user, password)
        if settings.broker_address().startswith("mqtts://"):
            client.tls_set_context(tls_context(settings))
        generation = self._generation

        def connected(
            client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: object
        ) -> None:
            if reason.is_failure:
                self._refused(generation, f"CONNECT refused: {reason}")
            else:
                client.subscribe(self._filter(), qos=1)

        def subscribed(
            _client: Client, _data: object, _packet: int, reasons: list[ReasonCode], _properties: object
        ) -> None:
            if any(reason.is_failure for reason in reasons):
                self._refused(generation, f"SUBSCRIBE {self._filter()} refused: {reasons[0]}")
            elif self._subscribed is not None and not self._subscribed.done():
                self._subscribed.set_result(None)

        def disconnected(
            _client: Client, _data: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: object
        ) -> None:
            self._refused(generation, f"disconnected: {reason}")

        def received(_client: Client, _data: object, message: MQTTMessage) -> None:
            token = (generation, message.mid if message.qos else 0)
            self._waiting.append(Arrival(_topic(message), bytes(message.payload), token))
            self._arrived.set()

        client.on_connect, client.on_subscribe = connected, subscribed
        client.on_disconnect, client.on_message = disconnected, received
        return client

    def _refused(self, generation: int, why: str) -> None:
        if generation != self._generation:
            return
        if self._subscribed is not None and not self._subscribed.done():
            self._subscribed.set_exception(Refused(why))
        self._online = False
        self._lost.set()

    def _session_properties(self) -> Properties:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._settings.session_expiry_s
        properties.ReceiveMaximum = self._settings.max_in_flight
        return properties

    def _filter(self) -> str:
        group = self._settings.shared_group
        if group and self._version is MQTTProtocolVersion.MQTTv5:
            return f"$share/{group}/{UPLINK_FILTER}"
        return UPLINK_FILTER


def _topic(message: MQTTMessage) -> str:
    try:
        return str(message.topic)
    except UnicodeDecodeError:  # a broker should not have let it through; it becomes a dead letter, not a crash
        return "not UTF-8"


def _attach(client: Client, loop: asyncio.AbstractEventLoop) -> None:
    """Let the event loop drive a client that has just connected."""
    sock = client.socket()
    if sock is None:
        raise ConnectionError("the connection was lost at once")

    number = sock.fileno()  # a closed socket has forgotten it

    def readable() -> None:
        client.loop_read()

    def writable() -> None:
        client.loop_write()
        if not client.want_write():
            loop.remove_writer(number)

    def want_write(_client: Client, _data: object, _sock: object) -> None:
        loop.add_writer(number, writable)

    def closing(_client: Client, _data: object, _sock: object) -> None:
        loop.remove_reader(number)
        loop.remove_writer(number)

    client.on_socket_register_write = want_write
    client.on_socket_close = closing
    loop.add_reader(number, readable)
    if client.want_write():
        loop.add_writer(number, writable)


def _detach(client: Client) -> None:
    """Close a client's socket and hear no more of it."""
    client.on_connect = client.on_subscribe = client.on_message = client.on_disconnect = None
    client._sock_close()
