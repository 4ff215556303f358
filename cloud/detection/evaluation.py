"""How good the detector is: pure functions on what it said and what turned out.

Prequential throughout: a statement is judged by what became known after it was made.  Calibration error
(ECE; Naeini et al. 2015) and Brier score (1950) speak of stated probabilities; the bootstrap over devices
gives intervals that respect that one device's records are not independent; a ticket diff sets two
detectors side by side on the same stream, with the money between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cloud.detection.records import Bools, Floats


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Statements with a probability between ``low`` and ``high``: how many, what they said on average, and
    how often it came true."""

    low: float
    high: float
    statements: int
    stated: float
    came_true: float


def reliability(stated: Floats, came_true: Bools, bins: int = 10) -> list[ReliabilityBin]:
    """The reliability diagram: ``bins`` equal parts of 0..1, empty ones left out."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.minimum((stated * bins).astype(np.int64), bins - 1)
    out = []
    for k in range(bins):
        inside = place == k
        if inside.any():
            share = float(came_true[inside].mean())
            out.append(ReliabilityBin(edges[k], edges[k + 1], int(inside.sum()), float(stated[inside].mean()), share))
    return out


def expected_calibration_error(stated: Floats, came_true: Bools, bins: int = 10) -> float:
    """Mean over statements of |stated - came true| of their bin, 0..1."""
    found = reliability(stated, came_true, bins)
    total = sum(b.statements for b in found)
    return sum(b.statements * abs(b.stated - b.came_true) for b in found) / total if total else float("nan")


def brier(stated: Floats, came_true: Bools) -> float:
    """Mean squared error of the stated probabilities."""
    return float(((stated - came_true) ** 2).mean()) if len(stated) else float("nan")


def bootstrap(
    groups: Sequence[object],
    statistic: Callable[[Sequence[int]], float],
    seed: int,
    draws: int = 500,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of ``statistic`` over draws of whole groups (devices) with replacement; the
    statistic is given the drawn groups' positions."""
    rng = np.random.default_rng(seed)
    found = [statistic([int(i) for i in rng.integers(0, len(groups), len(groups))]) for _ in range(draws)]
    kept = np.array([value for value in found if np.isfinite(value)])
    if not len(kept):
        return float("nan"), float("nan")
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(kept, [tail, 100.0 - tail])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Ticket:
    """One proactive ticket: device and event time (epoch s)."""

    device: str
    at: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure that a ticket should have come before: device and event time (epoch s)."""

    device: str
    at: float


@dataclass(frozen=True, slots=True)
class Money:
    """What outcomes cost or save, in one currency: see ``cloud.registry.costs``."""

    saved_by_call: float
    false_call: float


@dataclass(frozen=True, slots=True)
class Scored:
    """Tickets against failures: which failures were foreseen, with what lead, and which tickets were false."""

    foreseen: dict[Failure, float]
    missed: list[Failure]
    false: list[Ticket]

    def money(self, costs: Money) -> float:
        """Worth of these tickets."""
        return costs.saved_by_call * len(self.foreseen) - costs.false_call * len(self.false)


def score(
    tickets: Sequence[Ticket], failures: Sequence[Failure], horizon_s: float, least_lead_s: float, grace_s: float
) -> Scored:
    """A ticket foresees the device's next failure if that comes ``least_lead_s`` to ``horizon_s`` after it.
    Tickets closer to a failure than that, or within ``grace_s`` after one, count neither way."""
    by_device: dict[str, list[Failure]] = {}
    for failure in failures:
        by_device.setdefault(failure.device, []).append(failure)
    foreseen: dict[Failure, float] = {}
    false = []
    for ticket in sorted(tickets, key=lambda t: (t.at, t.device)):
        near = by_device.get(ticket.device, [])
        right = [f for f in near if least_lead_s <= f.at - ticket.at <= horizon_s]
        for failure in right:
            foreseen.setdefault(failure, failure.at - ticket.at)
        if not right and not any(-grace_s <= f.at - ticket.at < least_lead_s for f in near):
            false.append(ticket)
    missed = [f for f in failures if f not in foreseen]
    return Scored(foreseen, missed, false)


@dataclass(frozen=True, slots=True)
class TicketDiff:
    """Champion against challenger on the same stream."""

    only_champion: list[Failure]
    only_challenger: list[Failure]
    false_champion: int
    false_challenger: int
    money: float  # challenger minus champion

    def sentences(self) -> list[str]:
        """The diff in plain words."""
        return [
            f"the challenger foresees {len(self.only_challenger)} failures that the champion misses, "
            f"and misses {len(self.only_champion)} that the champion foresees",
            f"false tickets: champion {self.false_champion}, challenger {self.false_challenger}",
            f"worth of the change: {self.money:+.0f}",
        ]


def ticket_diff(champion: Scored, challenger: Scored, costs: Money) -> TicketDiff:
    """What would change, and its money."""
    return TicketDiff(
        only_champion=[f for f in champion.foreseen if f not in challenger.foreseen],
        only_challenger=[f for f in challenger.foreseen if f not in champion.foreseen],
        false_champion=len(champion.false),
        false_challenger=len(challenger.false),
        money=challenger.money(costs) - champion.money(costs),
    )


def regret(scored: Scored, oracle: Scored, costs: Money) -> float:
    """Share of the oracle's money that was not earned; 0 is perfect."""
    best = oracle.money(costs)
    return (best - scored.money(costs)) / best if best > 0 else float("nan")
