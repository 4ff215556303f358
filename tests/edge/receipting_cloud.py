"""A cloud as small as can be: it takes what goes up, checks that it can be read, and gives receipts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiomqtt

from edge_agent.failures import end_tasks
from protocols.frames import Frame, decode_frame
from protocols.messages import (
    Birth,
    Command,
    Committed,
    Death,
    Fault,
    Heartbeat,
    Loss,
    Message,
    Receipt,
    Rejected,
    Reply,
    payload_digest,
)
from protocols.topics import NO_DEVICE, UPLINK_FILTER, Kind, Topic

MODELS: dict[Kind, type[Message]] = {
    Kind.BIRTH: Birth,
    Kind.DEATH: Death,
    Kind.HEARTBEAT: Heartbeat,
    Kind.FAULT: Fault,
    Kind.REPLY: Reply,
    Kind.LOSS: Loss,
}
Key = tuple[str, int, int]


class ReceiptingCloud:
    """Commits in memory, once a key (device, boot, seq); survives the broker's restarts by connecting again.

    silent: take nothing to heart and give no receipt, as if the ingestor were down behind a standing broker.
    refuse: names a reason for a payload that is to be filed as a dead letter.
    """

    def __init__(
        self, port: int, *, host: str = "127.0.0.1", refuse: Callable[[bytes], str | None] | None = None
    ) -> None:
        self._host = host
        self._port = port
        self._refuse = refuse or (lambda _payload: None)
        self.silent = False
        self.committed: dict[Key, tuple[Topic, bytes]] = {}
        self.order: list[Key] = []
        self.received: Counter[Key] = Counter()
        self.other: list[tuple[Topic, bytes]] = []
        self._client: aiomqtt.Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._subscribed = asyncio.Event()
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="receipting cloud")
        async with asyncio.timeout(10):
            await self._subscribed.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        await end_tasks([self._task])

    async def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        """Wait until what has arrived fulfils a condition."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def command(self, gateway: str, device: str, command: Command) -> None:
        """Send a command."""
        assert self._client is not None
        await self._client.publish(Topic(gateway, Kind.COMMAND, device).build(), command.encode(), qos=1)

    async def send(self, topic: str, payload: bytes) -> None:
        """Send anything."""
        assert self._client is not None
        await self._client.publish(topic, payload, qos=1)

    def of(self, kind: Kind) -> list[tuple[Topic, bytes]]:
        """What is committed of a kind, in order of commit."""
        return [self.committed[key] for key in self.order if self.committed[key][0].kind == kind]

    def frames(self) -> list[Frame]:
        """All committed frames, in order of commit."""
        return [decode_frame(payload) for _, payload in self.of(Kind.TELEMETRY)]

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client(self._host, self._port, identifier="cloud", clean_session=False) as client:
                    client.pending_calls_threshold = 10_000
                    await client.subscribe(UPLINK_FILTER, qos=1)
                    self._client = client
                    self._subscribed.set()
                    async for message in client.messages:
                        await self._take(client, Topic.parse(message.topic.value), bytes(message.payload))
                        self._news.set()
            await asyncio.sleep(0.1)

    async def _take(self, client: aiomqtt.Client, topic: Topic, payload: bytes) -> None:
        if self.silent:
            return
        device = topic.device or NO_DEVICE
        at = round(time.time() * 1000)
        reason = self._refuse(payload)
        if reason is not None:
            dead = Rejected(device=device, kind=topic.kind.value, digest=payload_digest(payload), reason=reason)
            receipt = Receipt(at=at, rejected=(dead,))
        elif topic.kind in (Kind.DEATH, Kind.HEARTBEAT):
            MODELS[topic.kind].decode(payload)
            self.other.append((topic, payload))
            return
        else:
            boot, seq = self._identity(topic, payload)
            key = (device, boot, seq)
            self.received[key] += 1
            if key not in self.committed:
                self.committed[key] = (topic, payload)
                self.order.append(key)
            receipt = Receipt(at=at, committed=(Committed(device=device, boot=boot, ranges=((seq, seq),)),))
        await client.publish(Topic(topic.gateway, Kind.RECEIPT).build(), receipt.encode(), qos=0)

    @staticmethod
    def _identity(topic: Topic, payload: bytes) -> tuple[int, int]:
        if topic.kind == Kind.TELEMETRY:
            header = decode_frame(payload).header
            return header.boot, header.seq
        message = MODELS[topic.kind].decode(payload)
        assert isinstance(message, Birth | Fault | Loss | Reply)
        return message.boot, message.seq
