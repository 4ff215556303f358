"""A round of dispatch: who needs a visit, what is free, the assignment, and the windows that customers are offered.

Under an advisory lock: two programs never plan at the same time, and a crash leaves nothing half done. What it writes
is found again by the next round, so that holding it again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from cloud.desk.dispatch.assign import Assignment, Engineer, Order, Prices, assign, cost_matrix
from cloud.desk.dispatch.calendar import Horizon, Slot, choosable, free_slots
from cloud.desk.dispatch.explain import Names, explain, why_gently
from cloud.desk.dispatch.people import SQL, Connection, Staff, day_of, read_staff, read_taken
from cloud.desk.dispatch.settings import DispatchSettings

log = structlog.get_logger(__name__)

_ORDER_FIELDS = tuple(column.name for column in fields(Order))


@dataclass(frozen=True, slots=True)
class Waiting:
    """An order with what only the shell needs of it."""

    order: Order
    names: Names
    device_no: int
    holds_before: int


@dataclass(frozen=True, slots=True)
class Ground:
    """What a round plans on."""

    now: datetime
    staff: dict[str, Staff]
    free: list[Slot]
    quota: dict[tuple[str, datetime], int]  # by engineer and start of the local day: windows left to choosers


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What a round did: proposals by work order, and why the others got none."""

    proposed: dict[int, int]
    unplaced: dict[int, str]


async def hold_round(connection: Connection, settings: DispatchSettings, *, only_if_new: bool = False) -> RoundResult:
    """Plan for all who wait; returns what was proposed. Safe to call at any time, by any program.

    `only_if_new`: plan only if a ticket needs a visit that none was planned for yet; cheap where there is none.
    """
    async with connection.transaction():
        await connection.execute(SQL["lock_round"])
        new = await connection.execute(SQL["need_visits"], {"repeated": settings.repeated_complaints})
        if only_if_new and new.rowcount == 0:
            return RoundResult({}, {})
    async with connection.transaction():
        await connection.execute(SQL["lock_round"])
        await connection.execute(SQL["end_holds"])
        waiting = await _read_waiting(connection)
        if not waiting:
            return RoundResult({}, {})
        ground = await _survey(connection, settings)
        patient = [w for w in waiting if w.holds_before < settings.holds_at_most]
        engineers = [member.engineer for member in ground.staff.values()]
        plan = assign([w.order for w in patient], engineers, ground.free, ground.now, rules=settings.rules)
        by_number = {w.order.work_order_no: w for w in waiting}
        proposed = {}
        for assignment in plan.assignments:
            number = assignment.order.work_order_no
            proposed[number] = await _propose(connection, assignment, by_number[number], ground, settings)
        await _offer_choices(connection, waiting, plan.assignments, ground, settings)
    if proposed:
        log.info("round_held", proposed=len(proposed), unplaced=dict(plan.unplaced))
    return RoundResult(proposed, dict(plan.unplaced))


async def _read_waiting(connection: Connection) -> list[Waiting]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["waiting_orders"])
        rows = await cursor.fetchall()
    return [_waiting(row) for row in rows]


def _waiting(row: dict[str, Any]) -> Waiting:
    order = Order(**{name: row[name] for name in _ORDER_FIELDS})
    names = Names(row["family_name"], row["part_name"], ZoneInfo(row["time_zone"]))
    return Waiting(order, names, row["device_no"], row["holds_before"])


async def _survey(connection: Connection, settings: DispatchSettings) -> Ground:
    """Engineers, their free windows within the horizon, and how many of a day may still be chosen."""
    row = await (await connection.execute(SQL["now"])).fetchone()
    now: datetime = row[0] if row else datetime.now(UTC)
    horizon = Horizon(
        now + timedelta(minutes=settings.notice_minutes),
        now + timedelta(days=settings.horizon_days),
        timedelta(minutes=settings.window_minutes),
        settings.overtime_windows,
    )
    taken = await read_taken(connection, now - timedelta(days=1), horizon.end)
    staff = {member.engineer.engineer: member for member in await read_staff(connection)}
    cursor = await connection.execute(SQL["chosen"], {"start": now - timedelta(days=1), "end": horizon.end})
    chosen = [(engineer, start) for engineer, start in await cursor.fetchall()]
    free: list[Slot] = []
    quota: dict[tuple[str, datetime], int] = {}
    for name, member in staff.items():
        free += free_slots(name, member.zone, member.hours, taken.get(name, []), horizon)
        whole = free_slots(name, member.zone, member.hours, (), horizon)
        for day in {day_of(slot.start, member.zone)[0] for slot in whole}:
            of_day = sum(1 for s in whole if not s.overtime and day_of(s.start, member.zone)[0] == day)
            picked = sum(1 for who, at in chosen if who == name and day_of(at, member.zone)[0] == day)
            quota[name, day] = choosable(of_day, picked, settings.chooser_share)
    return Ground(now, staff, sorted(free, key=lambda s: (s.start, s.engineer)), quota)


