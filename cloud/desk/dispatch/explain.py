"""Pure: why this engineer at this time, in a sentence, in every language that there is a catalogue for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cloud.desk.dispatch.assign import EXPERIENCED, Assignment
from cloud.locale.catalogues import Words, languages, words

ByLanguage = dict[str, str]


@dataclass(frozen=True, slots=True)
class Names:
    """What things are called, by language, and the customer's time zone."""

    family: Mapping[str, str] | None
    part: Mapping[str, str] | None
    zone: ZoneInfo


def explain(a: Assignment, names: Names, now: datetime) -> ByLanguage:
    """The sentence, by language."""
    return {language: _sentence(a, names, now, words(language)) for language in languages()}


def _sentence(a: Assignment, names: Names, now: datetime, said: Words) -> str:
    reasons = [_skill(a, names, said), _experience(a, said), _part(a, names, said), _time(a, names, said)]
    if a.overdue:
        days = (now - a.order.waiting_since) // timedelta(days=1)
        reasons.append(said.say("waiting for {days} days, so that nobody goes first", days=days))
    listed = said.say("; ").join(reason for reason in reasons if reason)
    window = said.window(a.slot.start, a.slot.end, names.zone)
    return said.say("{name}, {window}: {reasons}.", name=a.engineer.name, window=window, reasons=listed)


def _skill(a: Assignment, names: Names, said: Words) -> str:
    family = str(said.pick(names.family, a.order.family)).lower()
    return said.say("knows this kind of appliance ({family})", family=family)


def _experience(a: Assignment, said: Words) -> str:
    if not a.order.experienced:
        return ""
    if a.engineer.seniority >= EXPERIENCED:
        return said.say("experienced, as this customer is owed")
    return said.say("no experienced engineer could come as soon")


def _part(a: Assignment, names: Names, said: Words) -> str:
    if a.part_in_van is None:
        return ""
    part = str(said.pick(names.part, a.order.part)).lower()
    if a.part_in_van:
        return said.say("has the {part} in the van", part=part)
    return said.say("must fetch the {part} first", part=part)


def _time(a: Assignment, names: Names, said: Words) -> str:
    if a.order.fails_by is not None:
        day = said.day(a.order.fails_by, names.zone)
        if a.slot.start > a.order.fails_by:
            return said.say("after the predicted failure ({day}): no earlier time is free", day=day)
        if a.slot.overtime:
            return said.say("after hours, to come before the predicted failure ({day})", day=day)
        return said.say("before the predicted failure ({day})", day=day)
    if a.slot.start <= a.first_possible:
        return said.say("the earliest time that is free")
    return said.say("an early time that leaves room for more urgent visits")


def why_gently(visit: datetime, failure: datetime, zone: ZoneInfo) -> ByLanguage:
    """Why the appliance should run gently until the visit, by language."""
    return {
        language: words(language).say(
            "The visit on {visit} comes after the predicted failure on {failure}; run gently until then.",
            visit=words(language).day(visit, zone),
            failure=words(language).day(failure, zone),
        )
        for language in languages()
    }
