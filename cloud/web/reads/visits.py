"""An engineer's day."""

from __future__ import annotations

from datetime import datetime

from cloud.db.pool import Pool
from cloud.web.reads.faults import Severity, Texts
from cloud.web.reads.rows import Shape, many, one
from cloud.web.reads.tickets import Outcome


class Engineer(Shape):
    """Somebody who visits."""

    engineer: str
    name: str
    time_zone: str


class Visit(Shape):
    """One visit, with what is needed at the door and without a contact."""

    work_order_no: int
    ticket_no: int
    state: str
    starts_at: datetime
    ends_at: datetime
    overtime: bool
    device: str
    user_id: str
    problem: str
    severity: Severity
    safety: str
    likely_part: str | None
    model: str
    model_name: str
    family: str
    gtin: str
    serial: str
    region: str | None
    fails_by: datetime | None
    finding_no: int | None
    meaning: Texts | None
    likely_parts: list[str] | None
    outcome: Outcome | None
    locale: str
    in_van: int | None
    part_name: Texts | None


class WorkOrder(Shape):
    """Whose visit it is."""

    work_order_no: int
    ticket_no: int
    user_id: str
    engineer: str | None


async def engineers(pool: Pool) -> list[Engineer]:
    """Those who visit, by name."""
    return await many(pool, Engineer, "engineers")


async def day(pool: Pool, engineer: str, start: datetime, end: datetime) -> list[Visit]:
    """The visits that begin within a span, in their order."""
    return await many(pool, Visit, "day_visits", {"engineer": engineer, "start": start, "end": end})


async def work_order(pool: Pool, work_order_no: int) -> WorkOrder | None:
    """One work order."""
    return await one(pool, WorkOrder, "work_order", {"work_order_no": work_order_no})
