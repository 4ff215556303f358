"""Pure: the order of the day. Which calls to make first when calls and visits are limited, and why each stands there.

A call is worth probability x damage avoided, less its price and that of a needless visit (cloud/desk/priority.py). When
the visits that the calls would bring are more than can be promised, a visit has a price of its own: the least one at
which the day's calls fit the day's visits. Tickets are ordered by their worth less that price; what today has no room
for comes after what it has, so that whoever works from the top never meets a line twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A ticket that waits for a call. value: what the call is worth, as `sentence` says; visits: expected."""

    ticket_no: int
    value: float
    visits: float
    probability: float
    sentence: dict[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """A ticket's place in the queue, from 1. today: within the day's calls and visits, and worth a call at all."""

    ticket_no: int
    place: int
    today: bool
    probability: float
    value: float
    visits: float
    sentence: dict[str, str]


def order(candidates: Sequence[Candidate], calls: int, visits: float) -> list[Place]:
    """All candidates in the order of the day, those within today first; `calls` and `visits`: what is left of it."""
    price = visit_price(candidates, calls, visits)
    best_first = sorted(candidates, key=lambda c: (c.value - price * c.visits <= 0, -_net(c, price), c.ticket_no))
    calls_left, visits_left = max(0, calls), max(0.0, visits)
    judged: list[tuple[Candidate, str]] = []
    for candidate in best_first:
        why = "worthless" if candidate.value <= 0 else "calls" if not calls_left else ""
        if not why and candidate.visits > visits_left + 1e-9:
            why = "visits"
        if not why:
            calls_left -= 1
            visits_left -= candidate.visits
        judged.append((candidate, why))
    judged.sort(key=lambda pair: pair[1] != "")
    return [_place(candidate, number, len(judged), why) for number, (candidate, why) in enumerate(judged, 1)]


def visit_price(candidates: Sequence[Candidate], calls: int, visits: float) -> float:
    """The least price of a visit at which the best calls of the day bring no more visits than there are.

    Found by bisection, to a cent.
    """

    def demand(price: float) -> float:
        worthwhile = sorted((c for c in candidates if _net(c, price) > 0), key=lambda c: (-_net(c, price), c.ticket_no))
        return sum(c.visits for c in worthwhile[: max(0, calls)])

    visits = max(0.0, visits)
    if demand(0.0) <= visits:
        return 0.0
    low, high = 0.0, max(c.value / c.visits for c in candidates if c.visits > 0)
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if demand(middle) > visits else (low, middle)
    return high


def _place(candidate: Candidate, number: int, of: int, why: str) -> Place:
    """`why` it is not within today; empty: it is."""
    sentence = _sentence(candidate, number, of, why)
    return Place(
        candidate.ticket_no, number, not why, candidate.probability, candidate.value, candidate.visits, sentence
    )


def _net(candidate: Candidate, price: float) -> float:
    return candidate.value - price * candidate.visits


def _sentence(candidate: Candidate, number: int, of: int, why: str) -> dict[str, str]:
    end = {
        "": {"en": "Within today's calls and visits.", "zh": "在今天的通话和上门能力之内。"},
        "calls": {"en": "Today's calls are used up by what is worth more.", "zh": "今天的通话已被更有价值的工单占用。"},
        "visits": {
            "en": "Today's visits are used up by what is worth more.",
            "zh": "今天的上门已被更有价值的工单占用。",
        },
        "worthless": {"en": "A call would cost more than it is worth.", "zh": "来电的成本高于其价值。"},
    }[why]
    return {
        "en": f"Place {number} of {of}: {candidate.sentence['en']} {end['en']}",
        "zh": f"第 {number} 位，共 {of} 位：{candidate.sentence['zh']}{end['zh']}",
    }


def likelihood(reported: float, verdict: str | None, real: int, found: int) -> float:
    """The probability that a fault is real: the detector's or the code's, by what findings and the verdict say.

    `real` of `found` findings about this model and problem confirmed it. A prior of four findings [K] stands in until
    there are some: nine in ten of confirmed faults are real, seven in ten of those not confirmed. A refuted one: one in
    ten.
    """
    prior = {"confirmed": 0.9, "refuted": 0.1}.get(verdict or "", 0.7)
    return reported * (4.0 * prior + real) / (4.0 + found)
