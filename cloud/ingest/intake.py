"""From arrivals to what is to be stored: topics parsed, payloads decoded, times checked, poison set apart. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cloud.ingest.decode import COLUMNS, FrameBlock, decode_frames
from cloud.ingest.ports import Arrival
from protocols.errors import NotFinite, ProtocolError
from protocols.messages import (
    EARLIEST_MS,
    FUTURE_MS,
    Birth,
    Channel,
    ChannelSet,
    Death,
    Fault,
    Heartbeat,
    Loss,
    Message,
    Rejected,
    Reply,
    Telemetry,
    check_event_time,
    payload_digest,
)
from protocols.topics import NO_DEVICE, Kind, Topic

LOW_RATE: dict[Kind, type[Message]] = {
    Kind.BIRTH: Birth,
    Kind.DEATH: Death,
    Kind.HEARTBEAT: Heartbeat,
    Kind.FAULT: Fault,
    Kind.LOSS: Loss,
    Kind.REPLY: Reply,
}
REMEMBERED_TOPICS = 200_000


@dataclass(frozen=True, slots=True)
class Poison:
    """A message that can never be stored, and why: `reason` is a stable word, `detail` a sentence."""

    arrival: Arrival
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Named:
    """A low-rate message with its topic; `place` is its arrival's index."""

    place: int
    topic: Topic
    message: Message


@dataclass(slots=True)
class Intake:
    """A batch, sorted. `topics[i]` is the topic of arrival i, None where it cannot be read.

    `blocks`' column `place` is the arrival's index. `messages` stand in order of arrival.
    `declared` are channel sets that JSON telemetry brings along.
    """

    arrivals: Sequence[Arrival]
    topics: list[Topic | None]
    blocks: list[FrameBlock] = field(default_factory=list)
    messages: list[Named] = field(default_factory=list)
    declared: list[tuple[Topic, ChannelSet, int]] = field(default_factory=list)
    poison: list[Poison] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """How many frames there are to store."""
        return sum(map(len, self.blocks))


class TopicReader:
    """Parses topics and remembers them: a fleet has few topics and many messages."""

    def __init__(self) -> None:
        self._known: dict[str, Topic] = {}

    def read(self, text: str) -> Topic:
        """The topic of `text`; raises ProtocolError when it is none, or travels downward."""
        found = self._known.get(text)
        if found is None:
            if len(self._known) >= REMEMBERED_TOPICS:
                self._known.clear()
            found = self._known[text] = Topic.parse(text)
        return found


def read_batch(arrivals: Sequence[Arrival], now_ms: int, reader: TopicReader) -> Intake:
    """Sort a batch. `now_ms`: the receiver's clock, ms since the epoch, for the check of event times."""
    intake = Intake(arrivals, [None] * len(arrivals))
    binary: list[int] = []
    for place, arrival in enumerate(arrivals):
        try:
            topic = intake.topics[place] = reader.read(arrival.topic)
            if topic.kind is Kind.TELEMETRY and arrival.payload[:1] != b"{":
                binary.append(place)
            elif topic.kind is Kind.TELEMETRY:
                _take_json_telemetry(intake, place, topic, now_ms)
            else:
                intake.messages.append(Named(place, topic, _read_message(topic.kind, arrival.payload, now_ms)))
        except ProtocolError as error:
            intake.poison.append(Poison(arrival, error.reason, str(error)))
    if binary:
        _take_frames(intake, binary, now_ms)
    return intake


def rejection(poison: Poison, topic: Topic) -> Rejected:
    """What the gateway is told about a dead letter."""
    return Rejected(
        device=topic.device or NO_DEVICE,
        kind=str(topic.kind),
        digest=payload_digest(poison.arrival.payload),
        reason=poison.reason,
    )


def _read_message(kind: Kind, payload: bytes, now_ms: int) -> Message:
    message = LOW_RATE[kind].decode(payload)
    check_event_time(message.at, now_ms)
    for at in _inner_times(message):
        check_event_time(at, now_ms)
    return message


def _inner_times(message: Message) -> list[int]:
    """Event times besides `at` that go into the database."""
    if isinstance(message, Birth):
        return [fault.since for device in message.devices for fault in device.active_faults]
    if isinstance(message, Loss):
        return [message.window.started_at, message.window.ended_at]
    return []


def _take_frames(intake: Intake, places: list[int], now_ms: int) -> None:
    decoded = decode_frames([intake.arrivals[place].payload for place in places])
    for local, error in decoded.refused:
        intake.poison.append(Poison(intake.arrivals[places[local]], error.reason, str(error)))
    index = np.array(places)
    for block in decoded.blocks:
        block.columns["place"] = index[block.columns["place"]]
        sane = _sane_times(block, now_ms)
        for row in np.flatnonzero(~sane):
            _refuse_time(intake, block.columns[row], now_ms)
        if sane.any():
            intake.blocks.append(block.take(sane))


def _last_at(columns: NDArray[np.void]) -> NDArray[np.float64]:
    """Event time of the last sample, µs. In floating point: a hostile header must not overflow."""
    span: NDArray[np.float64] = (columns["samples"] - 1.0) * columns["period_ms"] * 1000.0
    return columns["started_at"] + span


def _sane_times(block: FrameBlock, now_ms: int) -> NDArray[np.bool_]:
    sane: NDArray[np.bool_] = (block.columns["started_at"] >= EARLIEST_MS * 1000) & (
        _last_at(block.columns) <= (now_ms + FUTURE_MS) * 1000.0
    )
    return sane


def _refuse_time(intake: Intake, row: np.void, now_ms: int) -> None:
    arrival = intake.arrivals[int(row["place"])]
    try:
        check_event_time(int(row["started_at"]) // 1000, now_ms)
        check_event_time(int(_last_at(row)) // 1000, now_ms)  # type: ignore[arg-type]
    except ProtocolError as error:
        intake.poison.append(Poison(arrival, error.reason, str(error)))
    else:  # the sums above round: a microsecond over the bound
        intake.poison.append(Poison(arrival, "absurd-time", "the last sample lies more than 24 h in the future"))


def _take_json_telemetry(intake: Intake, place: int, topic: Topic, now_ms: int) -> None:
    message = Telemetry.decode(intake.arrivals[place].payload)
    columns = [column if isinstance(column, list) else [column] for column in message.values.values()]
    samples = len(columns[0])
    check_event_time(message.at, now_ms)
    check_event_time(message.at + (samples - 1) * message.period_ms, now_ms)
    with np.errstate(over="ignore"):
        readings = np.array(columns, np.float64).T.astype(np.float32).reshape(1, -1)
    if np.isinf(readings).any():
        raise NotFinite("a reading is too large for a 32-bit float (3.4e38)")
    channel_set = ChannelSet.of(tuple(Channel(name=name) for name in message.values), message.period_ms)
    row = (place, channel_set.id, message.boot, message.seq, message.at * 1000, message.period_ms, samples,
           len(columns), 0)  # fmt: skip
    intake.blocks.append(FrameBlock(np.array([row], COLUMNS), readings))
    intake.declared.append((topic, channel_set, message.at))
