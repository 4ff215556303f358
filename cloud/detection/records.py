"""What goes into the detector: blocks of samples, sparse events, and outcomes that come back late.

Everything here is in **event time**, as seconds since the epoch (UTC).  Channel names carry their role
as a prefix: a plain name is telemetry; ``code.x`` is a fault code that came in this sample; ``maint.x``
a part that was replaced; ``op.x`` an operating mode, which explains readings and is no symptom;
``meta.x`` something that stays true of the device, such as its model or its age.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class EventKind(StrEnum):
    """What can happen to a device at an instant, apart from its samples."""

    CODE_RAISED = "code_raised"
    CODE_CLEARED = "code_cleared"
    PART_REPLACED = "part_replaced"


@dataclass(frozen=True, slots=True, order=True)
class DeviceEvent:
    """A fault code raised or cleared, or a part replaced.  ``at`` is event time in epoch seconds."""

    at: float
    device: str
    kind: EventKind
    name: str


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """Samples of any number of devices that share one list of channels.

    ``devices[i]`` took row ``values[i]`` at ``times[i]``; NaN says "no reading".  Rows come ordered by
    (time, device), as :class:`cloud.detection.intake.Intake` releases them; a device may occur
    several times.  ``events`` are those of the same span of time.  ``cohort`` names the model of the
    devices where the registry knows it; otherwise ``meta.model`` serves, if it is sent.
    """

    devices: Sequence[str]
    times: Floats
    channels: tuple[str, ...]
    values: Floats
    events: Sequence[DeviceEvent] = ()
    cohort: str = ""

    def __post_init__(self) -> None:
        expected = (len(self.devices), len(self.channels))
        if self.values.shape != expected or len(self.times) != expected[0]:
            raise ValueError(
                f"a block of {expected[0]} devices and {expected[1]} channels needs values of shape {expected} "
                f"and as many times; got values {self.values.shape} and {len(self.times)} times"
            )


class Verdict(StrEnum):
    """How an outcome came to be known, and what it says.  The first four are those of a finding."""

    FAULT_CONFIRMED = "fault_confirmed"
    OTHER_FAULT = "other_fault"
    NO_FAULT_FOUND = "no_fault_found"
    CAUSED_BY_USE = "caused_by_use"
    FAILURE = "failure"  # the device broke, ticket or not: the customer called


@dataclass(frozen=True, slots=True)
class Outcome:
    """A label.  It speaks of ``at`` (epoch s: when it failed, or when the ticket was raised that an
    engineer judged) and came to be known at ``known_at``, hours to weeks later.

    ``kind`` names the fault (a code or a part) where the outcome names one.  ``asked_with`` is the
    probability with which this device was chosen to be looked at: 1 for a ticket, small for a random
    check; its inverse weighs the label against selection bias (Horvitz and Thompson 1952).
    """

    device: str
    at: float
    known_at: float
    verdict: Verdict
    kind: str = ""
    asked_with: float = 1.0

    @property
    def faulty(self) -> bool:
        """Whether the device really had a fault of its own."""
        return self.verdict in (Verdict.FAULT_CONFIRMED, Verdict.OTHER_FAULT, Verdict.FAILURE)


@dataclass(frozen=True, slots=True)
class ChannelRoles:
    """Columns of a block by role; each is (column, name without its prefix)."""

    telemetry: tuple[tuple[int, str], ...]
    codes: tuple[tuple[int, str], ...]
    parts: tuple[tuple[int, str], ...]
    modes: tuple[tuple[int, str], ...]
    meta: tuple[tuple[int, str], ...]


@lru_cache(maxsize=4096)
def roles_of(channels: tuple[str, ...]) -> ChannelRoles:
    """Sort the columns of a block by the prefix of their names."""
    found: dict[str, list[tuple[int, str]]] = {"": [], "code": [], "maint": [], "op": [], "meta": []}
    for column, name in enumerate(channels):
        prefix, dot, rest = name.partition(".")
        role = prefix if dot and prefix in found else ""
        found[role].append((column, rest if role else name))
    return ChannelRoles(
        telemetry=tuple(found[""]),
        codes=tuple(found["code"]),
        parts=tuple(found["maint"]),
        modes=tuple(found["op"]),
        meta=tuple(found["meta"]),
    )
