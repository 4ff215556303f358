"""What a detector under test is given, and what it answers.  Nothing here tells the truth of the world.

A detector is any object with the three methods of :class:`Detector`.  Event time throughout, epoch seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["fault_confirmed", "other_fault", "no_fault_found", "failure"]


@dataclass(frozen=True, slots=True)
class Block:
    """Records of one model, ordered by (time, device).

    numbers: the device's number in the fleet, one a row; devices: its name. A channel with the prefix ``op.`` is an
    operating mode. values: float32, (rows, channels), NaN = no reading.
    """

    model: str
    channels: tuple[str, ...]
    numbers: NDArray[np.int64]
    devices: Sequence[str]
    times: NDArray[np.float64]
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Code:
    """A fault code that a device began (``raised``) or ceased to show."""

    at: float
    number: int
    device: str
    code: str
    raised: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """All that came after ``start`` and not after ``end``. A detector answers at ``end``."""

    start: float
    end: float
    blocks: tuple[Block, ...]
    codes: tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """What became known at ``known_at`` about ``at``.

    A visit (after a call or a random check) says ``fault_confirmed``, ``other_fault`` or ``no_fault_found`` about the
    time of the call; ``failure`` is a customer's own call, about the time at which it was noticed. ``kind`` names
    the part. ``asked_with``: the probability with which the device was chosen for the visit. Some labels are wrong.
    """

    number: int
    device: str
    at: float
    known_at: float
    verdict: Verdict
    kind: str
    asked_with: float = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a detector says at the end of a tick: who is to be called, and how suspicious devices are.

    calls: numbers of devices, by the detector's own decision. numbers, scores: the suspicious devices and how much
    (higher = more), from which the benchmark draws the curve over all false-call rates; a device not named counts as
    unsuspicious.
    """

    calls: Sequence[int]
    numbers: NDArray[np.int64]
    scores: NDArray[np.float64]


class Detector(Protocol):
    """A detector under test."""

    def observe(self, tick: Tick) -> Answer:
        """Take what came, and say what follows."""
        ...

    def learn(self, label: Label) -> None:
        """Take an outcome; called between ticks, at the time at which it became known."""
        ...

    def checks(self, at: float) -> Sequence[tuple[int, float]]:
        """Once a day: devices to be visited at random, each with the probability of its being chosen."""
        ...


def nothing() -> Answer:
    """The answer of a detector that has nothing to say."""
    return Answer((), np.zeros(0, np.int64), np.zeros(0))
