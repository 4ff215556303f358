"""The planner's promises, over any customers, clocks, providers and crashes that hypothesis thinks of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.desk.outreach.hours import QuietHours
from cloud.desk.outreach.ladder import (
    CHANNELS,
    Attempt,
    Because,
    Cap,
    Channel,
    End,
    Ended,
    Rung,
    Send,
    Situation,
    Wait,
    cap_frees_at,
    climbed_past,
    decide,
    one_channel,
)

START = datetime(2026, 3, 20, 6, 0, tzinfo=UTC)  # the clocks of Europe and Chile change within weeks
ZONES = ("UTC", "Europe/Berlin", "America/Santiago", "Asia/Shanghai", "Asia/Kathmandu", "Australia/Lord_Howe")
OPEN = QuietHours(ZoneInfo("UTC"), time(0), time(0))
LADDER = tuple(Rung(channel, timedelta(hours=20)) for channel in CHANNELS)

times = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
quiet_hours = st.builds(QuietHours, st.sampled_from(ZONES).map(ZoneInfo), times, times)
outcomes = st.sampled_from(["delivered", "refused", "due", "crash"])


@dataclass
class Outreach:
    """One outreach of the simulated household."""

    wants_answer: bool
    usable: frozenset[Channel]
    disregard_quiet: bool
    attempts: dict[Channel, Attempt] = field(default_factory=dict)
    answered_at: datetime | None = None
    ended: bool = False


@dataclass
class Sent:
    """A try of a message, as the household could notice it."""

    outreach: int
    channel: Channel
    at: datetime
    refused: bool


@st.composite
def households(draw: st.DrawFn) -> tuple[QuietHours, Cap, tuple[Rung, ...], list[Outreach]]:
    cap = Cap(draw(st.integers(1, 3)), timedelta(days=draw(st.integers(1, 7))))
    order = draw(st.permutations(CHANNELS))
    rungs = tuple(Rung(channel, timedelta(hours=draw(st.sampled_from([1, 5, 20])))) for channel in order)
    outreaches = draw(
        st.lists(
            st.builds(Outreach, st.booleans(), st.frozensets(st.sampled_from(CHANNELS), min_size=1), st.booleans()),
            min_size=1,
            max_size=3,
        )
    )
    return draw(quiet_hours), cap, rungs, outreaches


@settings(max_examples=300)
@given(households(), st.data())
def test_never_in_quiet_hours_never_above_the_cap_and_nothing_after_an_answer(
    household: tuple[QuietHours, Cap, tuple[Rung, ...], list[Outreach]], data: st.DataObject
) -> None:
    quiet, cap, rungs, outreaches = household
    sent: list[Sent] = []
    now = START
    for _ in range(data.draw(st.integers(5, 40), label="looks")):
        now += timedelta(minutes=data.draw(st.sampled_from([1, 30, 61, 300, 1500, 6000]), label="minutes later"))
        for number, outreach in enumerate(outreaches):
            if outreach.answered_at is None and data.draw(st.integers(0, 9), label="answer") == 0:
                outreach.answered_at = now
            others = [a for other in outreaches if other is not outreach for a in other.attempts.values()]
            situation = Situation(
                now=now,
                rungs=rungs,
                usable=outreach.usable,
                attempts=tuple(outreach.attempts.values()),
                quiet=quiet,
                disregard_quiet=outreach.disregard_quiet,
                cap=cap,
                household_sends=tuple(
                    at for a in others if a.state != "refused" and (at := a.delivered_at or a.last_tried_at) is not None
                ),
                wants_answer=outreach.wants_answer,
                answered=outreach.answered_at is not None,
            )
            for channel in climbed_past(situation):
                outreach.attempts[channel] = replace(outreach.attempts[channel], state="expired")
            decision = decide(situation)
            if isinstance(decision, End):
                outreach.ended = True
            if not isinstance(decision, Send):
                continue
            assert not outreach.ended, "what has ended stays ended"
            assert outreach.answered_at is None
            assert decision.channel in outreach.usable
            assert outreach.disregard_quiet or not quiet.quiet_at(now)
            _try(outreach, decision, now, data.draw(outcomes, label="outcome"))
            sent.append(
                Sent(number, decision.channel, now, refused=outreach.attempts[decision.channel].state == "refused")
            )
    _check_cap(sent, cap)


def _try(outreach: Outreach, decision: Send, now: datetime, outcome: str) -> None:
    """What the shell does about a Send, and what becomes of it."""
    before = outreach.attempts.get(decision.channel)
    assert decision.again == (before is not None), "one message a channel: later ones are the same again"
    first = before.first_tried_at if before else now
    if outcome == "crash":
        outreach.attempts[decision.channel] = Attempt(decision.channel, "in_flight", first, now)
    else:
        delivered = now if outcome == "delivered" else None
        state = outcome if outcome in ("delivered", "refused") else "due"
        outreach.attempts[decision.channel] = Attempt(decision.channel, state, first, now, delivered)  # type: ignore[arg-type]


def _check_cap(sent: list[Sent], cap: Cap) -> None:
    """Distinct messages tried within a span that ends with a try, but for those that were refused by then."""
    for last in sent:
        until = [s for s in sent if s.at <= last.at]
        refused = {(s.outreach, s.channel) for s in until if s.refused}
        within = {(s.outreach, s.channel) for s in until if s.at > last.at - cap.within}
        assert len(within - refused) <= cap.messages


@given(quiet_hours, st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)))
def test_the_next_open_instant_is_open_and_within_a_day(quiet: QuietHours, moment: datetime) -> None:
    at = moment.replace(tzinfo=UTC)
    opens = quiet.next_open(at)
    assert opens >= at
    assert not quiet.quiet_at(opens)
    assert opens - at <= timedelta(hours=26)  # a day of 25 hours, and a clock that jumps over the end
    if not quiet.quiet_at(at):
        assert opens == at


@given(st.lists(st.integers(0, 500), max_size=8), st.integers(1, 4), st.integers(1, 100))
def test_when_the_cap_frees_it_is_free_and_not_before(sends: list[int], messages: int, hours: int) -> None:
    cap = Cap(messages, timedelta(hours=hours))
    now = START + timedelta(hours=500)
    past = [START + timedelta(hours=h) for h in sends]
    frees = cap_frees_at(now, past, cap)
    if frees is None:
        return
    assert frees > now
    assert cap_frees_at(frees, past, cap) is None
    assert cap_frees_at(frees - timedelta(seconds=1), past, cap) == frees


def situation(**changes: object) -> Situation:
    given: dict[str, object] = {
        "now": START,
        "rungs": LADDER,
        "usable": frozenset({"sms", "email"}),
        "attempts": (),
        "quiet": OPEN,
    }
    return Situation(**given | changes)  # type: ignore[arg-type]


def hours_ago(hours: float) -> datetime:
    return START - timedelta(hours=hours)


def test_the_ladder_climbs_when_nobody_answers_and_ends() -> None:
    assert decide(situation()) == Send("sms")
    told = Attempt("sms", "delivered", hours_ago(1), hours_ago(1), hours_ago(1))
    assert decide(situation(attempts=(told,))) == Wait(Because.PATIENCE, hours_ago(-19))
    old = Attempt("sms", "delivered", hours_ago(21), hours_ago(21), hours_ago(21))
    assert decide(situation(attempts=(old,))) == Send("email")
    both = (old, Attempt("email", "delivered", hours_ago(20), hours_ago(20), hours_ago(20)))
    assert decide(situation(attempts=both)) == End(Ended.EXHAUSTED)
    assert decide(situation(usable=frozenset())) == End(Ended.UNREACHABLE)


def test_a_refused_channel_is_left_at_once_and_a_dead_provider_when_patience_ends() -> None:
    refused = Attempt("sms", "refused", hours_ago(1), hours_ago(1))
    assert decide(situation(attempts=(refused,))) == Send("email")
    dead = Attempt("sms", "due", hours_ago(1), hours_ago(0.1), retry_due=False)
    assert decide(situation(attempts=(dead,))) == Wait(Because.RETRY, hours_ago(-19))
    assert decide(situation(attempts=(replace(dead, retry_due=True),))) == Send("sms", again=True)
    longer = situation(attempts=(replace(dead, first_tried_at=hours_ago(20), retry_due=True),))
    assert decide(longer) == Send("email")
    assert climbed_past(longer) == {"sms"}


def test_what_was_cut_off_is_sent_again_before_the_ladder_goes_on() -> None:
    cut = Attempt("sms", "in_flight", hours_ago(30), hours_ago(30), lease_over=True)
    assert decide(situation(attempts=(cut,))) == Send("sms", again=True)
    assert decide(situation(attempts=(replace(cut, lease_over=False),))) == Wait(Because.IN_FLIGHT)
    assert decide(situation(attempts=(cut,), usable=frozenset({"email"}))) == End(Ended.STOPPED)


def test_reasons_to_stop_come_before_all_else() -> None:
    for changes, why in (
        ({"owner": False, "answered": True}, Ended.FORMER_OWNER),
        ({"answered": True}, Ended.ANSWERED),
        ({"stopped": True}, Ended.STOPPED),
        ({"overtaken": True}, Ended.OVERTAKEN),
    ):
        assert decide(situation(**changes)) == End(why)
    assert decide(situation(not_before=hours_ago(-5))) == Wait(Because.NOT_NOW, hours_ago(-5))


def test_after_an_answer_one_channel_alone() -> None:
    rungs = one_channel(LADDER, (), "email")
    assert [r.channel for r in rungs] == ["email", "push", "messaging", "sms"], "an agent does not call to confirm"
    told = Attempt("email", "delivered", START, START, START)
    assert [r.channel for r in one_channel(LADDER, (told,), "email")] == ["email"]
    refused = Attempt("email", "refused", START, START)
    assert one_channel(LADDER, (refused,), "email")[0].channel == "email"
    told_once = situation(rungs=one_channel(LADDER, (told,), "email"), attempts=(told,), wants_answer=False)
    assert decide(told_once) == End(Ended.TOLD)
