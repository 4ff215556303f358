"""The staff list as a TOML file: who can go where, for what, when, and with which parts. See docs/dispatch.md."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from datetime import time
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from psycopg import errors
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cloud.desk.dispatch.calendar import WorkingHours
from cloud.desk.dispatch.people import Connection, StaffRecord, put_engineer

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([a-z]{3})(?:-([a-z]{3}))? (\d\d:\d\d)-(\d\d:\d\d)")


class BadStaffFile(Exception):
    """The file says something that cannot be so; nothing of it was taken. The text names every mistake."""


class StaffEntry(BaseModel):
    """One [[engineer]] of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engineer: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@-]{1,64}$")]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    seniority: Annotated[int, Field(ge=1, le=5)]
    regions: Annotated[list[str], Field(min_length=1)]
    skills: Annotated[dict[str, Literal["all"] | list[str]], Field(min_length=1)]
    hours: list[str]
    time_zone: str = "UTC"
    stock: dict[str, Annotated[int, Field(ge=0)]] = {}
    active: bool = True

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("expected a time zone such as Europe/Berlin") from None
        return name

    @field_validator("hours")
    @classmethod
    def _readable_hours(cls, rows: list[str]) -> list[str]:
        for row in rows:
            list(read_hours(row))
        return rows

    @property
    def record(self) -> StaffRecord:
        """The entry as dispatch takes it."""
        return StaffRecord(
            engineer=self.engineer,
            name=self.name,
            seniority=self.seniority,
            regions=self.regions,
            skills={family: None if known == "all" else known for family, known in self.skills.items()},
            hours=[day for row in self.hours for day in read_hours(row)],
            time_zone=self.time_zone,
            stock=self.stock,
            active=self.active,
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    engineer: list[StaffEntry]


def read_hours(text: str) -> Iterator[WorkingHours]:
    """`mon-fri 08:00-16:00` or `sat 09:00-12:00`, a row a day. ValueError: it says nothing of the kind."""
    match = _HOURS.fullmatch(text)
    if match is None or match[1] not in DAYS or (match[2] or match[1]) not in DAYS:
        raise ValueError(f"{text!r}: expected hours such as mon-fri 08:00-16:00")
    first, last = DAYS.index(match[1]), DAYS.index(match[2] or match[1])
    starts, ends = time.fromisoformat(match[3]), time.fromisoformat(match[4])
    if first > last or starts >= ends:
        raise ValueError(f"{text!r}: ends before it begins")
    for day in range(first, last + 1):
        yield WorkingHours(day + 1, starts, ends)


def read_staff_file(path: Path) -> list[StaffRecord]:
    """The engineers of a file. BadStaffFile: see there. OSError: it cannot be read."""
    try:
        entries = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).engineer
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadStaffFile(f"{path.name}: {error}") from None
    except ValidationError as error:
        wrong = [f"{path.name}, {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise BadStaffFile("\n".join(wrong)) from None
    names = [entry.engineer for entry in entries]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BadStaffFile(f"{path.name}: {', '.join(sorted(twice))} stands in it more than once")
    return [entry.record for entry in entries]


async def put_staff(connection: Connection, records: list[StaffRecord]) -> None:
    """Write engineers, all or none. BadStaffFile: one knows a family or carries a part that the catalogue lacks."""
    async with connection.transaction():
        for record in records:
            try:
                await put_engineer(connection, record)
            except errors.ForeignKeyViolation as error:
                missing = re.search(r"\((.*?)\)=\((.*?)\)", error.diag.message_detail or "")
                what = f"{missing[1]} {missing[2]}" if missing else str(error)
                raise BadStaffFile(f"{record.engineer}: the catalogue has no {what}; import it first") from None
