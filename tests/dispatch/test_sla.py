"""Service clocks: what is paused does not count, and each level is told once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cloud.desk.dispatch.sla import ClockName, Milestones, Pause, clocks, escalations, paused_within

START = datetime(2026, 6, 1, tzinfo=UTC)
ALLOWED: dict[ClockName, dict[str, float]] = {"contact": {"high": 8.0}, "visit": {"high": 48.0}}


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def test_contact_then_visit() -> None:
    [contact] = clocks("high", Milestones(START, None, None), [], at(6), ALLOWED)
    assert (contact.elapsed, contact.due_at, contact.level) == (timedelta(hours=6), at(8), "warning")
    contact, visit = clocks("high", Milestones(START, at(7), None), [], at(31), ALLOWED)
    assert (contact.stopped, contact.elapsed) == (True, timedelta(hours=7))
    assert (visit.elapsed, visit.due_at) == (timedelta(hours=24), at(55))
    _, done = clocks("high", Milestones(START, at(7), at(20)), [], at(500), ALLOWED)
    assert (done.stopped, done.elapsed, done.due_at) == (True, timedelta(hours=13), None)


def test_a_pause_moves_the_end() -> None:
    pauses: list[Pause] = [(at(1), at(3)), (at(2), at(5))]
    [clock] = clocks("high", Milestones(START, None, None), pauses, at(6), ALLOWED)
    assert (clock.elapsed, clock.due_at, clock.paused) == (timedelta(hours=2), at(12), False)
    [clock] = clocks("high", Milestones(START, None, None), [(at(7), None)], at(100), ALLOWED)
    assert (clock.elapsed, clock.paused, clock.due_at) == (timedelta(hours=7), True, None)
    assert escalations(clock, frozenset()) == [], "a paused clock tells nothing new"


def test_each_level_is_told_once() -> None:
    [clock] = clocks("high", Milestones(START, None, None), [], at(13), ALLOWED)
    assert escalations(clock, frozenset()) == ["warning", "breach", "critical"]
    assert escalations(clock, frozenset({"warning"})) == ["breach", "critical"]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.one_of(st.none(), st.integers(1, 30))), max_size=6),
    st.integers(0, 60),
    st.integers(0, 60),
)
def test_paused_time_is_counted_once_whatever_overlaps(
    rows: list[tuple[int, int | None]], start: int, length: int
) -> None:
    pauses: list[Pause] = [(at(begin), None if n is None else at(begin + n)) for begin, n in rows]
    end = start + length
    hours = {h for h in range(start, end) for begin, n in rows if begin <= h and (n is None or h < begin + n)}
    assert paused_within(pauses, at(start), at(end)) == timedelta(hours=len(hours))
