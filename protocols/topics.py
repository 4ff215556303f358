"""The topic as a type: `fc/1/{up|down}/{gateway}/{device|-}/{kind}`, always six segments.

Fixed positions make a broker's access rule for one gateway two patterns: publish `fc/1/up/{gateway}/#`,
subscribe `fc/1/down/{gateway}/#`. No other module builds a topic from text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from protocols.errors import BadTopic, ProtocolError, UnsupportedVersion
from protocols.identifiers import identifier

ROOT = "fc"
VERSION = "1"
NO_DEVICE = "-"


class Direction(StrEnum):
    """Which way a message travels."""

    UP = "up"
    DOWN = "down"


class Kind(StrEnum):
    """What a message is; each kind travels one way only."""

    BIRTH = "birth"
    DEATH = "death"
    HEARTBEAT = "heartbeat"
    TELEMETRY = "telemetry"
    FAULT = "fault"
    REPLY = "reply"
    LOSS = "loss"
    COMMAND = "command"
    RECEIPT = "receipt"

    @property
    def direction(self) -> Direction:
        """The one way in which this kind travels."""
        return Direction.DOWN if self in (Kind.COMMAND, Kind.RECEIPT) else Direction.UP


GATEWAY_KINDS = frozenset({Kind.BIRTH, Kind.DEATH, Kind.HEARTBEAT, Kind.RECEIPT})
"""Kinds that speak of the gateway as a whole: their device segment is '-'."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `device` is None for messages of the gateway itself."""

    gateway: str
    kind: Kind
    device: str | None = None

    def __post_init__(self) -> None:
        identifier(self.gateway, "gateway")
        if (self.device is None) != (self.kind in GATEWAY_KINDS):
            wanted = "no device" if self.kind in GATEWAY_KINDS else "a device"
            raise BadTopic(f"a {self.kind} topic has {wanted}, got {self.device!r}")
        if self.device is not None:
            identifier(self.device, "device")

    def build(self) -> str:
        """The MQTT topic."""
        return "/".join((ROOT, VERSION, self.kind.direction, self.gateway, self.device or NO_DEVICE, self.kind))

    def build_subject(self) -> str:
        """The same topic as a NATS subject."""
        return self.build().replace("/", ".")

    @classmethod
    def parse(cls, text: str) -> Topic:
        """Read an MQTT topic.

        Raises:
            BadTopic: not six segments, another root, an unknown kind or direction.
            UnsupportedVersion: the second segment is not a version that we speak.
            BadIdentifier: gateway or device is not well formed.
        """
        segments = text.split("/")
        if len(segments) != 6 or segments[0] != ROOT:
            raise BadTopic(f"topic {text[:200]!r}: expected fc/1/{{up|down}}/{{gateway}}/{{device|-}}/{{kind}}")
        _, version, direction, gateway, device, kind = segments
        if version != VERSION:
            raise UnsupportedVersion(f"topic {text[:200]!r}: version {version!r}, this program speaks {VERSION}")
        try:
            known = Kind(kind)
        except ValueError:
            raise BadTopic(f"topic {text[:200]!r}: unknown kind {kind!r}, expected one of {', '.join(Kind)}") from None
        if direction != known.direction:
            raise BadTopic(f"topic {text[:200]!r}: {known} travels {known.direction}, not {direction!r}")
        return cls(gateway, known, None if device == NO_DEVICE else device)

    @classmethod
    def parse_subject(cls, subject: str) -> Topic:
        """Read a NATS subject; raises as `parse`."""
        return cls.parse(subject.replace(".", "/"))


def is_topic(text: str) -> bool:
    """Whether `text` is a well-formed topic of a version that we speak."""
    try:
        Topic.parse(text)
    except ProtocolError:
        return False
    return True


UPLINK_FILTER = f"{ROOT}/{VERSION}/{Direction.UP}/#"
"""The MQTT filter under which the cloud receives everything."""

UPLINK_SUBJECT = f"{ROOT}.{VERSION}.{Direction.UP}.>"
"""The same as a NATS subject filter."""


def downlink_filter(gateway: str) -> str:
    """The MQTT filter under which a gateway receives its commands and receipts."""
    return f"{ROOT}/{VERSION}/{Direction.DOWN}/{identifier(gateway, 'gateway')}/#"
