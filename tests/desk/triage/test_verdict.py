"""The confirmation rule applied to evidence: each kind of test, and what must hold of every verdict."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.desk.triage.verdict import (
    Dossier,
    Limits,
    Outcome,
    SelfTest,
    Verdict,
    judge,
    most_within,
)
from cloud.registry.rules import ConfirmationRule

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = Limits()
RULES = (
    "at_once",
    "persists 10 min",
    "repeats 3 in 24 h",
    "channel drainTime above 80",
    "self_test",
    "person",
)


def rule(text: str) -> ConfirmationRule:
    return ConfirmationRule.model_validate(text)


def dossier(text: str | None = "at_once", **changes: object) -> Dossier:
    """A reported fault of T0 that stands, heard of until a day later."""
    standing = Dossier(
        source="reported",
        probability=1.0,
        occurred_at=T0,
        last_raised_at=T0,
        cleared_at=None,
        raised=(T0,),
        heard_at=T0 + timedelta(hours=24),
        rule=None if text is None else rule(text),
        readings={},
        complete_at=T0 + timedelta(minutes=25),
        self_test=SelfTest.NOT_ASKED,
    )
    return replace(standing, **changes)  # type: ignore[arg-type]


def after(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def verdict(case: Dossier, minutes: float = 60) -> Verdict:
    return judge(case, after(minutes), LIMITS).verdict


def test_at_once_confirms_with_its_reason() -> None:
    found = judge(dossier("at_once"), after(0), LIMITS)
    assert found.verdict is Verdict.CONFIRMED
    assert [(r.test, r.outcome) for r in found.reasons] == [("at_once", Outcome.HOLDS)]
    assert set(found.reasons[0].sentence) == {"en", "zh"}


def test_a_fault_must_stand_for_its_time_and_is_looked_at_when_that_is_over() -> None:
    case = dossier("persists 10 min")
    early = judge(case, after(9), LIMITS)
    assert (early.verdict, early.look_at) == (Verdict.WAITING, after(10))
    assert verdict(case, 10) is Verdict.CONFIRMED


def test_it_stands_only_for_as_long_as_the_device_was_heard() -> None:
    silent_since = dossier("persists 10 min", heard_at=after(5))
    assert verdict(silent_since, 60) is Verdict.WAITING
    assert verdict(replace(silent_since, heard_at=after(10)), 60) is Verdict.CONFIRMED


def test_a_fault_that_cleared_too_soon_is_refuted_once_it_cannot_come_back_as_the_same_case() -> None:
    case = dossier("persists 10 min", cleared_at=after(3))
    assert verdict(case, 13) is Verdict.WAITING
    assert verdict(case, 13.1) is Verdict.REFUTED
    assert verdict(replace(case, cleared_at=after(12)), 40) is Verdict.CONFIRMED


def test_repetition_counts_raises_of_earlier_episodes_within_the_span() -> None:
    case = dossier("repeats 3 in 24 h", raised=(after(-23 * 60), after(-60), T0), cleared_at=after(1))
    assert verdict(case) is Verdict.CONFIRMED
    too_old = replace(case, raised=(after(-25 * 60), after(-60), T0))
    assert verdict(too_old) is Verdict.WAITING
    assert verdict(too_old, 24 * 60) is Verdict.REFUTED


def test_what_stands_without_a_break_cannot_repeat_and_goes_to_a_person() -> None:
    assert verdict(dossier("repeats 3 in 24 h")) is Verdict.NEEDS_PERSON


@pytest.mark.parametrize(
    ("mean", "minutes", "expected"),
    [
        (81.0, 1, Verdict.CONFIRMED),
        (80.0, 1, Verdict.WAITING),
        (80.0, 30, Verdict.NEEDS_PERSON),
        (None, 1, Verdict.WAITING),
        (None, 30, Verdict.NEEDS_PERSON),
    ],
)
def test_a_channel_beyond_its_limit(mean: float | None, minutes: float, expected: Verdict) -> None:
    readings = {} if mean is None else {"drainTime": mean}
    assert verdict(dossier("channel drainTime above 80", readings=readings), minutes) is expected


def test_a_channel_within_its_limit_refutes_a_fault_that_is_gone() -> None:
    case = dossier("channel drainTime above 80", readings={"drainTime": 20.0}, cleared_at=after(5))
    assert verdict(case, 60) is Verdict.REFUTED


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (SelfTest.NOT_ASKED, Verdict.WAITING),
        (SelfTest.ASKED, Verdict.WAITING),
        (SelfTest.FAILED, Verdict.CONFIRMED),
        (SelfTest.NO_ANSWER, Verdict.NEEDS_PERSON),
        (SelfTest.PASSED, Verdict.NEEDS_PERSON),
    ],
)
def test_the_devices_own_answer(state: SelfTest, expected: Verdict) -> None:
    found = judge(dossier("self_test", self_test=state), after(60), LIMITS)
    assert found.verdict is expected
    assert found.ask_self_test is (state is SelfTest.NOT_ASKED)


def test_a_device_is_not_bothered_when_another_test_confirms() -> None:
    found = judge(dossier("self_test; persists 10 min"), after(60), LIMITS)
    assert (found.verdict, found.ask_self_test) == (Verdict.CONFIRMED, False)


def test_a_passed_self_test_refutes_a_fault_that_is_gone() -> None:
    case = dossier("self_test; persists 10 min", self_test=SelfTest.PASSED, cleared_at=after(2))
    assert verdict(case) is Verdict.REFUTED


@pytest.mark.parametrize(
    ("text", "probability", "expected"),
    [("at_once", 0.5, Verdict.NEEDS_PERSON), ("at_once", 0.9, Verdict.CONFIRMED), (None, 0.95, Verdict.CONFIRMED)],
)
def test_a_prediction_is_confirmed_by_its_probability_and_not_by_a_code_never_reported(
    text: str | None, probability: float, expected: Verdict
) -> None:
    assert verdict(dossier(text, source="predicted", probability=probability, raised=())) is expected


def test_without_a_rule_a_person_decides() -> None:
    assert verdict(dossier(None)) is Verdict.NEEDS_PERSON


@pytest.mark.parametrize("come_after_s", [0, 20, 300])
def test_readings_that_follow_the_fault_are_seen_soon_after_they_came(come_after_s: int) -> None:
    case, now, looks = dossier("channel drainTime above 80"), T0, 0
    while True:
        came = now >= T0 + timedelta(seconds=come_after_s)
        found = judge(replace(case, readings={"drainTime": 109.0 if came else 35.0}), now, LIMITS)
        if found.look_at is None:
            break
        now, looks = found.look_at, looks + 1
    assert found.verdict is Verdict.CONFIRMED
    assert now - T0 <= timedelta(seconds=come_after_s * 1.25 + 5)
    assert looks < 25, "a look costs a query"


# --- what must hold of every verdict ---

minutes = st.integers(0, 3 * 24 * 60)
rules = st.lists(st.sampled_from(RULES), min_size=1, max_size=4, unique=True).map("; ".join)


@st.composite
def cases(draw: st.DrawFn) -> Dossier:
    raised = sorted(draw(st.lists(st.integers(-2_000, 60), min_size=1, max_size=6)))
    began = draw(st.sampled_from(raised))
    last = max(at for at in raised if at >= began)
    cleared = draw(st.none() | st.integers(last, last + 300))
    return dossier(
        draw(rules),
        source=draw(st.sampled_from(["reported", "predicted"])),
        probability=draw(st.floats(0, 1)),
        occurred_at=after(began),
        last_raised_at=after(last),
        cleared_at=None if cleared is None else after(cleared),
        raised=tuple(after(at) for at in raised),
        heard_at=after(draw(st.integers(last, 5_000))),
        readings=draw(st.fixed_dictionaries({}, optional={"drainTime": st.floats(0, 200)})),
        complete_at=after(began + 25),
        self_test=draw(st.sampled_from(SelfTest)),
    )


@given(cases(), minutes)
def test_old_news_confirms_nothing(case: Dossier, at: int) -> None:
    now = max(case.heard_at, after(at)) + LIMITS.stale_after + timedelta(seconds=1)
    assert judge(case, now, LIMITS).verdict is Verdict.WAITING


@given(cases(), minutes)
def test_a_fault_that_stands_is_never_refuted(case: Dossier, at: int) -> None:
    assert judge(replace(case, cleared_at=None), after(at), LIMITS).verdict is not Verdict.REFUTED


@given(cases(), minutes)
def test_confirmed_means_that_a_test_holds_and_every_verdict_has_reasons(case: Dossier, at: int) -> None:
    found = judge(case, after(at), LIMITS)
    assert found.reasons
    if found.verdict is not Verdict.WAITING or found.reasons[0].test != "stale":
        holds = any(r.outcome is Outcome.HOLDS for r in found.reasons)
        assert (found.verdict is Verdict.CONFIRMED) is holds


@given(cases(), minutes)
def test_waiting_always_says_until_when_and_makes_headway(case: Dossier, at: int) -> None:
    now = after(at)
    found = judge(case, now, LIMITS)
    assert (found.look_at is not None) is (found.verdict is Verdict.WAITING)
    if found.look_at is not None:
        assert found.look_at >= now


@given(cases(), minutes, st.sampled_from(RULES))
def test_a_further_test_in_a_rule_never_takes_a_confirmation_away(case: Dossier, at: int, text: str) -> None:
    assert case.rule is not None
    wider = ConfirmationRule(any_of=(*case.rule.any_of, *rule(text).any_of))
    if judge(case, after(at), LIMITS).verdict is Verdict.CONFIRMED:
        assert judge(replace(case, rule=wider), after(at), LIMITS).verdict is Verdict.CONFIRMED


@given(st.lists(st.integers(0, 500), max_size=12), st.integers(1, 200))
def test_the_most_within_a_span_is_what_trying_all_spans_gives(moments: list[int], span: int) -> None:
    tried = [len({m for m in moments if start <= m <= start + span}) for start in moments]
    assert most_within([after(m) for m in moments], timedelta(minutes=span)) == max(tried, default=0)
