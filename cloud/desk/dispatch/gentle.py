"""Gentle running until the visit, where that comes later than the predicted failure.

A wish is a row of `gentle_run`; the command to the device follows from it in the same transaction, and so does the one
that ends it (repeatable/dispatch.sql).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from psycopg.types.json import Jsonb

from cloud.desk.dispatch.explain import why_gently
from cloud.desk.dispatch.people import SQL, Connection


@dataclass(frozen=True, slots=True)
class PlannedVisit:
    """A visit that has a time, proposed or booked; `zone` is the customer's."""

    work_order_no: int
    device_no: int
    fails_by: datetime | None
    starts_at: datetime
    ends_at: datetime
    zone: ZoneInfo


async def spare_until(connection: Connection, visit: PlannedVisit) -> None:
    """Ask the device to run gently until the visit is over if it would come too late, else take such a wish back."""
    if visit.fails_by is None:
        return
    if visit.starts_at <= visit.fails_by:
        await connection.execute(SQL["end_gentle_run"], {"work_order_no": visit.work_order_no})
        return
    await connection.execute(
        SQL["ask_to_run_gently"],
        {
            "work_order_no": visit.work_order_no,
            "device_no": visit.device_no,
            "until": visit.ends_at,
            "reason": Jsonb(why_gently(visit.starts_at, visit.fails_by, visit.zone)),
        },
    )
