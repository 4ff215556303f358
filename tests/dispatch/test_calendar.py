"""Windows from working hours, days off, visits; and the share that customers may choose from."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from cloud.desk.dispatch.calendar import Horizon, Span, WorkingHours, choosable, free_slots

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
TWO_HOURS = timedelta(hours=2)


def horizon(start: datetime = MONDAY, days: float = 7, overtime: int = 0) -> Horizon:
    return Horizon(start, start + timedelta(days=days), TWO_HOURS, overtime)


def hours_of(slots: object) -> list[tuple[int, int]]:
    return [(s.start.day, s.start.hour) for s in slots]  # type: ignore[attr-defined]


def test_windows_fill_working_hours_and_nothing_else() -> None:
    hours = [WorkingHours(1, time(8), time(13)), WorkingHours(3, time(14), time(18))]
    assert hours_of(free_slots("li", UTC_ZONE, hours, [], horizon())) == [(1, 8), (1, 10), (3, 14), (3, 16)]


def test_absences_and_visits_take_their_windows() -> None:
    hours = [WorkingHours(day, time(8), time(12)) for day in (1, 2, 3)]
    taken = [
        Span(MONDAY + timedelta(hours=9), MONDAY + timedelta(hours=10)),
        Span(MONDAY + timedelta(days=1, hours=12), None),
    ]
    assert hours_of(free_slots("li", UTC_ZONE, hours, taken, horizon())) == [(1, 10), (2, 8), (2, 10)]


def test_overtime_follows_the_last_hour_of_a_working_day() -> None:
    hours = [WorkingHours(1, time(8), time(10)), WorkingHours(1, time(12), time(15))]
    found = free_slots("li", UTC_ZONE, hours, [], horizon(overtime=1))
    assert [(s.start.hour, s.overtime) for s in found] == [(8, False), (12, False), (15, True)]


def test_a_day_is_the_engineers_own_also_when_clocks_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    hours = [WorkingHours(day, time(8), time(10)) for day in range(1, 8)]
    start = datetime(2026, 3, 28, tzinfo=UTC)
    assert hours_of(free_slots("li", berlin, hours, [], horizon(start, days=2))) == [(28, 7), (29, 6)]


@given(st.integers(1, 50), st.integers(0, 50), st.floats(0, 0.999))
def test_choosers_never_have_the_whole_day(slots: int, chosen: int, share: float) -> None:
    left = choosable(slots, chosen, share)
    assert left >= 0
    assert left + chosen < slots or left == 0
    assert choosable(slots, 0, share) < slots
