"""Pure: the dictionary's confirmation rule, applied to the evidence of a case, gives a verdict with its reasons.

Each test of a rule holds, fails, is open (time or an answer may still make it hold) or is unknown (what it needs is
not there). One that holds confirms. A fault that stands is never refuted: the appliance insists, a person looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cloud.desk.triage import words
from cloud.desk.triage.words import Sentence
from cloud.registry.rules import (
    AtOnce,
    ChannelBeyond,
    ConfirmationRule,
    Persists,
    Person,
    Repeats,
    SelfTestFails,
    Test,
)


class Verdict(StrEnum):
    """What triage thinks of a case."""

    WAITING = "waiting"  # something may still decide
    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    NEEDS_PERSON = "needs_person"


class Outcome(StrEnum):
    """What became of one test."""

    HOLDS = "holds"
    FAILS = "fails"
    OPEN = "open"
    UNKNOWN = "unknown"


class SelfTest(StrEnum):
    """How the device's self-test stands."""

    NOT_ASKED = "not_asked"
    ASKED = "asked"
    PASSED = "passed"
    FAILED = "failed"
    NO_ANSWER = "no_answer"  # refused, expired, or broke off


@dataclass(frozen=True, slots=True)
class Dossier:
    """A case with its evidence. Times are event times.

    raised: when the code was raised, oldest first, from a rule's longest span before the case on. heard_at: the last
    that was heard of the device. readings: mean of each channel around the fault, of the freeze frame where there is
    one. complete_at: from then on no reading of that window is expected any more.
    """

    source: str
    probability: float
    occurred_at: datetime
    last_raised_at: datetime
    cleared_at: datetime | None
    raised: tuple[datetime, ...]
    heard_at: datetime
    rule: ConfirmationRule | None
    readings: Mapping[str, float]
    complete_at: datetime
    self_test: SelfTest
    self_test_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of triage, all judgement [K]. look_again: how often an answer that is awaited is looked for."""

    chatter_gap: timedelta = timedelta(minutes=10)
    stale_after: timedelta = timedelta(hours=24)
    predicted_confirms: float = 0.9
    look_again: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Reason:
    """One test, what became of it, what was seen; `look_at`: when an open one is worth another look."""

    test: str
    outcome: Outcome
    sentence: Sentence
    look_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict with its reasons. look_at: when to judge again; None: not until the case changes."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    look_at: datetime | None = None
    ask_self_test: bool = False


def judge(case: Dossier, now: datetime, limits: Limits) -> Judgement:
    """What to think of a case at `now`."""
    if now - case.heard_at > limits.stale_after:
        silent = Reason("stale", Outcome.UNKNOWN, words.silent(now - case.heard_at))
        return Judgement(Verdict.WAITING, (silent,), now + limits.stale_after / 24)
    reasons = _reasons(case, now, limits)
    by_outcome = {outcome: [r for r in reasons if r.outcome is outcome] for outcome in Outcome}
    if by_outcome[Outcome.HOLDS]:
        return Judgement(Verdict.CONFIRMED, reasons)
    ask = any(r.test == "self_test" for r in by_outcome[Outcome.OPEN]) and case.self_test is SelfTest.NOT_ASKED
    if by_outcome[Outcome.OPEN]:
        looks = [r.look_at for r in by_outcome[Outcome.OPEN] if r.look_at is not None]
        return Judgement(Verdict.WAITING, reasons, max(min(looks, default=now), now), ask)
    if by_outcome[Outcome.UNKNOWN] or not reasons or case.cleared_at is None:
        return Judgement(Verdict.NEEDS_PERSON, reasons)
    settled_at = case.cleared_at + limits.chatter_gap
    if now <= settled_at:  # it may come back and be the same case
        return Judgement(Verdict.WAITING, reasons, settled_at + limits.look_again)
    return Judgement(Verdict.REFUTED, reasons)


def _reasons(case: Dossier, now: datetime, limits: Limits) -> tuple[Reason, ...]:
    tests: tuple[Test, ...] = case.rule.any_of if case.rule else ()
    found = [_try(test, case, now, limits) for test in tests]
    if case.source == "predicted":
        sure = case.probability >= limits.predicted_confirms
        outcome = Outcome.HOLDS if sure else Outcome.UNKNOWN
        found.append(Reason("prediction", outcome, words.predicted(case.probability, limits.predicted_confirms)))
    elif not tests:
        found.append(Reason("rule", Outcome.UNKNOWN, words.NO_RULE))
    return tuple(found)


def _try(test: Test, case: Dossier, now: datetime, limits: Limits) -> Reason:
    if isinstance(test, ChannelBeyond):
        return _channel(test, case, now, limits)
    if isinstance(test, SelfTestFails):
        return _self_test(case, now, limits)
    if isinstance(test, Person):
        return Reason(test.test, Outcome.UNKNOWN, words.PERSON)
    return _of_reports(test, case, now, limits)


def _of_reports(test: AtOnce | Persists | Repeats, case: Dossier, now: datetime, limits: Limits) -> Reason:
    """Tests of how the code was reported; of a code that was only predicted they say nothing."""
    if case.source == "predicted":
        return Reason(test.test, Outcome.UNKNOWN, words.NOT_REPORTED)
    if isinstance(test, AtOnce):
        return Reason(test.test, Outcome.HOLDS, words.AT_ONCE)
    if isinstance(test, Persists):
        return _persists(test, case, now, limits)
    return _repeats(test, case, now)


def _persists(test: Persists, case: Dossier, now: datetime, limits: Limits) -> Reason:
    """It stands as long as we have heard of it, not as long as the clock runs."""
    wanted = timedelta(minutes=test.minutes)
    if case.cleared_at is not None:
        stood = case.cleared_at - case.last_raised_at
        outcome = Outcome.HOLDS if stood >= wanted else Outcome.FAILS
        return Reason(test.test, outcome, words.stood(stood, wanted))
    stood = max(timedelta(0), min(now, case.heard_at) - case.last_raised_at)
    if stood >= wanted:
        return Reason(test.test, Outcome.HOLDS, words.stands(stood, wanted))
    due = case.last_raised_at + wanted
    look_at = due if due > now else now + limits.look_again
    return Reason(test.test, Outcome.OPEN, words.stands(stood, wanted), look_at)


def _repeats(test: Repeats, case: Dossier, now: datetime) -> Reason:
    span = timedelta(hours=test.hours)
    last = case.cleared_at or case.last_raised_at
    near = [at for at in case.raised if case.occurred_at - span <= at <= last]
    best = most_within(near, span)
    sentence = words.repeated(best, test.times, test.hours)
    if best >= test.times:
        return Reason(test.test, Outcome.HOLDS, sentence)
    if case.cleared_at is None:
        return Reason(test.test, Outcome.UNKNOWN, words.stands_unbroken(sentence))
    until = case.last_raised_at + span
    if now < until:
        return Reason(test.test, Outcome.OPEN, sentence, until)
    return Reason(test.test, Outcome.FAILS, sentence)


def most_within(moments: list[datetime], span: timedelta) -> int:
    """The most moments that lie within one span, both ends counted; the same moment twice counts once."""
    ordered = sorted(set(moments))
    best = first = 0
    for place, at in enumerate(ordered):
        while at - ordered[first] > span:
            first += 1
        best = max(best, place - first + 1)
    return best


def _channel(test: ChannelBeyond, case: Dossier, now: datetime, limits: Limits) -> Reason:
    mean = case.readings.get(test.channel)
    if mean is None:
        if now < case.complete_at:
            return Reason(test.test, Outcome.OPEN, words.no_reading(test.channel), _readings_by(case, now, limits))
        return Reason(test.test, Outcome.UNKNOWN, words.no_reading(test.channel))
    beyond = mean > test.limit if test.side == "above" else mean < test.limit
    outcome = Outcome.HOLDS if beyond else Outcome.FAILS
    if outcome is Outcome.FAILS and now < case.complete_at:  # readings of the window may still come
        return Reason(test.test, Outcome.OPEN, words.channel(test, mean), _readings_by(case, now, limits))
    return Reason(test.test, outcome, words.channel(test, mean))


def _readings_by(case: Dossier, now: datetime, limits: Limits) -> datetime:
    """When to look for readings again: a freeze frame follows its fault within seconds, a backlog in minutes."""
    return min(case.complete_at, now + max(limits.look_again, (now - case.occurred_at) / 4))


def _self_test(case: Dossier, now: datetime, limits: Limits) -> Reason:
    sentence = words.SELF_TEST[case.self_test.value]
    if case.self_test is SelfTest.FAILED:
        return Reason("self_test", Outcome.HOLDS, sentence)
    if case.self_test is SelfTest.PASSED:
        return Reason("self_test", Outcome.FAILS, sentence)
    if case.self_test is SelfTest.NO_ANSWER:
        return Reason("self_test", Outcome.UNKNOWN, sentence)
    return Reason("self_test", Outcome.OPEN, sentence, now + limits.look_again)
