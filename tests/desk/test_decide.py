"""The decision about a case, over every combination of what it depends on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cloud.desk.decide import Leave, Outlook, Propose, Withheld, Withhold, decide
from cloud.desk.settings import Policy

NOW = datetime(2026, 6, 1, tzinfo=UTC)
POLICY = Policy()
people = st.sampled_from((None, "ann", "bo"))


@st.composite
def outlooks(draw: st.DrawFn) -> Outlook:
    occurred = NOW - timedelta(minutes=draw(st.integers(1, 5_000)))
    cleared = draw(st.none() | st.integers(0, 5_000).map(lambda m: min(occurred + timedelta(minutes=m), NOW)))
    missing = draw(st.sampled_from(([], [], ["user"])))
    return Outlook(
        case_no=1,
        device_no=1,
        source=draw(st.sampled_from(("reported", "predicted"))),
        problem="5E",
        occurred_at=occurred,
        last_raised_at=occurred,
        last_at=cleared or occurred,
        cleared_at=cleared,
        raises=draw(st.integers(1, 5)),
        probability=1.0,
        horizon_hours=None,
        reason=None,
        user_id=None if missing else draw(st.sampled_from(("ann", "bo"))),
        gtin="09520000900014",
        serial="S1",
        model="WM-90",
        definition_no=1,
        missing=missing,
        withheld=None,
        ticket_no=draw(st.sampled_from((None, None, 7))),
        family="washer",
        family_name=None,
        severity="medium",
        safety="none",
        stops=True,
        meaning=None,
        customer_words=None,
        likely_parts=None,
        owner_now=draw(people),
        open_ticket_user=draw(people),
        heard=draw(st.booleans()),
    )


@given(case=outlooks())
def test_only_the_present_owner_is_ever_proposed_and_only_with_all_four_codes(case: Outlook) -> None:
    decision = decide(case, NOW, POLICY)
    if isinstance(decision, Propose):
        assert decision.user_id == case.owner_now
        assert not case.missing
        assert case.ticket_no is None
        assert case.standing or case.user_id == case.owner_now, "what is over concerns whom it happened to"


@given(case=outlooks())
def test_what_stands_and_is_heard_of_is_proposed_when_somebody_has_the_device(case: Outlook) -> None:
    wanted = case.standing and case.heard and case.owner_now is not None and not case.missing and case.ticket_no is None
    assert isinstance(decide(case, NOW, POLICY), Propose) or not wanted


@given(case=outlooks())
def test_silence_withholds_and_says_so(case: Outlook) -> None:
    decision = decide(case, NOW, POLICY)
    if case.standing and not case.heard and not isinstance(decision, Leave):
        assert decision == Withhold(Withheld.STALE)
