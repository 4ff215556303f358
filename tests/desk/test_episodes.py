"""Episodes of a fault code: the same reports in any order, in any portions, give the same episodes."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cloud.desk.episodes import Change, Episode, HeldCase, Report, episodes, reconcile

GAP = timedelta(minutes=10)


def at(minute: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)


def up(minute: int) -> Report:
    return Report(at(minute), 1, minute, True)


def down(minute: int) -> Report:
    return Report(at(minute), 1, minute, False)


reports = st.lists(st.builds(Report, st.integers(0, 300).map(at), st.just(1), st.integers(0, 5), st.booleans()))


def test_a_raise_and_a_clear_are_one_episode() -> None:
    assert episodes([up(0), down(5)], GAP) == [Episode(at(0), at(0), at(5), at(5), 1)]


def test_a_fault_that_flaps_is_one_episode_and_one_that_comes_back_later_another() -> None:
    found = episodes([up(0), down(1), up(5), down(6), up(16), down(17), up(30)], GAP)
    assert [(e.raises, e.cleared_at) for e in found] == [(3, at(17)), (1, None)]


def test_a_clear_without_a_raise_says_nothing() -> None:
    assert episodes([down(3)], GAP) == []


def test_the_same_happening_told_twice_counts_once() -> None:
    inferred = Report(at(0), 2, 99, True)
    assert episodes([up(0), inferred], GAP) == episodes([up(0)], GAP)


@given(reports=reports, seed=st.integers(0, 1_000))
def test_order_of_arrival_makes_no_difference(reports: list[Report], seed: int) -> None:
    shuffled = list(reports)
    random.Random(seed).shuffle(shuffled)
    assert episodes(shuffled, GAP) == episodes(reports, GAP)


@given(reports=reports)
def test_going_on_from_the_last_episode_is_the_same_as_folding_all_again(reports: list[Report]) -> None:
    ordered = sorted(reports)
    for cut in range(len(ordered)):
        before = episodes(ordered[:cut], GAP)
        if before and cut < len(ordered) and ordered[cut].at > before[-1].last_at:
            onwards = episodes(ordered[cut:], GAP, before[-1])
            assert before[:-1] + onwards == episodes(ordered, GAP)


@given(reports=reports)
def test_episodes_lie_apart_and_hold_every_raise(reports: list[Report]) -> None:
    found = episodes(reports, GAP)
    for earlier, later in pairwise(found):
        assert earlier.cleared_at is not None
        assert later.occurred_at - earlier.cleared_at > GAP
    assert sum(e.raises for e in found) == len({r.at for r in reports if r.raised})


def test_two_cases_that_turn_out_to_be_one_are_joined_with_their_ticket() -> None:
    found = episodes([up(0), down(5), up(12), down(20), up(60)], GAP)
    held = [HeldCase(7, at(0)), HeldCase(8, at(12), ticket_no=3)]
    assert reconcile(held, found) == [Change(7, found[0], (8,), 3), Change(None, found[1])]


@given(reports=reports, known=st.integers(0, 12))
def test_every_case_finds_its_place_whatever_came_late(reports: list[Report], known: int) -> None:
    early = episodes(reports[:known], GAP)
    held = [HeldCase(n, e.occurred_at) for n, e in enumerate(early)]
    changes = reconcile(held, episodes(reports, GAP))
    placed = [c.case_no for c in changes if c.case_no is not None] + [n for c in changes for n in c.absorbs]
    assert sorted(placed) == [case.case_no for case in held]
