"""Pure: which engineer goes to whom in which window, by a least-cost assignment, and nobody waits for ever.

Costs are in one currency (dollars, [K], see Prices): waiting, coming after the failure, a second visit for want of a
part, sending somebody less experienced than promised, overtime. Two steps:

1. Orders that have waited `overdue_after` are taken oldest first, each if it can be placed beside those before it
   (augmenting paths: the sets that can be placed form a transversal matroid, so that oldest-first is also the largest).
2. scipy's linear_sum_assignment places these without fail, then as many others as there is room for, those of greatest
   worth first, all at the least total cost.

So an overdue order for which any window is open is placed, or each window it could have goes to an older one. With r
older orders overdue and at least one window a round it waits at most r rounds more, whoever comes later and whatever
their tier.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from cloud.desk.dispatch.calendar import Slot

EXPERIENCED = 4  # seniority from which an engineer counts as experienced

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Engineer:
    """Who can go."""

    engineer: str
    name: str
    seniority: int
    regions: frozenset[str]
    skills: Mapping[str, frozenset[str] | None]  # by family: the problems, or None for all of them
    stock: Mapping[str, int] = field(default_factory=dict)

    def can(self, order: Order) -> bool:
        """Whether region and skill fit. An order whose region is not known fits every engineer."""
        if order.region and order.region not in self.regions:
            return False
        if order.family not in self.skills:
            return False
        problems = self.skills[order.family]
        return problems is None or order.problem in problems


@dataclass(frozen=True, slots=True)
class Order:
    """A visit that is needed. Times are the desk's."""

    work_order_no: int
    family: str
    problem: str
    region: str
    severity: str
    waiting_since: datetime
    part: str | None = None
    experienced: bool = False
    failed: bool = False
    fails_by: datetime | None = None
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """After how long an order is overdue."""

    overdue_after: timedelta = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Prices:
    """What things cost, in dollars; [K] but for the visit (a diagnosis fee, see cloud/registry/costs.toml)."""

    day: Mapping[str, float] = field(
        default_factory=lambda: {"low": 2.0, "medium": 8.0, "high": 25.0, "critical": 100.0}
    )
    after_failure: Mapping[str, float] = field(
        default_factory=lambda: {"low": 15.0, "medium": 80.0, "high": 220.0, "critical": 600.0}
    )
    second_visit: float = 89.0
    less_experienced: float = 60.0
    over_qualified: float = 10.0
    overtime: float = 50.0


@dataclass(frozen=True, slots=True)
class Assignment:
    """One order with the engineer and the window that it got, and what speaks for it."""

    order: Order
    engineer: Engineer
    slot: Slot
    overdue: bool
    part_in_van: bool | None  # None: no part is foreseen
    first_possible: datetime  # the earliest window that anybody could have gone in
    cost: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A round's outcome. `unplaced` says why: no_engineer (none can ever), no_window (none is free now)."""

    assignments: tuple[Assignment, ...]
    unplaced: Mapping[int, str]


def assign(
    orders: Sequence[Order],
    engineers: Sequence[Engineer],
    slots: Sequence[Slot],
    now: datetime,
    *,
    rules: Rules | None = None,
    prices: Prices | None = None,
) -> Plan:
    """Place orders into free windows. The same input gives the same plan."""
    rules, prices = rules or Rules(), prices or Prices()
    by_name = {e.engineer: e for e in engineers}
    if not orders or not slots:
        return Plan((), {o.work_order_no: _why_not(o, engineers) for o in orders})
    costs = cost_matrix(orders, by_name, slots, now, prices)
    overdue = {i for i, order in enumerate(orders) if now - order.waiting_since >= rules.overdue_after}
    must = _placeable(sorted(overdue, key=lambda i: (orders[i].waiting_since, orders[i].work_order_no)), costs)
    pairs = _least_cost(costs, must, [prices.day[o.severity] for o in orders])
    placed = [
        Assignment(
            orders[i],
            by_name[slots[j].engineer],
            slots[j],
            i in overdue,
            None,
            min(slots[int(k)].start for k in np.flatnonzero(np.isfinite(costs[i]))),
            float(costs[i, j]),
        )
        for i, j in pairs
    ]
    got = {a.order.work_order_no for a in placed}
    left = {o.work_order_no: _why_not(o, engineers) for o in orders if o.work_order_no not in got}
    return Plan(tuple(_with_parts(placed)), left)


def cost_matrix(
    orders: Sequence[Order], engineers: Mapping[str, Engineer], slots: Sequence[Slot], now: datetime, prices: Prices
) -> Matrix:
    """Cost of each order in each slot, orders x slots; infinite where it cannot be."""
    names = sorted(engineers)
    column_of = {name: place for place, name in enumerate(names)}
    who = np.array([column_of[slot.engineer] for slot in slots])
    start = np.array([slot.start.timestamp() for slot in slots])
    overtime = np.array([slot.overtime for slot in slots])
    costs = np.empty((len(orders), len(slots)))
    for row, order in enumerate(orders):
        personal = np.array([_personal_cost(order, engineers[name], prices) for name in names])
        costs[row] = personal[who] + _cost_of_time(order, start, now, prices) + np.where(overtime, prices.overtime, 0.0)
        if not (order.fails_by is not None or order.severity == "critical"):
            costs[row, overtime] = np.inf  # overtime is for those whom it spares a failure
        if order.not_before is not None:
            costs[row, start < order.not_before.timestamp()] = np.inf
    return costs


