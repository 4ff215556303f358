"""The order of the day: within capacity, near the best that is possible, explained; and kept in the table."""

from __future__ import annotations

import asyncio
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cloud.desk import tickets
from cloud.desk.cli import app
from cloud.desk.triage.capacity import Candidate, likelihood, order
from cloud.desk.triage.queue import list_queue, order_day
from cloud.desk.triage.settings import TriageSettings
from tests.desk.stage import COSTS, Stage

SENTENCE = {"en": "Worth it.", "zh": "值得。"}


@st.composite
def candidates(draw: st.DrawFn, at_most: int = 30) -> list[Candidate]:
    values = draw(st.lists(st.floats(-50, 500), max_size=at_most))
    visits = [draw(st.sampled_from([0.0, 0.6, 1.0])) for _ in values]
    return [Candidate(n, v, w, 0.5, SENTENCE) for n, (v, w) in enumerate(zip(values, visits, strict=True), 1)]


@given(candidates(), st.integers(-2, 20), st.floats(-2, 12))
def test_every_ticket_has_one_place_and_today_is_within_capacity(
    some: list[Candidate], calls: int, visits: float
) -> None:
    places = order(some, calls, visits)
    assert [p.place for p in places] == list(range(1, len(some) + 1))
    assert {p.ticket_no for p in places} == {c.ticket_no for c in some}
    today = [p for p in places if p.today]
    assert len(today) <= max(0, calls)
    assert sum(p.visits for p in today) <= max(0.0, visits) + 1e-6
    assert all(p.value > 0 for p in today)
    assert all(p.sentence["en"].startswith(f"Place {p.place} of {len(places)}: ") for p in places)


@given(candidates())
def test_without_limits_the_order_is_that_of_worth(some: list[Candidate]) -> None:
    values = [p.value for p in order(some, 1_000, 1_000.0)]
    assert values == sorted(values, reverse=True)


@settings(max_examples=60)
@given(candidates(at_most=9), st.integers(0, 5), st.integers(0, 4))
def test_the_day_is_worth_nearly_what_the_best_choice_is_worth(some: list[Candidate], calls: int, visits: int) -> None:
    """Short of the best by two tickets at most: those at the edge, where a whole visit is left over or missing."""
    gained = sum(p.value for p in order(some, calls, visits) if p.today)
    best = max(
        sum(c.value for c in chosen)
        for size in range(min(calls, len(some)) + 1)
        for chosen in combinations(some, size)
        if sum(c.visits for c in chosen) <= visits + 1e-9
    )
    assert gained >= best - 2 * max((c.value for c in some if c.value > 0), default=0.0) - 0.1


def test_scarce_visits_go_to_what_needs_them_and_calls_to_what_does_without() -> None:
    some = [Candidate(1, 100, 1.0, 1, SENTENCE), Candidate(2, 90, 1.0, 1, SENTENCE), Candidate(3, 50, 0.0, 1, SENTENCE)]
    places = order(some, calls=2, visits=1.0)
    assert {p.ticket_no for p in places if p.today} == {1, 3}
    last = next(p for p in places if p.ticket_no == 2)
    assert "used up" in last.sentence["en"]


@given(
    st.sampled_from([None, "waiting", "needs_person", "confirmed", "refuted"]), st.integers(0, 50), st.integers(0, 50)
)
def test_likelihood_is_a_probability_that_findings_move(verdict: str | None, real: int, others: int) -> None:
    here = likelihood(1.0, verdict, real, real + others)
    assert 0 < here < 1
    assert (
        likelihood(1.0, verdict, real + 1, real + others + 1) > here > likelihood(1.0, verdict, real, real + others + 1)
    )
    assert likelihood(0.5, verdict, real, real + others) == pytest.approx(here / 2)


async def test_the_queue_is_kept_in_its_order_and_follows_the_tickets(stage: Stage) -> None:
    stage.triage = TriageSettings()
    for code in ("UE", "5E", "LE"):
        await stage.report(1, code=code)
    await stage.turn()
    assert await order_day(stage.connection, COSTS, stage.triage) == 3
    rows = await list_queue(stage.connection)
    assert [(r["place"], r["problem"], r["verdict"]) for r in rows] == [
        (1, "LE", "confirmed"), (2, "5E", "needs_person"), (3, "UE", "needs_person"),
    ]  # fmt: skip
    assert rows[0]["today"] is True
    assert rows[2]["today"] is False, "an unbalanced load is not worth a call"
    assert rows[0]["sentence"]["zh"].startswith("第 1 位")
    leak = next(c for c in await tickets.list_open(stage.connection) if c.problem == "LE")
    await tickets.contact(stage.connection, leak.ticket_no, "eva")
    scarce = TriageSettings(calls_a_day=1)
    await order_day(stage.connection, COSTS, scarce)
    assert [(r["place"], r["problem"], r["today"]) for r in await list_queue(stage.connection)] == [
        (1, "5E", False), (2, "UE", False), (None, "LE", None),
    ]  # fmt: skip


async def test_ordering_again_writes_nothing(stage: Stage) -> None:
    await stage.report(1)
    await stage.turn()
    await order_day(stage.connection, COSTS, TriageSettings())
    before = await stage.rows("SELECT xmin::text, made_at FROM queue_place")
    await order_day(stage.connection, COSTS, TriageSettings())
    assert await stage.rows("SELECT xmin::text, made_at FROM queue_place") == before


@given(candidates(), st.integers(-2, 20), st.floats(-2, 12))
def test_what_today_has_room_for_comes_before_what_it_has_not(some: list[Candidate], calls: int, visits: float) -> None:
    within = [p.today for p in order(some, calls, visits)]
    assert within == sorted(within, reverse=True)


async def test_the_queue_holds_every_open_ticket_and_is_announced(stage: Stage) -> None:
    stage.triage = TriageSettings()
    for code in ("UE", "5E", "LE"):
        await stage.report(1, code=code)
    await stage.turn()
    unplaced = await list_queue(stage.connection)
    assert [r["problem"] for r in unplaced] == ["LE", "5E", "UE"], "by worth, before there is an order"
    assert {r["place"] for r in unplaced} == {None}
    await stage.connection.execute("LISTEN queue")
    await order_day(stage.connection, COSTS, TriageSettings())
    await order_day(stage.connection, COSTS, TriageSettings())  # changes nothing, says nothing
    told = [notice.channel async for notice in stage.connection.notifies(timeout=0.5)]
    assert told == ["queue"]
    await tickets.contact(stage.connection, unplaced[0]["ticket_no"], "eva")
    rows = await list_queue(stage.connection)
    assert [(r["problem"], r["place"]) for r in rows] == [("5E", 2), ("UE", 3), ("LE", None)]
    assert await list_queue(stage.connection, after=(rows[0]["turn"], rows[0]["ticket_no"])) == rows[1:]
    assert [r["problem"] for r in await list_queue(stage.connection, today=False)] == ["UE"]


async def test_the_command_draws_the_line_of_the_day(
    stage: Stage, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTCALL_DB_URL", migrated_url)
    for code in ("UE", "5E", "LE"):
        await stage.report(1, code=code)
    await stage.turn()
    await order_day(stage.connection, COSTS, TriageSettings(calls_a_day=1))
    told = await asyncio.to_thread(CliRunner().invoke, app, ["tickets"])
    assert told.exit_code == 0, told.output
    first, line, *rest = told.output.splitlines()
    assert " LE 100%  Place 1 of 3: " in first
    assert line == "------ beyond today's calls and visits"
    assert [" 5E " in rest[0], " UE " in rest[1]] == [True, True]
