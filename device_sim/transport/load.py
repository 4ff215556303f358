"""Raw pressure: many gateways in one process publish frames without a spool, as fast as asked or as they can.

Every frame is well formed, with boot and seq of its own, so that what was published can be counted in the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np

from device_sim.randomness import key
from device_sim.transport import mqtt_wire as wire
from protocols.errors import ProtocolError
from protocols.frames import CHECKSUM, HEADER, MAGIC, VERSION
from protocols.messages import Birth, Channel, ChannelSet, DeviceInventory, Receipt
from protocols.topics import Kind, Topic

BATCH: Final = 64
"""Frames written between two looks at the clock."""

WINDOW: Final = 1000
"""Frames under way without a PUBACK on one connection, at QoS 1."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """What presses, how hard and for how long; it ends at whichever bound comes first.

    rate: frames a second over all gateways, 0: as fast as it goes. receipts: subscribe to them and count.
    """

    broker: str
    gateways: int = 100
    devices: int = 5
    connections: int = 4
    samples: int = 10
    channels: int = 8
    period_ms: int = 1000
    rate: float = 0.0
    frames: int = 100_000
    seconds: float = 30.0
    qos: int = 0
    receipts: bool = False
    settle_s: float = 5.0
    seed: int = 1
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None


@dataclass(slots=True)
class LoadCount:
    """What has gone out and come back so far; seconds are those of publishing."""

    frames: int = 0
    bytes: int = 0
    acked: int = 0
    receipted: int = 0
    rejected: int = 0
    seconds: float = 0.0
    connections_lost: int = 0
    by_device: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


class FrameMill:
    """Makes one device's frames quickly: the body is drawn once, header and checksum are made for each."""

    def __init__(self, settings: LoadSettings, device: str, boot: int, started_at: float, body: bytes) -> None:
        self.device = device
        self._settings = settings
        self._boot = boot
        self._body = body
        self._channel_set = channel_set(settings).id
        self._at_us = int(started_at * 1e6)
        self.seq = 0

    def next(self) -> bytes:
        """The next frame's bytes; each starts where the one before ended."""
        settings = self._settings
        self.seq += 1
        head = HEADER.pack(
            MAGIC, VERSION, 0, 0, self._channel_set, self._boot, self.seq, self._at_us, settings.period_ms,
            settings.samples, settings.channels,
        )  # fmt: skip
        self._at_us += settings.samples * settings.period_ms * 1000
        return b"".join((head, self._body, CHECKSUM.pack(zlib.crc32(self._body, zlib.crc32(head)))))


def channel_set(settings: LoadSettings) -> ChannelSet:
    """The channels that every device of a load has."""
    names = tuple(Channel(name=f"load{number}", unit="W", resolution=0.1) for number in range(settings.channels))
    return ChannelSet.of(names, settings.period_ms)


