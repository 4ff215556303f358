"""Pure: the windows in which an engineer could go, from working hours, days off and visits already taken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from math import floor
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` until before `end`, both aware; `end` None: for good."""

    start: datetime
    end: datetime | None

    def overlaps(self, other: Span) -> bool:
        """Whether the two share an instant."""
        return (other.end is None or self.start < other.end) and (self.end is None or other.start < self.end)


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """Working hours of one ISO weekday (Monday 1), local time."""

    weekday: int
    starts: time
    ends: time


@dataclass(frozen=True, slots=True)
class Slot:
    """A window of one engineer."""

    engineer: str
    start: datetime
    end: datetime
    overtime: bool = False

    @property
    def span(self) -> Span:
        """Its time alone."""
        return Span(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Horizon:
    """From when until when windows are looked for, and how long one is."""

    start: datetime
    end: datetime
    window: timedelta
    overtime_windows: int = 0


def free_slots(
    engineer: str, zone: ZoneInfo, hours: Iterable[WorkingHours], taken: Sequence[Span], horizon: Horizon
) -> list[Slot]:
    """Windows within the horizon in which the engineer works and nothing is taken (absences, visits), in order.

    Windows follow each other from the start of a working day; what is left at its end is shorter than one and not used.
    Overtime windows follow the last working hour of a day on which the engineer works.
    """
    found: list[Slot] = []
    day = horizon.start.astimezone(zone).date() - timedelta(days=1)
    by_weekday: dict[int, list[WorkingHours]] = {}
    for row in hours:
        by_weekday.setdefault(row.weekday, []).append(row)
    while datetime.combine(day, time.min, zone) < horizon.end:
        worked = sorted(by_weekday.get(day.isoweekday(), []), key=lambda row: row.starts)
        for place, row in enumerate(worked):
            start = datetime.combine(day, row.starts, zone).astimezone(UTC)
            end = datetime.combine(day, row.ends, zone).astimezone(UTC)
            regular = floor((end - start) / horizon.window)
            extra = horizon.overtime_windows if place == len(worked) - 1 else 0
            for number in range(regular + extra):
                begin = (start if number < regular else end - regular * horizon.window) + number * horizon.window
                found.append(Slot(engineer, begin, begin + horizon.window, overtime=number >= regular))
        day += timedelta(days=1)
    return [
        slot
        for slot in found
        if slot.start >= horizon.start
        and slot.end <= horizon.end
        and not any(slot.span.overlaps(span) for span in taken)
    ]


def choosable(slots_of_the_day: int, already_chosen: int, share: float) -> int:
    """How many more windows of an engineer's day customers may pick by themselves.

    Below a share of 1 at least one window of each working day is left for those who wait: that is what keeps choosers
    from starving the others.
    """
    return max(0, floor(share * slots_of_the_day) - already_chosen)
