"""Brokers as the subscriber's contract suite sees them, and a gateway that publishes to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiomqtt

from cloud.engines.nats import NatsServer
from cloud.ingest.opening import open_subscriber
from cloud.ingest.ports import Arrival, Subscriber
from cloud.ingest.settings import IngestSettings
from tests.support.mosquitto import Mosquitto


@dataclass(slots=True)
class Side:
    """A running broker and how ingest shall talk to it."""

    server: NatsServer | Mosquitto
    url: str

    @property
    def mqtt_port(self) -> int:
        return self.server.mqtt_port

    def settings(self, **changes: Any) -> IngestSettings:
        """Settings for a subscriber on this broker; short times, so that redelivery is quick."""
        wanted = {"broker_url": self.url, "instance": "test", "ack_wait_s": 1.0, "retry_first_s": 0.05,
                  "retry_longest_s": 0.5, "batch_age_s": 0.01, "receipt_interval_s": 0.01}  # fmt: skip
        return IngestSettings(**{**wanted, **changes})

    def subscriber(self, **changes: Any) -> Subscriber:
        return open_subscriber(self.settings(**changes))

    async def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish with QoS 1, each PUBACKed."""
        async with aiomqtt.Client("127.0.0.1", self.mqtt_port) as client:
            await asyncio.gather(*(client.publish(topic, payload, qos=1, timeout=20) for topic, payload in messages))


async def gather(subscriber: Subscriber, count: int, timeout_s: float = 15.0) -> list[Arrival]:
    """Receive until `count` distinct payloads are there; fails after `timeout_s`."""
    found: list[Arrival] = []
    async with asyncio.timeout(timeout_s):
        while len({arrival.payload for arrival in found}) < count:
            found += await subscriber.receive(10_000, 0.5)
    return found


async def until(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    """Wait for something that a broker or a program does in its own time."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - a process of its own sets no event here
            await asyncio.sleep(0.01)
