"""Pure: whom to tell next, by which channel, and when. Time goes in, a decision comes out.

An outreach climbs a ladder of channels, the least intrusive first, and stops at an answer. `now` is the desk's time;
what depends on the wall clock (leases, retries) comes in as booleans.

What holds, whatever the order of events (tests/outreach/test_ladder.py): nothing is sent in quiet hours, nor on a
channel without consent, nor above the household's cap; after an answer no message begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from cloud.desk.outreach.hours import QuietHours

Channel = Literal["push", "messaging", "sms", "email", "phone"]
CHANNELS: tuple[Channel, ...] = ("push", "messaging", "sms", "email", "phone")
AttemptState = Literal["due", "in_flight", "delivered", "refused", "expired"]


class Ended(StrEnum):
    """Why an outreach ends."""

    ANSWERED = "answered"
    TOLD = "told"  # nothing was asked, and it was delivered
    EXHAUSTED = "exhausted"  # every channel was tried and nobody answered
    UNREACHABLE = "unreachable"  # no channel has both consent and an address
    STOPPED = "stopped"  # the customer withdrew every consent
    OVERTAKEN = "overtaken"  # the ticket has moved on, or the storm is over or concerns the customer no more
    FORMER_OWNER = "former_owner"


class Because(StrEnum):
    """Why an outreach waits."""

    QUIET = "quiet_hours"
    CAP = "household_cap"
    NOT_NOW = "not_now"
    PATIENCE = "waits_for_an_answer"
    RETRY = "provider_backs_off"
    IN_FLIGHT = "in_flight"


@dataclass(frozen=True, slots=True)
class Rung:
    """A channel, and how long an answer is waited for before the next one is tried."""

    channel: Channel
    patience: timedelta


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many proactive messages a household within any span of this length."""

    messages: int
    within: timedelta


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was tried on one channel. Desk times; `retry_due` and `lease_over` are the wall clock's word."""

    channel: Channel
    state: AttemptState
    first_tried_at: datetime
    last_tried_at: datetime | None = None  # None: never given to a provider
    delivered_at: datetime | None = None
    retry_due: bool = True
    lease_over: bool = True


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision about one outreach takes."""

    now: datetime
    rungs: tuple[Rung, ...]
    usable: frozenset[Channel]  # consented to, with an address, and a provider behind it
    attempts: tuple[Attempt, ...]
    quiet: QuietHours
    disregard_quiet: bool = False  # urgent, and the customer wants to be woken for that
    cap: Cap | None = None  # None: an answer to the customer's own act, which the cap does not count
    household_sends: tuple[datetime, ...] = ()  # proactive messages of the household's other outreaches, by last try
    wants_answer: bool = True
    answered: bool = False
    stopped: bool = False
    overtaken: bool = False
    owner: bool = True
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Send now on this channel; `again` when an earlier try failed or was cut off: the same key then."""

    channel: Channel
    again: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until`, in desk time (None: until something happens)."""

    because: Because
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more to do, and why."""

    why: Ended


Decision = Send | Wait | End


def decide(s: Situation) -> Decision:
    """What to do about an outreach now."""
    over = _over(s)
    if over is not None:
        return End(over)
    standing = _standing(s)
    if isinstance(standing, (Wait, End)):
        return standing
    return _permitted(s, standing)


def climbed_past(s: Situation) -> frozenset[Channel]:
    """Channels whose due message is given up because the ladder has gone on: these expire."""
    return frozenset(
        a.channel for a in s.attempts if a.state == "due" and s.now >= a.first_tried_at + _patience(s, a.channel)
    )


def _over(s: Situation) -> Ended | None:
    """The reasons to end that come before any channel. One that is in flight is let land: its outcome is unknown."""
    reasons = (
        (not s.owner, Ended.FORMER_OWNER),
        (s.answered, Ended.ANSWERED),
        (s.stopped, Ended.STOPPED),
        (s.overtaken, Ended.OVERTAKEN),
    )
    return next((why for holds, why in reasons if holds), None)


def _standing(s: Situation) -> Send | Wait | End:
    """Where on the ladder this outreach stands: the channel whose turn it is, before window and cap are asked."""
    attempts = {a.channel: a for a in s.attempts}
    if any(a.state == "delivered" for a in s.attempts) and not s.wants_answer:
        return End(Ended.TOLD)
    for rung in s.rungs:
        attempt = attempts.get(rung.channel)
        turn = _untried(s, rung) if attempt is None else _tried(s, rung, attempt)
        if turn is not None:
            return turn
    reached = any(a.state in ("delivered", "in_flight") for a in s.attempts)
    return End(Ended.EXHAUSTED if reached or s.attempts else Ended.UNREACHABLE)


def _untried(s: Situation, rung: Rung) -> Send | None:
    return Send(rung.channel) if rung.channel in s.usable else None


def _tried(s: Situation, rung: Rung, attempt: Attempt) -> Send | Wait | None:
    """What a rung that was tried asks for; None: go on to the next."""
    if attempt.state in ("refused", "expired"):
        return None
    if attempt.state == "delivered" and attempt.delivered_at is not None:
        until = attempt.delivered_at + rung.patience
        return Wait(Because.PATIENCE, until) if s.now < until else None
    if attempt.state == "in_flight":
        # Cut off in mid-air: nobody knows whether it arrived. It is sent again under the same key before going on.
        return Send(rung.channel, again=True) if attempt.lease_over else Wait(Because.IN_FLIGHT)
    if rung.channel not in s.usable or s.now >= attempt.first_tried_at + rung.patience:
        return None
    given_up_at = attempt.first_tried_at + rung.patience
    return Send(rung.channel, again=True) if attempt.retry_due else Wait(Because.RETRY, given_up_at)


def _permitted(s: Situation, turn: Send) -> Decision:
    """The turn, if customer and household may be disturbed now."""
    if turn.channel not in s.usable:
        return End(Ended.STOPPED)  # consent went while it was in the air: it is not sent again
    if s.not_before is not None and s.now < s.not_before:
        return Wait(Because.NOT_NOW, s.not_before)
    if not s.disregard_quiet and s.quiet.quiet_at(s.now):
        return Wait(Because.QUIET, s.quiet.next_open(s.now))
    if s.cap is not None:
        free_at = cap_frees_at(s.now, [*s.household_sends, *_own_sends(s, turn.channel)], s.cap)
        if free_at is not None:
            return Wait(Because.CAP, free_at)
    return turn


def cap_frees_at(now: datetime, sends: Sequence[datetime], cap: Cap) -> datetime | None:
    """When one more message would be within the cap; None: it is now."""
    recent = sorted(at for at in sends if at > now - cap.within)
    if len(recent) < cap.messages:
        return None
    return recent[len(recent) - cap.messages] + cap.within


def _own_sends(s: Situation, but: Channel) -> list[datetime]:
    """When this outreach may have reached the household by its other channels."""
    times = (a.delivered_at or a.last_tried_at for a in s.attempts if a.channel != but and a.state != "refused")
    return [at for at in times if at is not None]


def _patience(s: Situation, channel: Channel) -> timedelta:
    return next((r.patience for r in s.rungs if r.channel == channel), timedelta(0))


def one_channel(rungs: tuple[Rung, ...], used: Sequence[Attempt], answered_on: Channel | None) -> tuple[Rung, ...]:
    """The ladder after an answer: the channel that was answered on, first of all and alone once it was tried.

    A message that follows an answer (an appointment, a closing) goes to one channel: another is tried only when the
    one before refused it for good.
    """
    order = sorted(rungs, key=lambda r: r.channel != answered_on)
    kept = [r for r in order if r.channel != "phone" or r.channel == answered_on]
    alive = next((a.channel for a in used if a.state in ("delivered", "in_flight", "due")), None)
    if alive is not None:
        kept = [r for r in kept if r.channel == alive]
    return tuple(kept)
