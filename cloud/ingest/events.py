"""Low-rate messages of a batch: births, deaths, heartbeats, faults, losses, replies, channel sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from cloud.db.queries import load
from cloud.ingest.identities import Identities
from cloud.ingest.intake import Intake, Named
from protocols.messages import Birth, ChannelSet, Death, Fault, Heartbeat, Loss, Message, Reply

Connection = AsyncConnection[tuple[object, ...]]
M = TypeVar("M", bound=Message)


@dataclass(slots=True)
class Stored:
    """How many events of each kind a transaction stored; `instants` are the event times of its fault reports."""

    fault_reports: int = 0
    births: int = 0
    deaths: int = 0
    heartbeats: int = 0
    losses: int = 0
    replies: int = 0
    duplicates: int = 0
    instants: list[datetime] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Transaction:
    """The transaction at hand: where, as which batch, at what ingest time; `stored` is filled on the way."""

    connection: Connection
    identities: Identities
    batch_no: int
    now: datetime
    stored: Stored


@dataclass(slots=True)
class _Presence:
    """What a batch says of a gateway's presence, the last word counting."""

    online: bool = False
    boot: int = 0
    firmware: str | None = None
    heartbeat: Jsonb | None = None


def at_ms(milliseconds: int) -> datetime:
    """ms since the epoch as a datetime."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)


async def store_events(
    connection: Connection, identities: Identities, intake: Intake, batch_no: int, now: datetime
) -> Stored:
    """Store everything but frames; `now` is ingest time. Runs within the batch's transaction.

    Faults come before births: what a gateway reported itself need not be inferred.
    """
    stored = Stored()
    if not intake.messages and not intake.declared:
        return stored
    transaction = _Transaction(connection, identities, batch_no, now, stored)
    await _declare_channel_sets(transaction, intake)
    await _note_presence(transaction, intake.messages)
    faults = _of(intake.messages, Fault)
    if faults:
        await _store_faults(transaction, faults)
    for named, birth in _of(intake.messages, Birth):
        await _reconcile_faults(transaction, named, birth)
    await _store_losses(transaction, intake.messages)
    await _store_replies(transaction, intake.messages)
    return stored


def _of(messages: Sequence[Named], kind: type[M]) -> list[tuple[Named, M]]:
    return [(named, named.message) for named in messages if isinstance(named.message, kind)]


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


async def learn_devices_of_births(connection: Connection, identities: Identities, intake: Intake) -> None:
    """Learn the devices that births name, which may not have sent anything yet."""
    pairs = [
        (named.topic.gateway, device.device) for named, birth in _of(intake.messages, Birth) for device in birth.devices
    ]
    if pairs:
        await identities.learn(connection, pairs)


async def _declare_channel_sets(tx: _Transaction, intake: Intake) -> None:
    declared: dict[tuple[int, int], Jsonb] = {}

    def declare(device: str, channel_set: ChannelSet, at: int) -> None:
        number = tx.identities.devices[device]
        declared[number, channel_set.id] = Jsonb(
            {
                "device_no": number,
                "channel_set": channel_set.id,
                "names": [channel.name for channel in channel_set.channels],
                "units": [channel.unit for channel in channel_set.channels],
                "resolutions": [channel.resolution for channel in channel_set.channels],
                "roles": [channel.role for channel in channel_set.channels],
                "period_ms": channel_set.period_ms,
                "hold_ms": channel_set.hold_ms,
                "declared_at": at_ms(at).isoformat(),
            }
        )

    for _, birth in _of(intake.messages, Birth):
        for inventory in birth.devices:
            for channel_set in inventory.channel_sets:
                declare(inventory.device, channel_set, birth.at)
    for topic, channel_set, at in intake.declared:
        if topic.device and (tx.identities.devices[topic.device], channel_set.id) not in tx.identities.declared:
            declare(topic.device, channel_set, at)
    if declared:
        await tx.connection.execute(load("ingest")["declare_channel_sets"], [list(declared.values())])
        tx.identities.note_declared(declared.keys())


async def _note_presence(tx: _Transaction, messages: Sequence[Named]) -> None:
    presence: dict[int, _Presence] = {}
    for named in messages:
        message = named.message
        if not isinstance(message, (Birth, Death, Heartbeat)):
            continue
        seen = presence.setdefault(tx.identities.gateways[named.topic.gateway], _Presence())
        if message.boot < seen.boot:
            continue  # a straggler of an earlier run
        seen.boot, seen.online = message.boot, not isinstance(message, Death)
        match message:
            case Birth():
                tx.stored.births += 1
                seen.firmware = message.agent
            case Death():
                tx.stored.deaths += 1
            case Heartbeat():
                tx.stored.heartbeats += 1
                seen.heartbeat = Jsonb(message.model_dump(mode="json", exclude_none=True))
    if presence:
        rows = [(no, p.online, p.boot, p.firmware, p.heartbeat, tx.now) for no, p in sorted(presence.items())]
        await tx.connection.execute(load("ingest")["note_gateways"], _columns(rows))
    firmware = {
        tx.identities.devices[device.device]: device.firmware
        for _, birth in _of(messages, Birth)
        for device in birth.devices
        if device.firmware
    }
    if firmware:
        await tx.connection.execute(load("ingest")["note_firmware"], _columns(sorted(firmware.items())))


async def _store_faults(tx: _Transaction, faults: Sequence[tuple[Named, Fault]]) -> None:
    rows = [
        (
            tx.identities.device_of(named.topic), at_ms(fault.at), fault.boot, fault.seq, fault.code, fault.raised,
            Jsonb(fault.freeze_frame.model_dump()) if fault.freeze_frame else None,
            tx.identities.gateways[named.topic.gateway],
        )
        for named, fault in faults
    ]  # fmt: skip
    queries = load("ingest")
    cursor = await tx.connection.execute(queries["store_fault_reports"], [tx.batch_no, tx.now, *_columns(rows)])
    tx.stored.fault_reports += cursor.rowcount
    tx.stored.duplicates += len(rows) - cursor.rowcount
    tx.stored.instants += [at_ms(fault.at) for _, fault in faults]
    await tx.connection.execute(queries["settle_fault_state"], [tx.batch_no])
    await _refresh_active_faults(tx, sorted({tx.identities.device_of(named.topic) for named, _ in faults}))


async def _reconcile_faults(tx: _Transaction, named: Named, birth: Birth) -> None:
    """A birth says which faults are active now. What differs from what we know, and is not older, is inferred."""
    if not birth.devices:
        return
    inventory = sorted({tx.identities.devices[device.device] for device in birth.devices})
    active = [
        (tx.identities.devices[device.device], fault.code, at_ms(fault.since))
        for device in birth.devices
        for fault in device.active_faults
    ]
    devices, codes, since = _columns(active) if active else ([], [], [])
    cursor = await tx.connection.execute(
        load("ingest")["infer_fault_reports"],
        {
            "devices": devices, "codes": codes, "since": since, "inventory": inventory, "at": at_ms(birth.at),
            "boot": birth.boot, "seq": birth.seq, "gateway_no": tx.identities.gateways[named.topic.gateway],
            "batch_no": tx.batch_no, "ingested_at": tx.now,
        },
    )  # fmt: skip
    inferred = await cursor.fetchall()
    tx.stored.fault_reports += len(inferred)
    tx.stored.instants += [at for (at,) in inferred if isinstance(at, datetime)]
    await _refresh_active_faults(tx, inventory)


async def _refresh_active_faults(tx: _Transaction, devices: Sequence[int]) -> None:
    await tx.connection.execute(load("ingest")["refresh_active_faults"], [list(devices)])


async def _store_losses(tx: _Transaction, messages: Sequence[Named]) -> None:
    tx.stored.losses += await _store_rows(
        tx, "store_losses", _of(messages, Loss),
        lambda named, loss: (
            tx.identities.gateways[named.topic.gateway], tx.identities.device_of(named.topic), loss.boot, loss.seq,
            loss.kind, loss.messages, loss.bytes, at_ms(loss.window.started_at), at_ms(loss.window.ended_at),
            at_ms(loss.at),
        ),
    )  # fmt: skip


async def _store_replies(tx: _Transaction, messages: Sequence[Named]) -> None:
    tx.stored.replies += await _store_rows(
        tx, "store_replies", _of(messages, Reply),
        lambda named, reply: (
            tx.identities.device_of(named.topic), reply.id, reply.boot, reply.seq, reply.outcome, reply.detail,
            Jsonb(reply.result), at_ms(reply.at),
        ),
    )  # fmt: skip


async def _store_rows(
    tx: _Transaction,
    query: str,
    chosen: Sequence[tuple[Named, M]],
    row: Callable[[Named, M], tuple[object, ...]],
) -> int:
    if not chosen:
        return 0
    rows = [row(named, message) for named, message in chosen]
    cursor = await tx.connection.execute(load("ingest")[query], _columns(rows))
    tx.stored.duplicates += len(rows) - cursor.rowcount
    return cursor.rowcount
