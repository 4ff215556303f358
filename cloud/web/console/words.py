"""The console's words: what the desk's stable words are called, texts that the database holds by language, figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloud.web.console.language import N_, Phrases, _, language

__all__ = ["N_", "_", "language"]

SEVERITY = Phrases(
    {
        "critical": N_("Critical"),
        "high": N_("High"),
        "medium": N_("Medium"),
        "low": N_("Low"),
        "unknown": N_("Unknown"),
    }
)
STATE = Phrases(
    {
        "proposed": N_("Proposed"),
        "confirmed": N_("Confirmed"),
        "contacted": N_("Contacted"),
        "scheduled": N_("Scheduled"),
        "resolved": N_("Resolved"),
        "dismissed": N_("Dismissed"),
    }
)
OUTCOME = Phrases(
    {
        "fault_confirmed": N_("Fault confirmed"),
        "other_fault": N_("Another fault"),
        "no_fault_found": N_("No fault found"),
        "caused_by_use": N_("Caused by use"),
    }
)
SAFETY = Phrases(
    {
        "none": "",
        "water": N_("Water may leak"),
        "electric": N_("Electric hazard"),
        "heat": N_("Heat hazard"),
        "gas": N_("Gas hazard"),
    }
)
VERDICT = Phrases(
    {
        "confirmed": N_("Confirmed by the rule"),
        "refuted": N_("Refuted by the rule"),
        "needs_person": N_("Needs a person's judgement"),
        "waiting": N_("Evidence is being gathered"),
    }
)
PURPOSE = Phrases(
    {
        "first_call": N_("First word about the fault"),
        "reminder": N_("Reminder"),
        "came_back": N_("The fault came back"),
        "new_time": N_("A new time is needed"),
        "appointment": N_("Appointment"),
        "all_clear": N_("All clear"),
        "closing": N_("Closing word"),
    }
)
SENDING = Phrases(
    {
        "due": N_("to be sent"),
        "in_flight": N_("being sent"),
        "delivered": N_("delivered"),
        "refused": N_("refused by the provider"),
        "expired": N_("expired"),
        "open": N_("to be sent"),
        "answered": N_("answered"),
        "told": N_("told"),
        "exhausted": N_("nobody could be reached"),
        "cancelled": N_("cancelled"),
    }
)
ORDER = Phrases(
    {
        "waiting": N_("waits for a time"),
        "offered": N_("times offered"),
        "booked": N_("booked"),
        "done": N_("done"),
        "cancelled": N_("cancelled"),
    }
)
PAUSE = Phrases(
    {
        "customer_unreachable": N_("the customer cannot be reached"),
        "customer_asked_later": N_("the customer asked for later"),
        "waiting_for_part": N_("a part has to come first"),
        "no_access": N_("nobody let the engineer in"),
        "watching": N_("watched after self-help"),
    }
)
GENTLE = Phrases(
    {
        "asked": N_("Asked to run gently until"),
        "accepted": N_("Runs gently until"),
        "refused": N_("the appliance cannot"),
        "failed": N_("the appliance did not manage to"),
        "expired": N_("the appliance has not answered"),
        "over": N_("until the visit, as asked"),
        "ended": N_("not needed any more"),
    }
)
ANSWER = Phrases(
    {
        "accept": N_("takes the time"),
        "visit": N_("wants a visit"),
        "solved": N_("solved it"),
        "not_now": N_("not now"),
        "stop": N_("wants no more messages"),
        "call_me": N_("wants a call"),
    }
)
CLOCK = Phrases({"contact": N_("for the call"), "visit": N_("for the visit")})
WITHHELD = Phrases(
    {
        "over": N_("over before a ticket was raised"),
        "stale": N_("not heard of for long"),
        "unbound": N_("nobody has the device now"),
        "storm": N_("part of a storm"),
        "former_owner": N_("happened to a former owner"),
    }
)
BAND = Phrases({"economy": N_("economy"), "middle": N_("mid-price"), "premium": N_("premium")})
MISSING = Phrases(
    {
        "device": N_("device not registered"),
        "user": N_("no user bound"),
        "product": N_("product unknown"),
        "model": N_("model unknown"),
        "code": N_("code not in the dictionary"),
    }
)


def lines_in_language(texts: Mapping[str, Any] | None, spoken: str = "") -> list[str]:
    """The lines in a language (if none is named, the page's), else in English, else in any; none if there is none."""
    if not texts:
        return []
    spoken = spoken or language()
    found = texts.get(spoken) or texts.get(spoken[:2]) or texts.get("en") or next(iter(texts.values()))
    return [str(t) for t in found] if isinstance(found, list) else [str(found)]


def in_language(texts: Mapping[str, Any] | None, spoken: str = "") -> str:
    """The same as one text; empty when there is none."""
    return " ".join(lines_in_language(texts, spoken))


def problem_name(problem: str, meaning: Mapping[str, Any] | None) -> str:
    """What a problem is called on screen: its meaning, or that it has none yet."""
    if meaning:
        return in_language(meaning)
    return _("Unusual behaviour") if problem == "anomaly" else _("Unexplained code {code}").format(code=problem)


def missing_words(missing: list[str]) -> str:
    """What a case lacks, in words."""
    return ", ".join(MISSING.get(m, m) for m in missing)


def percent(share: float) -> str:
    """A probability for a person: never a false 0 % or 100 %."""
    if 0 < share < 0.01:
        return "< 1 %"
    if 0.99 < share < 1:
        return "> 99 %"
    return f"{share * 100:.0f} %"


def figure(number: float, digits: int = 0) -> str:
    """A number with thin spaces between thousands and a minus that is one."""
    return f"{number:,.{digits}f}".replace(",", "\u202f").replace("-", "\u2212")


def size(octets: int) -> str:
    """Bytes for a person."""
    amount = float(octets)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError("unreachable")


def duration(seconds: float) -> str:
    """A length of time for a person, to one unit."""
    for length, name in ((86_400, N_("d")), (3_600, N_("h")), (60, N_("min"))):
        if seconds >= length:
            unit = _(name)
            return f"{seconds / length:.1f} {unit}" if seconds < 10 * length else f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} {_('s')}"
