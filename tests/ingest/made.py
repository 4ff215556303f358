"""Messages made for tests."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence

from cloud.ingest.intake import Intake, TopicReader, read_batch
from cloud.ingest.ports import Arrival
from protocols.frames import FREEZE, Frame, FrameHeader, encode_frame
from protocols.messages import (
    ActiveFault,
    Birth,
    Channel,
    ChannelSet,
    DeviceInventory,
    Fault,
    Message,
)
from protocols.topics import Kind, Topic

NOW_MS = 1_760_000_000_000
"""2025-10-09 08:53:20 UTC, a Thursday: the receiver's clock in tests."""

BOOT = 1_759_999_000
CHANNELS = ChannelSet.of(
    (Channel(name="cabinet_temp", unit="degC", resolution=0.1), Channel(name="power", unit="W", resolution=1)), 1000
)
GATEWAY, DEVICE = "gw-1", "fridge-1"


def frame(
    seq: int,
    at_ms: int = NOW_MS - 60_000,
    readings: Sequence[float] = (4.0, 80.0, 4.5, 82.0),
    *,
    boot: int = BOOT,
    channels: int = 2,
    channel_set: int = CHANNELS.id,
    period_ms: int = 1000,
    freeze: bool = False,
) -> bytes:
    """A telemetry frame's bytes."""
    header = FrameHeader(
        channel_set, boot, seq, at_ms * 1000, period_ms, len(readings) // channels, channels, FREEZE * freeze
    )
    return encode_frame(Frame(header, array("f", readings)))


def telemetry(payload: bytes, device: str = DEVICE, gateway: str = GATEWAY) -> Arrival:
    """A telemetry message as it arrives."""
    return Arrival(Topic(gateway, Kind.TELEMETRY, device).build(), payload)


def said(kind: Kind, message: Message, device: str | None = DEVICE, gateway: str = GATEWAY) -> Arrival:
    """A low-rate message as it arrives."""
    return Arrival(Topic(gateway, kind, device).build(), message.encode())


def birth(
    seq: int = 0, at_ms: int = NOW_MS, active: Sequence[tuple[str, int]] = (), device: str = DEVICE, boot: int = BOOT
) -> Arrival:
    """A birth with one device; `active` are codes and since when."""
    inventory = DeviceInventory(
        device=device,
        firmware="2.1",
        channel_sets=(CHANNELS,),
        active_faults=tuple(ActiveFault(code=code, since=since) for code, since in active),
    )
    return said(Kind.BIRTH, Birth(at=at_ms, boot=boot, seq=seq, agent="0.1.0", devices=(inventory,)), None)


def fault(seq: int, code: str, raised: bool, at_ms: int = NOW_MS - 1_000, device: str = DEVICE) -> Arrival:
    """A fault report."""
    return said(Kind.FAULT, Fault(at=at_ms, boot=BOOT, seq=seq, code=code, raised=raised), device)


def read(arrivals: Sequence[Arrival]) -> Intake:
    """The batch as ingest reads it at NOW_MS."""
    return read_batch(arrivals, NOW_MS, TopicReader())


def many_frames(count: int, *, devices: int = 10, gateways: int = 3, seed: int = 1) -> list[Arrival]:
    """Distinct frames of several devices, seq from 0 for each device."""
    random_ = random.Random(seed)
    return [
        telemetry(
            frame(
                i // devices, NOW_MS - 3_600_000 + (i // devices) * 2_000, [random_.uniform(0, 100) for _ in range(4)]
            ),
            f"dev-{i % devices}",
            f"gw-{i % devices % gateways}",
        )
        for i in range(count)
    ]
