"""A gateway reduced to its promise: it publishes what it holds, and again, until a receipt frees it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import aiomqtt

from protocols.messages import Receipt
from protocols.topics import downlink_filter

RESEND_S = 1.5
IN_FLIGHT = 500


class TestGateway:
    """Holds messages by (device, boot, seq); `run` sends them until cancelled, over whatever the network does."""

    __test__ = False

    def __init__(self, name: str, port: Callable[[], int]) -> None:
        self.held: dict[tuple[str, int, int], tuple[str, bytes]] = {}
        self.rejected: list[str] = []
        self.receipts = 0
        self.published = 0
        self._name = name
        self._port = port
        self._sent_at: dict[tuple[str, int, int], float] = {}

    def hold(self, device: str, boot: int, seq: int, topic: str, payload: bytes) -> None:
        """Accept a message: from now on it must not be lost."""
        self.held[device, boot, seq] = (topic, payload)

    async def run(self) -> None:
        while True:
            with contextlib.suppress(aiomqtt.MqttError, OSError, TimeoutError):
                async with aiomqtt.Client("127.0.0.1", self._port(), identifier=self._name, timeout=5) as client:
                    await client.subscribe(downlink_filter(self._name), qos=1)
                    sender = asyncio.create_task(self._send(client))
                    try:
                        async for message in client.messages:
                            self._free(Receipt.decode(bytes(message.payload)))  # type: ignore[arg-type]
                    finally:
                        sender.cancel()
                        await asyncio.gather(sender, return_exceptions=True)
            await asyncio.sleep(0.1)

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            now = time.monotonic()
            due = [key for key in self.held if now - self._sent_at.get(key, -RESEND_S) >= RESEND_S][:IN_FLIGHT]
            for key in due:
                if key in self.held:
                    self._sent_at[key] = time.monotonic()
                    await client.publish(*self.held[key], qos=0)
                    self.published += 1
            await asyncio.sleep(0.02)

    def _free(self, receipt: Receipt) -> None:
        self.receipts += 1
        self.rejected += [rejected.reason for rejected in receipt.rejected]
        for part in receipt.committed:
            for first, last in part.ranges:
                for seq in range(first, last + 1):
                    self.held.pop((part.device, part.boot, seq), None)