async def _propose(
    connection: Connection, a: Assignment, waiting: Waiting, ground: Ground, settings: DispatchSettings
) -> int:
    """Keep the assigned window for the customer; where it comes too late, ask to run gently until then."""
    sentence = explain(a, waiting.names, ground.now)
    slot_no = await _put_slot(
        connection, a.order, a.slot, state="held", hold_until=_hold_until(ground, settings), sentence=sentence
    )
    await connection.execute(SQL["set_order_state"], {"work_order_no": a.order.work_order_no, "state": "offered"})
    if a.order.fails_by is not None and a.slot.start > a.order.fails_by:
        reason = why_gently(a, waiting.names)
        await connection.execute(
            SQL["ask_to_run_gently"],
            {
                "work_order_no": a.order.work_order_no,
                "device_no": waiting.device_no,
                "until": a.slot.end,
                "reason": Jsonb(reason),
            },
        )
    return slot_no


async def _offer_choices(
    connection: Connection,
    waiting: list[Waiting],
    placed: tuple[Assignment, ...],
    ground: Ground,
    settings: DispatchSettings,
) -> None:
    """Other windows, first come first served, out of what choosers may have of each engineer's day."""
    taken = {(a.slot.engineer, a.slot.start) for a in placed}
    open_to_choice = [
        slot
        for slot in ground.free
        if (slot.engineer, slot.start) not in taken
        and not slot.overtime
        and ground.quota.get((slot.engineer, _day(slot, ground)), 0) > 0
    ]
    if not open_to_choice:
        return
    engineers = {name: member.engineer for name, member in ground.staff.items()}
    orders = [w.order for w in waiting]
    costs = cost_matrix(orders, engineers, open_to_choice, ground.now, Prices())
    got = {a.order.work_order_no: a.slot.start for a in placed}
    for row, w in enumerate(waiting):
        wanted = settings.choices_experienced if w.order.experienced else settings.choices
        starts = {got[w.order.work_order_no]} if w.order.work_order_no in got else set()
        for column in costs[row].argsort(kind="stable"):
            slot = open_to_choice[int(column)]
            if len(starts) >= wanted or costs[row, column] == float("inf"):
                break
            if slot.start in starts:
                continue
            starts.add(slot.start)
            choice = Assignment(
                w.order, engineers[slot.engineer], slot, False, _part_in_van(w.order, engineers[slot.engineer]),
                slot.start, float(costs[row, column]),
            )  # fmt: skip
            sentence = explain(choice, w.names, ground.now)
            await _put_slot(
                connection, w.order, slot, state="offered", hold_until=_hold_until(ground, settings), sentence=sentence
            )
            await connection.execute(
                SQL["set_order_state"], {"work_order_no": w.order.work_order_no, "state": "offered"}
            )


async def _put_slot(
    connection: Connection,
    order: Order,
    slot: Slot,
    *,
    state: str,
    hold_until: datetime,
    sentence: dict[str, str],
) -> int:
    cursor = await connection.execute(
        SQL["propose"],
        {
            "work_order_no": order.work_order_no,
            "engineer": slot.engineer,
            "start": slot.start,
            "end": slot.end,
            "state": state,
            "overtime": slot.overtime,
            "hold_until": hold_until,
            "explanation": Jsonb(sentence),
        },
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


def _hold_until(ground: Ground, settings: DispatchSettings) -> datetime:
    return ground.now + timedelta(hours=settings.hold_hours)


def _part_in_van(order: Order, engineer: Engineer) -> bool | None:
    return None if order.part is None else engineer.stock.get(order.part, 0) > 0


def _day(slot: Slot, ground: Ground) -> datetime:
    return day_of(slot.start, ground.staff[slot.engineer].zone)[0]
