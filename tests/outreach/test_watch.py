"""The watch after self-help: it closes on physics alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cloud.desk.outreach.watch import Look, Watch, WatchRules, look

BEGAN = datetime(2026, 5, 1, tzinfo=UTC)
RULES = WatchRules(settle=timedelta(hours=24), patience=timedelta(hours=72), relapse=timedelta(days=14))


def after(hours: float) -> datetime:
    return BEGAN + timedelta(hours=hours)


def seen(
    at: float, *, stands: bool = False, normal: bool = True, since: float | None = 0, heard: float | None = None
) -> Look:
    return Look(
        after(at),
        stands,
        normal,
        None if since is None or stands else after(since),
        after(at if heard is None else heard),
    )


def test_it_heals_when_all_was_normal_for_long_enough() -> None:
    watch = look(Watch(BEGAN), seen(1), RULES)
    assert watch.state == "settling"
    watch = look(watch, seen(10, stands=True), RULES)
    assert watch.state == "waiting"
    watch = look(watch, seen(30, since=12), RULES)
    assert watch.state == "settling", "the count begins anew"
    assert look(watch, seen(36, since=12), RULES).state == "healed"


def test_silence_is_not_health() -> None:
    watch = look(Watch(BEGAN), seen(50, heard=2), RULES)
    assert watch.state == "settling"
    assert look(watch, seen(97, heard=2), RULES).state == "came_back"


def test_what_did_not_help_in_time_goes_on() -> None:
    assert look(Watch(BEGAN), seen(71, stands=True), RULES).state == "waiting"
    assert look(Watch(BEGAN), seen(72, stands=True), RULES).state == "came_back"
    assert look(Watch(BEGAN), seen(72, normal=False), RULES).state == "came_back"


def test_a_fault_that_comes_back_after_healing_is_a_relapse() -> None:
    healed = look(Watch(BEGAN), seen(24), RULES)
    assert healed.state == "healed"
    again = Look(after(100), True, True, None, after(100), raised_at=after(99))
    assert look(healed, again, RULES).state == "relapsed"
    assert look(healed, Look(after(900), True, True, None, after(900), raised_at=after(900)), RULES) == healed
    assert look(healed, Look(after(100), False, True, None, after(100), raised_at=after(-5)), RULES) == healed


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans(), st.booleans(), st.integers(0, 40)), max_size=30))
def test_healed_means_normal_and_heard_for_the_whole_time(looks: list[tuple[int, bool, bool, int]]) -> None:
    watch, at, normal_since = Watch(BEGAN), 0.0, 0.0
    for step, stands, odd, silent in looks:
        at += step
        if stands or odd:
            normal_since = at
        before = watch
        heard = max(0.0, at - silent)
        now = seen(at, stands=stands, normal=not odd, since=normal_since, heard=heard)
        watch = look(watch, now, RULES)
        if before.state in ("came_back", "relapsed"):
            assert watch == before
        if watch.state == "healed" and before.state != "healed":
            assert not stands
            assert not odd
            assert heard - normal_since >= 24
