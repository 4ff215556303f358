"""A round of dispatch: who needs a visit, what is free, the assignment, and the windows that customers are offered.

Under an advisory lock: two programs never plan at the same time, and a crash leaves nothing half done. What it writes
is found again by the next round, so that holding it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from cloud.desk.dispatch.assign import Assignment, Order, assign
from cloud.desk.dispatch.calendar import Horizon
from cloud.desk.dispatch.explain import Names
from cloud.desk.dispatch.gentle import PlannedVisit, spare_until
from cloud.desk.dispatch.people import SQL, Connection, read_staff, read_taken
from cloud.desk.dispatch.proposals import Ground, Proposal, Waiting, held, offered, survey
from cloud.desk.dispatch.settings import DispatchSettings

log = structlog.get_logger(__name__)

_ORDER_FIELDS = tuple(column.name for column in fields(Order))


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What a round did: the work orders that a window is kept for, and why others got none."""

    proposed: frozenset[int]
    unplaced: dict[int, str]


NOTHING = RoundResult(frozenset(), {})


async def hold_round(connection: Connection, settings: DispatchSettings, *, only_if_new: bool = False) -> RoundResult:
    """Plan for all who wait; returns what was proposed. Safe to call at any time, by any program.

    `only_if_new`: plan only if a ticket needs a visit that none was planned for yet; cheap where there is none.
    """
    async with connection.transaction():
        await connection.execute(SQL["lock_round"])
        new = await connection.execute(SQL["need_visits"], {"repeated": settings.repeated_complaints})
        if only_if_new and new.rowcount == 0:
            return NOTHING
    async with connection.transaction():
        await connection.execute(SQL["lock_round"])
        await connection.execute(SQL["end_holds"])
        waiting = await _read_waiting(connection)
        if not waiting:
            return NOTHING
        ground = await _read_ground(connection, settings)
        patient = [w.order for w in waiting if w.holds_before < settings.holds_at_most]
        engineers = [member.engineer for member in ground.staff.values()]
        plan = assign(patient, engineers, ground.free, ground.now, rules=settings.rules)
        by_number = {w.order.work_order_no: w for w in waiting}
        proposals = held(plan.assignments, by_number, ground.now) + offered(
            waiting,
            plan.assignments,
            ground,
            choices=settings.choices,
            experienced=settings.choices_experienced,
        )
        await _write(connection, proposals, ground.now + timedelta(hours=settings.hold_hours))
        for assignment in plan.assignments:
            await spare_until(connection, _planned(assignment, by_number[assignment.order.work_order_no]))
    proposed = frozenset(a.order.work_order_no for a in plan.assignments)
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


def _planned(a: Assignment, waiting: Waiting) -> PlannedVisit:
    return PlannedVisit(
        a.order.work_order_no, waiting.device_no, a.order.fails_by, a.slot.start, a.slot.end, waiting.names.zone
    )


async def _read_ground(connection: Connection, settings: DispatchSettings) -> Ground:
    row = await (await connection.execute(SQL["now"])).fetchone()
    now: datetime = row[0] if row else datetime.now(UTC)
    horizon = Horizon(
        now + timedelta(minutes=settings.notice_minutes),
        now + timedelta(days=settings.horizon_days),
        timedelta(minutes=settings.window_minutes),
        settings.overtime_windows,
    )
    yesterday = now - timedelta(days=1)
    cursor = await connection.execute(SQL["chosen"], {"start": yesterday, "end": horizon.end})
    return survey(
        now,
        await read_staff(connection),
        await read_taken(connection, yesterday, horizon.end),
        [(engineer, start) for engineer, start in await cursor.fetchall()],
        horizon=horizon,
        share=settings.chooser_share,
    )


async def _write(connection: Connection, proposals: Sequence[Proposal], hold_until: datetime) -> None:
    rows = [
        {
            "work_order_no": p.order.work_order_no,
            "engineer": p.slot.engineer,
            "start": p.slot.start,
            "end": p.slot.end,
            "state": p.state,
            "overtime": p.slot.overtime,
            "hold_until": hold_until,
            "explanation": Jsonb(p.sentence),
        }
        for p in proposals
    ]
    async with connection.cursor() as cursor:
        await cursor.executemany(SQL["propose"], rows)
        await cursor.execute(SQL["mark_offered"], {"orders": [p.order.work_order_no for p in proposals]})
