"""Assignment: who can, goes; what it costs, decides; and nobody waits for ever."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from math import inf

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.desk.dispatch.assign import Engineer, Order, Prices, Rules, assign, cost_matrix
from cloud.desk.dispatch.calendar import Slot, choosable

NOW = datetime(2026, 6, 1, 6, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def engineer(name: str = "li", seniority: int = 3, **changes: object) -> Engineer:
    given = {"regions": frozenset({"north"}), "skills": {"washer": None}, "stock": {}} | changes
    return Engineer(name, name.title(), seniority, **given)  # type: ignore[arg-type]


def order(number: int, **changes: object) -> Order:
    given = {"family": "washer", "problem": "5E", "region": "north", "severity": "medium", "waiting_since": NOW}
    return Order(number, **given | changes)  # type: ignore[arg-type]


def slots(name: str, *hours: float, overtime: bool = False) -> list[Slot]:
    return [Slot(name, NOW + h * HOUR, NOW + (h + 2) * HOUR, overtime) for h in hours]


def placed(*arguments: object, **options: object) -> dict[int, tuple[str, float]]:
    plan = assign(*arguments, NOW, **options)  # type: ignore[arg-type]
    return {a.order.work_order_no: (a.engineer.engineer, (a.slot.start - NOW) / HOUR) for a in plan.assignments}


def test_skill_and_region_are_not_negotiable() -> None:
    staff = [
        engineer("far", regions=frozenset({"south"})),
        engineer("fridges", skills={"fridge": None}),
        engineer("pumps", skills={"washer": frozenset({"5E"})}),
    ]
    free = [*slots("far", 2), *slots("fridges", 2), *slots("pumps", 20)]
    assert placed([order(1)], staff, free) == {1: ("pumps", 20)}
    plan = assign([order(1, problem="HE"), order(2)], staff, slots("far", 2), NOW)
    assert dict(plan.unplaced) == {1: "no_engineer", 2: "no_window"}


def test_the_part_in_the_van_is_worth_a_few_days_and_no_more() -> None:
    staff = [engineer("with", stock={"pump": 1}), engineer("without")]
    soon = [*slots("without", 2), *slots("with", 26)]
    late = [*slots("without", 2), *slots("with", 26 + 24 * 14)]
    assert placed([order(1, part="pump")], staff, soon) == {1: ("with", 26)}
    assert placed([order(1, part="pump")], staff, late) == {1: ("without", 2)}


def test_one_part_is_promised_once() -> None:
    plan = assign([order(1, part="pump"), order(2, part="pump")], [engineer(stock={"pump": 1})], slots("li", 2, 4), NOW)
    by_time = sorted(plan.assignments, key=lambda a: a.slot.start)
    assert [a.part_in_van for a in by_time] == [True, False]


def test_the_experienced_go_where_they_are_owed() -> None:
    staff = [engineer("old", seniority=5), engineer("new", seniority=2)]
    free = [*slots("old", 2), *slots("new", 2)]
    assert placed([order(1), order(2, experienced=True)], staff, free) == {1: ("new", 2), 2: ("old", 2)}


def test_overtime_is_for_those_whom_it_spares_a_failure() -> None:
    free = [*slots("li", 12, overtime=True), *slots("li", 26)]
    assert placed([order(1)], [engineer()], free) == {1: ("li", 26)}
    in_time = order(1, severity="high", fails_by=NOW + 20 * HOUR)
    assert placed([in_time], [engineer()], free) == {1: ("li", 12)}
    too_late_anyway = order(1, severity="high", fails_by=NOW + 6 * HOUR)
    assert placed([too_late_anyway], [engineer()], free) == {1: ("li", 26)}


def test_nobody_comes_before_the_customer_wants() -> None:
    assert placed([order(1, not_before=NOW + 5 * HOUR)], [engineer()], slots("li", 2, 6)) == {1: ("li", 6)}


def test_an_overdue_order_goes_before_a_costlier_one() -> None:
    urgent = order(1, severity="critical", experienced=True)
    old = order(2, severity="low", waiting_since=NOW - 4 * DAY)
    assert placed([urgent, old], [engineer()], slots("li", 2)) == {2: ("li", 2)}
    assert placed([urgent, replace(old, waiting_since=NOW)], [engineer()], slots("li", 2)) == {1: ("li", 2)}


def test_room_is_made_for_the_overdue_by_moving_others() -> None:
    staff = [engineer("any", skills={"washer": None, "fridge": None}), engineer("washers")]
    old_washer = order(1, waiting_since=NOW - 5 * DAY)
    old_fridge = order(2, family="fridge", waiting_since=NOW - 4 * DAY)
    free = [*slots("any", 2), *slots("washers", 30)]
    assert placed([old_washer, old_fridge], staff, free) == {1: ("washers", 30), 2: ("any", 2)}


severities = st.sampled_from(["low", "medium", "high", "critical"])


@st.composite
def grounds(draw: st.DrawFn) -> tuple[list[Order], list[Engineer], list[Slot]]:
    staff = [
        engineer(
            f"e{n}",
            draw(st.integers(1, 5)),
            skills=dict.fromkeys(draw(st.frozensets(st.sampled_from(["washer", "fridge"])))),
            stock={"pump": draw(st.integers(0, 2))},
        )
        for n in range(draw(st.integers(1, 3)))
    ]
    free = [s for e in staff for s in slots(e.engineer, *draw(st.sets(st.sampled_from([2, 4, 26, 28]), max_size=3)))]
    orders = [
        order(
            n,
            family=draw(st.sampled_from(["washer", "fridge"])),
            severity=draw(severities),
            waiting_since=NOW - draw(st.integers(0, 6)) * DAY,
            experienced=draw(st.booleans()),
            part=draw(st.sampled_from([None, "pump"])),
            fails_by=draw(st.sampled_from([None, NOW + 10 * HOUR])),
        )
        for n in range(draw(st.integers(0, 4)))
    ]
    return orders, staff, free


@given(grounds())
def test_a_plan_is_possible_complete_and_of_least_cost(
    ground: tuple[list[Order], list[Engineer], list[Slot]],
) -> None:
    orders, staff, free = ground
    plan = assign(orders, staff, free, NOW)
    taken = [(a.slot.engineer, a.slot.start) for a in plan.assignments]
    assert len(set(taken)) == len(taken)
    assert {a.order.work_order_no for a in plan.assignments} | set(plan.unplaced) == {o.work_order_no for o in orders}
    for a in plan.assignments:
        assert a.engineer.can(a.order)
    if not orders or not free:
        return
    costs = cost_matrix(orders, {e.engineer: e for e in staff}, free, NOW, Prices())
    placed_now = {a.order.work_order_no for a in plan.assignments}
    best = _best_by_trying_all(costs, [n for n, o in enumerate(orders) if o.work_order_no in placed_now])
    assert abs(sum(a.cost for a in plan.assignments) - best) < 0.05
    assert len(placed_now) == _most_that_fit(costs)


def _best_by_trying_all(costs: np.ndarray[tuple[int, int], np.dtype[np.float64]], rows: list[int]) -> float:
    columns = range(costs.shape[1])
    return min(
        (sum(costs[r, c] for r, c in zip(rows, p, strict=True)) for p in permutations(columns, len(rows))), default=inf
    )


def _most_that_fit(costs: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> int:
    from itertools import combinations

    rows = range(costs.shape[0])
    for size in range(min(costs.shape), 0, -1):
        if any(_best_by_trying_all(costs, list(chosen)) < inf for chosen in combinations(rows, size)):
            return size
    return 0


@given(grounds())
def test_the_overdue_are_placed_oldest_first_as_far_as_they_fit(
    ground: tuple[list[Order], list[Engineer], list[Slot]],
) -> None:
    orders, staff, free = ground
    if not orders or not free:
        return
    costs = cost_matrix(orders, {e.engineer: e for e in staff}, free, NOW, Prices())
    by_age = sorted(range(len(orders)), key=lambda n: (orders[n].waiting_since, orders[n].work_order_no))
    expected: list[int] = []
    for n in by_age:
        if NOW - orders[n].waiting_since >= 3 * DAY and _best_by_trying_all(costs, [*expected, n]) < inf:
            expected.append(n)
    got = {a.order.work_order_no for a in assign(orders, staff, free, NOW).assignments if a.overdue}
    assert {orders[n].work_order_no for n in expected} <= got


@settings(max_examples=150)
@given(st.data())
def test_nobody_is_starved_by_a_high_tier_that_keeps_coming(data: st.DataObject) -> None:
    """A day a round. Each day any number of urgent orders that want the experienced arrive, and choosers pick as many
    windows as they may. An ordinary order that became overdue with r older ones overdue is placed within r rounds more.
    """
    share = data.draw(st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.99]), label="share of choosers")
    per_day = data.draw(st.integers(1, 4), label="windows a day")
    rules = Rules(overdue_after=2 * DAY)
    staff = [engineer("li", seniority=5)]
    waiting: dict[int, Order] = {}
    bound: dict[int, int] = {}  # by overdue order: the last round in which it may still wait
    number = 0
    for day in range(data.draw(st.integers(4, 14), label="days")):
        now = NOW + day * DAY
        for _ in range(data.draw(st.integers(0, 4), label="high tier")):
            number += 1
            waiting[number] = order(number, severity="critical", experienced=True, failed=True, waiting_since=now)
        for _ in range(data.draw(st.integers(0, 2), label="ordinary")):
            number += 1
            waiting[number] = order(number, severity="low", waiting_since=now)
        free = [Slot("li", now + n * HOUR, now + (n + 1) * HOUR) for n in range(per_day)]
        free = free[choosable(per_day, 0, share) :]
        assert free, "choosers never have a whole day"
        overdue = sorted(
            (o for o in waiting.values() if now - o.waiting_since >= rules.overdue_after),
            key=lambda o: (o.waiting_since, o.work_order_no),
        )
        for older, one in enumerate(overdue):
            bound.setdefault(one.work_order_no, day + older)
        for a in assign(list(waiting.values()), staff, free, now, rules=rules).assignments:
            del waiting[a.order.work_order_no]
        late = [n for n in waiting if n in bound and day >= bound[n]]
        assert late == []
