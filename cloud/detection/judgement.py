"""What comes out of the detector: one judgement a sample, with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from cloud.detection.records import Bools, Floats

ANOMALY = "anomaly"


@dataclass(frozen=True, slots=True)
class ChannelReason:
    """One channel's part in a judgement: how far from normal (in that device's own standard deviations,
    signed), at which time scale (samples), and since when (event time, epoch s)."""

    channel: str
    deviation: float
    scale: float
    since: float


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, in terms that an engineer can check."""

    channels: tuple[ChannelReason, ...] = ()
    codes: tuple[str, ...] = ()
    conjunction: tuple[str, ...] = ()
    confirmed_before: int = 0
    refuted_before: int = 0
    cohort_share: float | None = None
    cohort_size: int = 0

    def sentences(self) -> list[str]:
        """The reason in plain words."""
        out = []
        for c in self.channels:
            side = "above" if c.deviation > 0 else "below"
            out.append(f"{c.channel} is {abs(c.deviation):.1f} sigma {side} this device's normal")
        if self.codes:
            out.append("fault codes lately: " + ", ".join(self.codes))
        if self.conjunction:
            out.append(
                " together with ".join(self.conjunction)
                + f": confirmed {self.confirmed_before} times, not confirmed {self.refuted_before} times"
            )
        if self.cohort_share is not None and self.cohort_size > 1:
            out.append(f"further from normal than {self.cohort_share:.0%} of its cohort of {self.cohort_size}")
        return out

    def as_json(self) -> dict[str, Any]:
        """For the database: the fields and the sentences."""
        return asdict(self) | {"sentences": self.sentences()}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the detector says of one device at one event time.

    ``score`` in 0..1, higher = more likely faulty; comparable between families, a ticket is due at
    ``engine.TICKET_SCORE``.  ``probability``: calibrated, that a fault is confirmed within
    ``horizon_s``.  ``time_left``: seconds (low, high) until failure, where degradation is visible.
    ``completeness``: share of the readings that should have come lately; ``judgeable`` is False when a
    fault could not have been seen (warm-up, silence, broken sensors).
    """

    device: str
    at: float
    problem: str
    score: float
    probability: float
    horizon_s: float
    ticket: bool
    judgeable: bool
    completeness: float
    time_left: tuple[float, float] | None = None
    reason: Reason = field(default_factory=Reason)


class Judgements(Sequence[Judgement]):
    """One judgement a row of the block, held as columns; :class:`Judgement` objects are made on demand,
    and those that call for a ticket (``raised``) are complete with their reasons."""

    def __init__(  # noqa: PLR0917 - columns of one table
        self,
        devices: Sequence[str],
        times: Floats,
        scores: Floats,
        probabilities: Floats,
        tickets: Bools,
        raised: dict[int, Judgement],
        describe: Callable[[int], Judgement],
        problem: Callable[[int], str],
    ) -> None:
        self.devices = devices
        self.times = times
        self.scores = scores
        self.probabilities = probabilities
        self.tickets = tickets
        self._raised = raised
        self._describe = describe
        self._problem = problem

    def __len__(self) -> int:
        return len(self.devices)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        index = range(len(self))[row]
        found = self._raised.get(index)
        return found if found is not None else self._describe(index)

    def __iter__(self) -> Iterator[Judgement]:
        return (self[i] for i in range(len(self)))

    def problem(self, row: int) -> str:
        """The problem that ``self[row]`` names, without the reasons, which are dear."""
        found = self._raised.get(row)
        return found.problem if found is not None else self._problem(row)

    def raised(self) -> list[Judgement]:
        """Judgements that call for a ticket, in row order."""
        return [self._raised[i] for i in sorted(self._raised)]


def no_judgements() -> Judgements:
    """The answer to an empty block."""
    empty = np.zeros(0)

    def nothing(row: int) -> Any:
        raise IndexError(row)

    return Judgements((), empty, empty, empty, np.zeros(0, np.bool_), {}, nothing, nothing)
