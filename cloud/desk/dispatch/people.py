"""Engineers as the database has them: read for a round, written by whoever keeps the staff list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from cloud.db import queries
from cloud.desk.dispatch.assign import Engineer
from cloud.desk.dispatch.calendar import Slot, Span, WorkingHours

Connection = AsyncConnection[Any]
SQL = queries.load("dispatch")


@dataclass(frozen=True, slots=True)
class Staff:
    """An engineer with the calendar."""

    engineer: Engineer
    zone: ZoneInfo
    hours: tuple[WorkingHours, ...]


@dataclass(frozen=True, slots=True)
class StaffRecord:
    """An engineer as given by the staff list. `skills`: by family the problems, None for all of the family."""

    engineer: str
    name: str
    seniority: int
    regions: Sequence[str]
    skills: Mapping[str, Sequence[str] | None]
    hours: Sequence[WorkingHours]
    time_zone: str = "UTC"
    stock: Mapping[str, int] = field(default_factory=dict)
    active: bool = True


async def put_engineer(connection: Connection, record: StaffRecord) -> None:
    """Add an engineer, or change one to what the record says; parts of the van that it does not name stay."""
    async with connection.transaction():
        await connection.execute(
            SQL["put_engineer"],
            {
                "engineer": record.engineer,
                "name": record.name,
                "seniority": record.seniority,
                "regions": list(record.regions),
                "time_zone": record.time_zone,
                "active": record.active,
            },
        )
        await connection.execute(SQL["clear_skills"], {"engineer": record.engineer})
        for family, problems in record.skills.items():
            known = None if problems is None else list(problems)
            await connection.execute(
                SQL["put_skill"], {"engineer": record.engineer, "family": family, "problems": known}
            )
        await connection.execute(SQL["clear_hours"], {"engineer": record.engineer})
        for row in record.hours:
            await connection.execute(
                SQL["put_hours"],
                {"engineer": record.engineer, "weekday": row.weekday, "starts": row.starts, "ends": row.ends},
            )
        for part, quantity in record.stock.items():
            await connection.execute(
                SQL["put_stock"], {"engineer": record.engineer, "part": part, "quantity": quantity}
            )


async def put_absence(connection: Connection, engineer: str, start: datetime, end: datetime, reason: str = "") -> None:
    """A day off, a course, an illness: no window is offered in that time. Visits already booked stay as they are."""
    await connection.execute(SQL["put_absence"], {"engineer": engineer, "start": start, "end": end, "reason": reason})


async def read_staff(connection: Connection) -> list[Staff]:
    """All active engineers."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["engineers"])
        rows = await cursor.fetchall()
    return [_staff(row) for row in rows]


async def read_taken(connection: Connection, start: datetime, end: datetime) -> dict[str, list[Span]]:
    """By engineer: visits held or booked, and absences, that touch the span."""
    cursor = await connection.execute(SQL["taken"], {"start": start, "end": end})
    taken: dict[str, list[Span]] = {}
    for engineer, begin, over in await cursor.fetchall():
        taken.setdefault(engineer, []).append(Span(begin, over))
    return taken


def working_hours(rows: Sequence[Sequence[Any]]) -> tuple[WorkingHours, ...]:
    """Hours as queries give them: [weekday, "08:00:00", "16:00:00"]."""
    return tuple(WorkingHours(day, time.fromisoformat(start), time.fromisoformat(end)) for day, start, end in rows)


def day_of(slot_start: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The engineer's local day that an instant lies in."""
    local = slot_start.astimezone(zone).date()
    start = datetime.combine(local, time.min, zone)
    return start, datetime.combine(local, time.max, zone)


def _staff(row: dict[str, Any]) -> Staff:
    skills = {family: None if p is None else frozenset(p) for family, p in row["skills"].items()}
    engineer = Engineer(row["engineer"], row["name"], row["seniority"], frozenset(row["regions"]), skills, row["stock"])
    return Staff(engineer, ZoneInfo(row["time_zone"]), working_hours(row["hours"]))


__all__ = [
    "SQL",
    "Connection",
    "Slot",
    "Staff",
    "StaffRecord",
    "day_of",
    "put_absence",
    "put_engineer",
    "read_staff",
    "read_taken",
    "working_hours",
]
