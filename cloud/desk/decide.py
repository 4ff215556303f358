"""Pure: what to do about a case, given its four codes, the device's owner now, and the clock.

Order matters, and each rule has its reason: no call without all four codes; none about a fault that is over; none on
old news; never to a former owner.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from cloud.desk.settings import Policy


class Withheld(StrEnum):
    """Why a complete case has no open ticket."""

    OVER = "over"  # the fault cleared before there was a ticket
    STALE = "stale"  # the device was not heard of for long: whether the fault still stands is unknown
    UNBOUND = "unbound"  # nobody has the device now
    STORM = "storm"  # many devices of the region report the same: see the incident
    FORMER_OWNER = "former_owner"  # it happened to somebody who has the device no longer, and is over


@dataclass(frozen=True, slots=True)
class Outlook:
    """A case with all that a decision needs. Times are event times; `heard`: within the policy's stale_after."""

    case_no: int
    device_no: int
    source: str
    problem: str
    occurred_at: datetime
    last_raised_at: datetime
    last_at: datetime
    cleared_at: datetime | None
    raises: int
    probability: float
    horizon_hours: float | None
    reason: dict[str, Any] | None
    user_id: str | None
    gtin: str | None
    serial: str | None
    model: str | None
    definition_no: int | None
    missing: list[str]
    withheld: str | None
    ticket_no: int | None
    family: str | None
    family_name: dict[str, str] | None
    severity: str | None
    safety: str | None
    stops: bool | None
    meaning: dict[str, str] | None
    customer_words: dict[str, str] | None
    likely_parts: list[str] | None
    owner_now: str | None
    open_ticket_user: str | None
    heard: bool
    storm: bool = False

    @property
    def standing(self) -> bool:
        """Whether the fault has not cleared."""
        return self.cleared_at is None


@dataclass(frozen=True, slots=True)
class Propose:
    """Open a ticket to call this user, or gather into the one that is open for this device and problem."""

    user_id: str


@dataclass(frozen=True, slots=True)
class Withhold:
    """Open none, and say why."""

    why: Withheld


@dataclass(frozen=True, slots=True)
class Leave:
    """Nothing to do: the case waits for a code, or has had its ticket."""


Decision = Propose | Withhold | Leave


def decide(case: Outlook, now: datetime, policy: Policy, fresh: bool = False) -> Decision:
    """What to do about a case that has no open ticket of its own.

    `fresh`: the case came new in this turn. In a replay such a case may have begun and ended within the turn; it is
    decided as it would have been when it began.
    """
    if case.missing or case.ticket_no is not None:
        return Leave()
    if case.cleared_at is not None and not (policy.replay and fresh and case.cleared_at > case.occurred_at):
        settled = _cleared(case, now - case.cleared_at, policy)
        if settled is not None:
            return settled
    if case.storm:
        return Withhold(Withheld.STORM)
    if not case.heard:
        return Withhold(Withheld.STALE)
    if case.owner_now is None:
        return Withhold(Withheld.UNBOUND)
    # A fault that still stands is the present owner's, whoever had the device when it began.
    return Propose(case.owner_now)


def _cleared(case: Outlook, clear_for: timedelta, policy: Policy) -> Decision | None:
    """What to do about a case whose fault has cleared; None: it is chattering, and worth a ticket if all else is."""
    if case.owner_now is not None and case.open_ticket_user == case.user_id == case.owner_now:
        return Propose(case.owner_now)  # further evidence for a ticket that is open anyway
    if case.raises < policy.chatter_raises or clear_for > policy.over_after(case.source):
        return Withhold(Withheld.OVER)
    return None if case.owner_now == case.user_id else Withhold(Withheld.FORMER_OWNER)