async def press(
    settings: LoadSettings, boot: int, started_at: float, watch: Callable[[LoadCount], None] = lambda _: None
) -> LoadCount:
    """Publish until a bound is reached; then wait `settle_s` at most for acks and receipts.

    boot: of every device (unix seconds, so that a repeated run has new keys). started_at: event time of the first
    frames, s; they advance by their own length, so a fast run must begin far enough in the past.

    Raises:
        OSError: the broker cannot be reached or refuses.
    """
    count = LoadCount()
    gateways = [
        f"load-{key(settings.seed, f'gateway/{number}') >> 40:06x}-{number}" for number in range(settings.gateways)
    ]
    lines = min(settings.connections, settings.gateways)
    shares = [gateways[place::lines] for place in range(lines)]
    presses = [_Line(settings, share, boot, started_at, count) for share in shares]
    try:
        for number, line in enumerate(presses):
            await line.open(f"load-{boot}-{number}")
        began = time.monotonic()
        watching = asyncio.create_task(_watch(count, began, watch))
        bound = -(-settings.frames // lines)
        await asyncio.gather(*(line.publish(bound, began, settings.rate / lines) for line in presses))
        count.seconds = time.monotonic() - began
        watching.cancel()
        await _settle(settings, count)
    finally:
        for line in presses:
            await line.close()
    watch(count)
    return count


async def _watch(count: LoadCount, began: float, watch: Callable[[LoadCount], None]) -> None:
    while True:
        await asyncio.sleep(1.0)
        count.seconds = time.monotonic() - began
        watch(count)


async def _settle(settings: LoadSettings, count: LoadCount) -> None:
    deadline = time.monotonic() + settings.settle_s
    while time.monotonic() < deadline:
        acked = settings.qos == 0 or count.acked >= count.frames
        if acked and (not settings.receipts or count.receipted >= count.frames):
            return
        await asyncio.sleep(0.02)


class _Line:
    """One connection and the gateways that it speaks for."""

    def __init__(
        self, settings: LoadSettings, gateways: list[str], boot: int, started_at: float, count: LoadCount
    ) -> None:
        self._settings = settings
        self._gateways = gateways
        self._boot = boot
        self._started_at = started_at
        self._count = count
        self._window = asyncio.Semaphore(WINDOW)
        self._number = 0
        self._reading: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        generator = np.random.default_rng(key(settings.seed, gateways[0]))
        values = generator.normal(100.0, 10.0, settings.samples * settings.channels)
        body = values.astype("<f4").tobytes()
        self._mills = [
            (Topic(gateway, Kind.TELEMETRY, device).build(), FrameMill(settings, device, boot, started_at, body))
            for gateway in gateways
            for device in self._devices(gateway)
        ]

    def _devices(self, gateway: str) -> list[str]:
        return [f"{gateway}-d{number}" for number in range(self._settings.devices)]

    async def open(self, client: str) -> None:
        """Connect, subscribe to receipts if they are counted, and publish the births."""
        settings = self._settings
        parts = urlsplit(settings.broker)
        tls = ssl.create_default_context(cafile=settings.ca_file) if parts.scheme == "mqtts" else None
        password = settings.password_file.read_text().splitlines()[0] if settings.password_file else None
        port = parts.port or (8883 if tls else 1883)
        reader, self._writer = await wire.connect(
            parts.hostname or "", port, client, username=settings.username, password=password, tls=tls
        )
        self._reading = asyncio.create_task(self._read(reader), name=client)
        if settings.receipts:
            filters = [Topic(gateway, Kind.RECEIPT).build() for gateway in self._gateways]
            self._writer.write(wire.subscribe_packet(1, filters))
        for gateway in self._gateways:
            self._writer.write(wire.publish_packet(Topic(gateway, Kind.BIRTH).build(), self._birth(gateway)))
        await self._writer.drain()

    def _birth(self, gateway: str) -> bytes:
        devices = tuple(
            DeviceInventory(device=device, firmware="load", channel_sets=(channel_set(self._settings),))
            for device in self._devices(gateway)
        )
        at = round(self._started_at * 1000)
        return Birth(at=at, boot=self._boot, seq=1, agent="firstcall-load", devices=devices).encode()

    async def publish(self, bound: int, began: float, rate: float) -> None:
        """Publish up to `bound` frames, `rate` a second (0: no bound), until the settings' seconds are over."""
        writer, count, settings = self._writer, self._count, self._settings
        assert writer is not None
        sent = 0
        while sent < bound and not writer.is_closing():
            elapsed = time.monotonic() - began
            if elapsed >= settings.seconds:
                return
            if rate and sent >= rate * elapsed:
                await asyncio.sleep(min(0.01, (sent + 1) / rate - elapsed) if sent >= rate * elapsed else 0)
                continue
            batch = min(BATCH, bound - sent, max(1, int(rate * elapsed) - sent) if rate else BATCH)
            packets = []
            for _ in range(batch):
                topic, mill = self._mills[sent % len(self._mills)]
                packets.append(wire.publish_packet(topic, mill.next(), await self._packet_number()))
                sent += 1
            chunk = b"".join(packets)
            writer.write(chunk)
            count.frames += batch
            count.bytes += len(chunk)
            await writer.drain()
            await asyncio.sleep(0)

    async def _packet_number(self) -> int:
        if self._settings.qos == 0:
            return 0
        await self._window.acquire()
        self._number = self._number % 65_535 + 1
        return self._number

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                packet = await wire.read_packet(reader)
                if packet.kind == wire.PUBACK:
                    self._count.acked += 1
                    self._window.release()
                elif packet.kind == wire.PUBLISH:
                    self._receipt(wire.published(packet)[1])
        except (OSError, asyncio.IncompleteReadError):
            self._count.connections_lost += 1
            if self._writer:
                self._writer.transport.abort()

    def _receipt(self, payload: bytes) -> None:
        try:
            receipt = Receipt.decode(payload)
        except (ProtocolError, struct.error):
            return
        for committed in receipt.committed:
            if committed.boot == self._boot and committed.device != "-":
                self._count.receipted += sum(last - first + 1 for first, last in committed.ranges)
        self._count.rejected += len(receipt.rejected)

    async def close(self) -> None:
        """Say goodbye and let go; harmless when called twice."""
        if self._reading:
            self._reading.cancel()
        if self._writer and not self._writer.is_closing():
            with contextlib.suppress(OSError):
                self._writer.write(wire.DISCONNECT)
                await self._writer.drain()
            self._writer.close()
        for _topic, mill in self._mills:
            self._count.by_device[mill.device] = mill.seq


def spooled_span_s(settings: LoadSettings) -> float:
    """How much event time one device's frames of a whole run cover, s."""
    frames = -(-settings.frames // (settings.gateways * settings.devices))
    return frames * settings.samples * settings.period_ms / 1000.0