def _personal_cost(order: Order, engineer: Engineer, prices: Prices) -> float:
    if not engineer.can(order):
        return float("inf")
    cost = 0.0
    if order.part is not None and engineer.stock.get(order.part, 0) < 1:
        cost += prices.second_visit
    if order.experienced and engineer.seniority < EXPERIENCED:
        cost += prices.less_experienced
    if not order.experienced:
        cost += prices.over_qualified * max(0, engineer.seniority - EXPERIENCED + 1)
    return cost


def _cost_of_time(order: Order, start: Matrix, now: datetime, prices: Prices) -> Matrix:
    days = (start - now.timestamp()) / 86400.0
    cost: Matrix = days * prices.day[order.severity] * (2.0 if order.failed else 1.0)
    if order.fails_by is not None:
        cost = cost + np.where(start > order.fails_by.timestamp(), prices.after_failure[order.severity], 0.0)
    return cost


def _placeable(by_age: Sequence[int], costs: Matrix) -> set[int]:
    """Those that can be placed together, the oldest first (Kuhn's augmenting paths, breadth first)."""
    open_to = [np.flatnonzero(row).tolist() for row in np.isfinite(costs)]
    holder: dict[int, int] = {}
    hopeless: set[int] = set()
    return {order for order in by_age if _augment(order, open_to, holder, hopeless)}


def _augment(order: int, open_to: Sequence[list[int]], holder: dict[int, int], hopeless: set[int]) -> bool:
    """Give `order` a slot, moving holders to other slots where that makes room.

    Slots that a search in vain has reached are hopeless for good: no later path can lead out of them (the search was a
    Hungarian tree), so they are not searched again.
    """
    came_from: dict[int, int] = {}
    frontier = deque([order])
    while frontier:
        asking = frontier.popleft()
        for slot in open_to[asking]:
            if slot in came_from or slot in hopeless:
                continue
            came_from[slot] = asking
            if slot not in holder:
                _shift(slot, came_from, holder, order)
                return True
            frontier.append(holder[slot])
    hopeless.update(came_from)
    return False


def _shift(slot: int, came_from: Mapping[int, int], holder: dict[int, int], first: int) -> None:
    before = {order: slot for slot, order in holder.items()}
    while True:
        order = came_from[slot]
        holder[slot] = order
        if order == first:
            return
        slot = before[order]


def _least_cost(costs: Matrix, must: set[int], worth: Sequence[float]) -> list[tuple[int, int]]:
    """Pairs (order, slot) of least cost; a column a row means 'not now', dearer than any slot, dearest for `must`."""
    rows, columns = costs.shape
    finite = costs[np.isfinite(costs)]
    dearest = float(finite.max()) if finite.size else 0.0
    not_now = np.array(worth) + dearest + 1.0 - min(0.0, float(finite.min()) if finite.size else 0.0)
    not_now = not_now + rows * dearest  # leaving one out is never cheaper than placing one more
    forbidden = (rows + 1) * (float(not_now.max()) + dearest + 1.0)
    not_now[list(must)] = forbidden
    wide = np.full((rows, columns + rows), forbidden * (rows + 1))
    wide[:, :columns] = np.where(np.isfinite(costs), costs, forbidden * (rows + 1))
    wide[np.arange(rows), columns + np.arange(rows)] = not_now
    chosen_rows, chosen_columns = linear_sum_assignment(wide)
    return [(int(i), int(j)) for i, j in zip(chosen_rows, chosen_columns, strict=True) if j < columns]


def _with_parts(placed: Sequence[Assignment]) -> list[Assignment]:
    """Say of each whether its part will be in the van, counting down the stock in the order of the visits."""
    stock: dict[tuple[str, str], int] = {}
    told: dict[int, bool | None] = {}
    for a in sorted(placed, key=lambda a: a.slot.start):
        if a.order.part is None:
            told[a.order.work_order_no] = None
            continue
        key = (a.engineer.engineer, a.order.part)
        left = stock.get(key, a.engineer.stock.get(a.order.part, 0))
        told[a.order.work_order_no] = left > 0
        stock[key] = left - 1
    return [
        Assignment(
            a.order, a.engineer, a.slot, a.overdue, told[a.order.work_order_no], a.first_possible, round(a.cost, 2)
        )
        for a in placed
    ]


def _why_not(order: Order, engineers: Sequence[Engineer]) -> str:
    return "no_window" if any(e.can(order) for e in engineers) else "no_engineer"
