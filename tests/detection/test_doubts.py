"""What a visit did not find counts against the suspicion that sent it, and against no other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.detection.calibration import WRONG
from cloud.detection.doubts import REFUTED, SUBSIDED_S, Doubts
from cloud.detection.suspicion import SUSPECTED

DAY = 86400.0
HALF_LIFE_S = 14 * DAY


def doubts() -> Doubts:
    found = Doubts()
    found.grow(4)
    return found


def stated(found: Doubts, row: int, day: float, probability: float) -> float:
    column = np.array([probability])
    found.lessen(np.array([row]), np.array([day * DAY]), column, HALF_LIFE_S)
    return float(column[0])


def called(found: Doubts, row: int, day: float, probability: float) -> None:
    """A ticket, and the sign as it still is at the visit, two days later."""
    found.ticketed(row, day * DAY, 0.5)
    stated(found, row, day + 2.0, probability)


def log_odds(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def test_one_finding_divides_the_odds_by_those_of_its_being_right():
    found = doubts()
    called(found, 1, 0.0, 0.9)
    found.refuted(1, 0.0, 2 * DAY)
    assert log_odds(stated(found, 1, 2.0, 0.9)) == pytest.approx(log_odds(0.9) - math.log((1 - WRONG) / WRONG))
    assert stated(found, 0, 2.0, 0.9) == 0.9, "nobody else's"


def test_what_persists_is_called_once_more_and_then_no_more():
    found, calls = doubts(), []
    for day in range(400):
        if stated(found, 1, day, 0.99) >= 0.5 and (not calls or day - calls[-1] >= 14):
            calls.append(day)
            called(found, 1, day, 0.99)
            found.refuted(1, day * DAY, (day + 2) * DAY)
    assert len(calls) == 2


def test_a_suspicion_that_subsided_is_over():
    found = doubts()
    found.refuted(1, 0.0, 0.0)
    for day in range(1, 60):
        assert stated(found, 1, day, 0.05) <= 0.05
    assert stated(found, 1, 60.0, 0.9) > 0.6, "a new one, two months later"
    for day in range(61, 200):
        stated(found, 1, day, 0.05)
    assert not found.of_row
    assert not found.concerned.any()


@pytest.mark.parametrize("known_on", [3, 60])
def test_what_has_outgrown_the_sign_that_was_refuted_is_another_sign(known_on):
    found = doubts()
    called(found, 1, 0.0, 0.7)
    for day in range(3, 61):
        if day == known_on:
            found.refuted(1, 0.0, day * DAY)
        stated(found, 1, day, 0.7 + max(day - 10, 0) / 500)
    assert stated(found, 1, 61.0, 0.7) < 0.05, "as it was"
    assert stated(found, 1, 61.0, 0.9) == pytest.approx(0.66, abs=0.02)
    assert stated(found, 1, 61.0, 0.98) > 0.9
    assert stated(found, 1, 61.0, 0.7) < 0.05, "nothing is forgotten"


def test_a_finding_of_a_second_ticket_is_of_the_second_sign():
    found = doubts()
    called(found, 1, 0.0, 0.6)
    called(found, 1, 20.0, 0.95)
    found.refuted(1, 0.0, 25 * DAY)
    assert stated(found, 1, 25.0, 0.95) > 0.8
    found.refuted(1, 20 * DAY, 26 * DAY)
    assert stated(found, 1, 26.0, 0.95) < 0.1


def test_codes_of_the_visit_are_doubted_and_later_ones_are_not():
    found = doubts()
    standing = {"E1": 0.0, "E2": 3 * DAY}
    assert found.undoubted(1, standing) == standing
    found.refuted(1, 2 * DAY, 4 * DAY)
    assert found.undoubted(1, standing) == {"E2": 3 * DAY}
    found.forget(1)
    assert found.undoubted(1, standing) == standing


@given(
    st.lists(st.tuples(st.floats(0.0, 30.0), st.floats(0.0, 1.0), st.booleans()), max_size=30),
)
def test_doubt_never_raises_a_probability_and_keeps_it_one(steps):
    found, day = doubts(), 0.0
    for days, probability, refuted in steps:
        day += days
        if refuted:
            found.refuted(2, day * DAY, day * DAY)
        left = stated(found, 2, day, probability)
        assert 0.0 <= left <= probability + 1e-12
    for doubt in found.of_row.values():
        assert doubt.log_odds <= REFUTED * len(steps)


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=20))
def test_how_often_one_looks_makes_no_difference_while_it_is_quiet(gaps):
    often, once = doubts(), doubts()
    for found in (often, once):
        found.refuted(0, 0.0, 0.0)
    day = 0.0
    for gap in gaps:
        day += gap
        stated(often, 0, day, 0.9 * SUSPECTED)
    last = day + SUBSIDED_S / DAY
    expected = stated(once, 0, last, 0.8)
    assert stated(often, 0, last, 0.8) == pytest.approx(expected)
