"""Pure: what a message says, in plain words, from the facts of a ticket or of a storm.

Each message says who speaks, what was seen, what can be done by one tap, how to check that it is genuine, how to stop.
What is stored of it (`told`) has neither codes nor links nor contacts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from cloud.desk.outreach.ladder import Channel
from cloud.desk.outreach.secrets import Action, written
from cloud.locale.catalogues import Words

ASKING = frozenset({"first_call", "reminder", "came_back", "new_time"})
"""Purposes that ask for an answer; the others tell what the customer's own answer led to."""

WARNING = frozenset({"first_call", "reminder", "came_back"})
PROACTIVE = WARNING | {"storm"}
"""Purposes that come unasked, count to the household's cap, and say how to stop them."""

Link = Callable[[Action, int], str]
"""Makes the URL of one tap: an action, and for an offer its number (else 0)."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A window in which somebody could come."""

    slot_no: int
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """What a message is made of. Texts are already in the customer's language."""

    purpose: str
    company: str
    appliance: str
    seen: str
    zone: ZoneInfo
    page_url: str
    steps: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()
    appointment: Offer | None = None
    gentle_until: datetime | None = None
    gentle_by_itself: bool = False  # the appliance has answered that it runs gently
    danger: str = "none"


@dataclass(frozen=True, slots=True)
class Composed:
    """A message: `text` as it is sent, `told` as it is kept."""

    subject: str
    text: str = field(repr=False)
    told: str


def compose(facts: Facts, channel: Channel, words: Words, code: str, link: Link) -> Composed:
    """The message for a channel: long for e-mail, short for others, a script for the phone."""
    subject = _subject(facts, words)
    said = _said(facts, words)
    if channel == "email":
        text = _letter(facts, words, said, code, link)
    elif channel == "phone":
        text = _script(facts, words, said, code)
    else:
        text = _short(facts, words, said, code, link)
    return Composed(subject, text, words.both(said))


def _subject(facts: Facts, words: Words) -> str:
    subjects = {
        "first_call": words.say("About your {appliance}: we noticed something", appliance=facts.appliance),
        "reminder": words.say("About your {appliance}: as you asked, later", appliance=facts.appliance),
        "came_back": words.say("Your {appliance} still needs attention", appliance=facts.appliance),
        "new_time": words.say("A new time for our visit to your {appliance}", appliance=facts.appliance),
        "appointment": words.say("Our visit to your {appliance} is booked", appliance=facts.appliance),
        "all_clear": words.say("Your {appliance} is fine again", appliance=facts.appliance),
        "closing": words.say("Your {appliance}: all done", appliance=facts.appliance),
        "storm": words.say("Trouble in your area, not in your {appliance}", appliance=facts.appliance),
    }
    return subjects[facts.purpose]


def _said(facts: Facts, words: Words) -> list[str]:
    """The substance, without links: the same on every channel."""
    said: list[str] = []
    if facts.purpose in ("first_call", "reminder"):
        said.append(facts.seen)
    elif facts.purpose == "came_back":
        said.append(
            words.say("We kept watching your {appliance}: it is not back to normal.", appliance=facts.appliance)
        )
        said.append(words.say("It is best that somebody has a look at it."))
    elif facts.purpose == "new_time":
        said.append(words.say("The time agreed for your {appliance} cannot be kept.", appliance=facts.appliance))
    elif facts.purpose == "appointment" and facts.appointment is not None:
        window = words.window(facts.appointment.starts_at, facts.appointment.ends_at, facts.zone)
        said.append(
            words.say("Our engineer comes for your {appliance}: {window}.", appliance=facts.appliance, window=window)
        )
    elif facts.purpose == "all_clear":
        said.append(words.say("What we told you of is over: there is nothing that you have to do."))
    elif facts.purpose == "closing":
        said.append(
            words.say("Your {appliance} works as it should. Thank you for your help.", appliance=facts.appliance)
        )
    elif facts.purpose == "storm":
        said.append(facts.seen)
        said.append(
            words.say(
                "As far as we can see, your {appliance} is not the reason: nobody needs to come.",
                appliance=facts.appliance,
            )
        )
        said.append(words.say("We keep watching. If it still reports trouble when this is over, we tell you."))
    return said + _gently(facts, words) + _danger(facts, words)


