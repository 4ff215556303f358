"""A message before it has its boot and seq: what drivers' readings become, and what the spool takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from protocols.topics import NO_DEVICE, Kind


class Rank(IntEnum):
    """Who goes first and who is dropped last: events, then freeze frames, then telemetry."""

    EVENT = 0
    FREEZE = 1
    TELEMETRY = 2


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be spooled.

    device: the device's id, or "-" for the gateway's own. at_ms: event time, ms since the epoch. compose: gives the
    payload for a boot and a seq.
    """

    device: str
    kind: Kind
    rank: Rank
    at_ms: int
    compose: Callable[[int, int], bytes]

    @property
    def topic_device(self) -> str | None:
        """The device as a topic wants it."""
        return None if self.device == NO_DEVICE else self.device
