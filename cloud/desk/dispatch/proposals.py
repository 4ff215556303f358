"""Pure: the windows that a round keeps for customers, and the others that it offers them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cloud.desk.dispatch.assign import Assignment, Engineer, Order, Prices, cost_matrix
from cloud.desk.dispatch.calendar import Horizon, Slot, Span, choosable, free_slots
from cloud.desk.dispatch.explain import ByLanguage, Names, explain
from cloud.desk.dispatch.people import Staff, day_of

INFINITE = float("inf")
Day = tuple[str, datetime]
"""An engineer and the start of one of the engineer's local days."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An order with what an assignment does not need of it."""

    order: Order
    names: Names
    device_no: int
    holds_before: int


@dataclass(frozen=True, slots=True)
class Ground:
    """What a round plans on: free windows in order, and how many of each day may still go by choice."""

    now: datetime
    staff: Mapping[str, Staff]
    free: tuple[Slot, ...]
    quota: Mapping[Day, int]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A window for a customer: kept for this one (held), or first come, first served (offered)."""

    order: Order
    slot: Slot
    state: Literal["held", "offered"]
    sentence: ByLanguage


def survey(
    now: datetime,
    staff: Sequence[Staff],
    taken: Mapping[str, Sequence[Span]],
    chosen: Iterable[tuple[str, datetime]],
    *,
    horizon: Horizon,
    share: float,
) -> Ground:
    """The ground of a round; `chosen` are starts of booked windows that went by choice."""
    members = {member.engineer.engineer: member for member in staff}
    picked = Counter((name, _day_of(at, members[name])) for name, at in chosen if name in members)
    free: list[Slot] = []
    quota: dict[Day, int] = {}
    for name, member in members.items():
        free += free_slots(name, member.zone, member.hours, taken.get(name, ()), horizon)
        regular = (s for s in free_slots(name, member.zone, member.hours, (), horizon) if not s.overtime)
        for day, number in Counter(_day_of(slot.start, member) for slot in regular).items():
            quota[name, day] = choosable(number, picked[name, day], share)
    return Ground(now, members, tuple(sorted(free, key=lambda s: (s.start, s.engineer))), quota)


def held(assignments: Sequence[Assignment], waiting: Mapping[int, Waiting], now: datetime) -> list[Proposal]:
    """The assigned windows, kept for their customers."""
    return [
        Proposal(a.order, a.slot, "held", explain(a, waiting[a.order.work_order_no].names, now)) for a in assignments
    ]


def offered(
    waiting: Sequence[Waiting], assignments: Sequence[Assignment], ground: Ground, *, choices: int, experienced: int
) -> list[Proposal]:
    """Other windows to choose from, the cheapest first, up to so many starts a customer with the one that is kept."""
    taken = {(a.slot.engineer, a.slot.start) for a in assignments}
    left = [
        slot
        for slot in ground.free
        if (slot.engineer, slot.start) not in taken
        and not slot.overtime
        and ground.quota.get((slot.engineer, _day_of(slot.start, ground.staff[slot.engineer])), 0) > 0
    ]
    if not left or not waiting:
        return []
    engineers = {name: member.engineer for name, member in ground.staff.items()}
    costs = cost_matrix([w.order for w in waiting], engineers, left, ground.now, Prices())
    kept = {a.order.work_order_no: a.slot.start for a in assignments}
    found: list[Proposal] = []
    for row, w in enumerate(waiting):
        wanted = experienced if w.order.experienced else choices
        starts = {kept[w.order.work_order_no]} if w.order.work_order_no in kept else set()
        for column in costs[row].argsort(kind="stable"):
            slot, cost = left[int(column)], float(costs[row, column])
            if len(starts) >= wanted or cost == INFINITE:
                break
            if slot.start not in starts:
                starts.add(slot.start)
                found.append(_choice(w, engineers[slot.engineer], slot, cost, now=ground.now))
    return found


def _choice(w: Waiting, engineer: Engineer, slot: Slot, cost: float, *, now: datetime) -> Proposal:
    in_van = None if w.order.part is None else engineer.stock.get(w.order.part, 0) > 0
    assignment = Assignment(w.order, engineer, slot, False, in_van, slot.start - timedelta(seconds=1), cost)
    return Proposal(w.order, slot, "offered", explain(assignment, w.names, now))


def _day_of(at: datetime, member: Staff) -> datetime:
    return day_of(at, member.zone)[0]