def _gently(facts: Facts, words: Words) -> list[str]:
    """What the appliance does is said only where it has answered so; else the customer is asked to."""
    if facts.gentle_until is None:
        return []
    day = words.day(facts.gentle_until, facts.zone)
    if facts.gentle_by_itself:
        return [
            words.say(
                "Until {day} it runs gently by itself, to last until we come: slower, or with less power.", day=day
            )
        ]
    return [
        words.say("Until {day}, please use it gently: short, cool or light programs, and not at full power.", day=day)
    ]


def _danger(facts: Facts, words: Words) -> list[str]:
    if facts.purpose not in WARNING:
        return []
    warnings = {
        "gas": words.say(
            "Please turn it off, do not use any switch if you smell gas, open a window and leave the room."
        ),
        "electric": words.say("Please switch it off and pull the plug."),
        "heat": words.say("Please switch it off and let it cool down."),
        "water": words.say("Please turn off its water tap."),
    }
    return [warnings[facts.danger]] if facts.danger in warnings else []


def _letter(facts: Facts, words: Words, said: Sequence[str], code: str, link: Link) -> str:
    blocks = [words.say("Hello, this is {company}.", company=facts.company) + "\n" + "\n".join(said)]
    if facts.steps:
        numbered = [f"{number}. {step}" for number, step in enumerate(facts.steps, 1)]
        blocks.append("\n".join([words.say("You can safely try this yourself:"), *numbered]))
    blocks.append("\n".join(_choices(facts, words, link)))
    blocks.append(
        "\n".join(
            [
                words.say(
                    "Is this message really from us? Check it with the code {code} on this page:", code=written(code)
                ),
                facts.page_url,
                words.say("We never ask for a password or for money in a message."),
            ]
        )
    )
    if facts.purpose in ASKING | PROACTIVE:
        blocks.append(words.say("No more messages like this: {url}", url=link("stop", 0)))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _choices(facts: Facts, words: Words, link: Link) -> list[str]:
    if facts.purpose not in ASKING:
        return []
    lines = []
    if facts.steps:
        lines.append(words.say("It is solved: {url}", url=link("solved", 0)))
        lines.append(words.say("Please send somebody: {url}", url=link("visit", 0)))
    elif facts.offers:
        lines.append(words.say("We can come at these times; one tap accepts:"))
        for offer in facts.offers:
            window = words.window(offer.starts_at, offer.ends_at, facts.zone)
            lines.append(f"- {window}: {link('accept', offer.slot_no)}")
        lines.append(words.say("It is solved: {url}", url=link("solved", 0)))
        lines.append(words.say("Another time, or a question; we call you: {url}", url=link("call_me", 0)))
    else:
        lines.append(words.say("Please send somebody: {url}", url=link("visit", 0)))
        lines.append(words.say("It is solved: {url}", url=link("solved", 0)))
    lines.append(words.say("Not now: {url}", url=link("not_now", 0)))
    return lines


def _short(facts: Facts, words: Words, said: Sequence[str], code: str, link: Link) -> str:
    parts = [words.say("{company}:", company=facts.company), *said]
    if facts.purpose in ASKING:
        if facts.offers and not facts.steps:
            first = facts.offers[0]
            window = words.window(first.starts_at, first.ends_at, facts.zone)
            parts.append(words.say("{window}? Yes: {url}", window=window, url=link("accept", first.slot_no)))
        parts.append(words.say("What you can do: {url}", url=link("visit", 0)))
    if facts.purpose in ASKING | PROACTIVE:
        parts.append(words.say("Stop: {url}", url=link("stop", 0)))
    parts.append(words.say("Genuine? Code {code} at {url}", code=written(code), url=facts.page_url))
    return " ".join(part for part in parts if part)


def _script(facts: Facts, words: Words, said: Sequence[str], code: str) -> str:
    lines = [
        words.say(
            "“Hello, this is {company}. I am calling about your {appliance}.”",
            company=facts.company,
            appliance=facts.appliance,
        ),
        words.say(
            "“Before we go on: you can check that this call is genuine. Open the page of your appliance, by the code "
            "printed on it, and enter {code}. I wait, or you call us back.”",
            code=written(code),
        ),
        *(f"“{sentence}”" for sentence in said),
    ]
    if facts.steps:
        lines.append(words.say("Offer these steps, one at a time, and only if the customer wants to:"))
        lines.extend(f"{number}. {step}" for number, step in enumerate(facts.steps, 1))
    if facts.offers:
        lines.append(words.say("Offer these times:"))
        lines.extend(f"- {words.window(o.starts_at, o.ends_at, facts.zone)}" for o in facts.offers)
    lines.append(
        words.say("Never ask for a password, a card or money. If the customer wants no calls: thank them and note it.")
    )
    return "\n".join(lines)
