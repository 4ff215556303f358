"""The alarm machine by its event table: score in, transition out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloud.detection.alarms import AlarmMachine, AlarmSettings, Change

SETTINGS = AlarmSettings(on_delay=10, off_delay=20, chatter_count=3, chatter_window=1000, silence=100)


def changes(
    machine: AlarmMachine, steps: list[tuple[float, float]], *, called_for: bool = True
) -> list[tuple[float, str]]:
    return [(t.at, t.change.value) for at, score in steps for t in machine.step("d", "E1", at, score, called_for)]


def test_raised_after_the_on_delay_and_cleared_after_the_off_delay() -> None:
    machine = AlarmMachine(SETTINGS)
    steps = [(0, 0.9), (5, 0.9), (10, 0.9), (15, 0.1), (34, 0.1), (35, 0.1)]
    assert changes(machine, steps) == [(10, "raised"), (35, "cleared")]


def test_a_dip_before_the_on_delay_starts_it_again() -> None:
    assert changes(AlarmMachine(SETTINGS), [(0, 0.9), (9, 0.4), (10, 0.9), (19, 0.9), (20, 0.9)]) == [(20, "raised")]


def test_between_the_two_scores_an_alarm_stays_as_it_is() -> None:
    machine = AlarmMachine(SETTINGS)
    assert changes(machine, [(0, 0.9), (10, 0.9)] + [(float(at), 0.4) for at in range(11, 200)]) == [(10, "raised")]


def test_nothing_is_raised_unless_the_decision_rule_calls_for_it() -> None:
    assert changes(AlarmMachine(SETTINGS), [(0, 0.9), (10, 0.9), (50, 0.9)], called_for=False) == []


def test_the_third_raise_within_the_window_is_chattering_and_clears_slowly() -> None:
    machine = AlarmMachine(SETTINGS)
    flap = [step for at in (0, 100, 200) for step in ((at, 0.9), (at + 10, 0.9), (at + 20, 0.1), (at + 40, 0.1))]
    assert changes(machine, [(float(a), s) for a, s in flap]) == [
        (10, "raised"), (40, "cleared"), (110, "raised"), (140, "cleared"), (210, "raised"), (210, "chattering"),
    ]  # fmt: skip
    assert changes(machine, [(300.0, 0.1), (1219.0, 0.1), (1220.0, 0.1)]) == [(1220, "cleared")]


def test_silence_is_neither_well_nor_ill() -> None:
    machine = AlarmMachine(SETTINGS)
    list(machine.seen(["d"], 0))
    changes(machine, [(0, 0.9), (10, 0.9)])
    (gone,) = machine.advance(101)
    assert (gone.device, gone.at, gone.change) == ("d", 100, Change.NO_DATA)
    assert not list(machine.advance(500))
    assert machine.watched() == {"d": ("E1",)}
    (back,) = machine.seen(["d"], 600)
    assert back.change is Change.DATA_BACK


@given(st.lists(st.tuples(st.integers(1, 30), st.floats(0, 1)), max_size=80))
def test_raised_and_cleared_alternate(steps: list[tuple[int, float]]) -> None:
    machine, at, timed = AlarmMachine(SETTINGS), 0, []
    for wait, score in steps:
        at += wait
        timed.append((float(at), score))
    kinds = [kind for _, kind in changes(machine, timed) if kind != "chattering"]
    assert kinds == ["raised", "cleared"] * (len(kinds) // 2) + ["raised"] * (len(kinds) % 2)
