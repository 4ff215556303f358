"""The console's words, ready for gettext, and texts that the database holds by language.

English is the source. A catalogue `locale/<language>/LC_MESSAGES/console.mo` beside this file adds a language.
"""

from __future__ import annotations

import gettext
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_catalogue = gettext.translation("console", Path(__file__).parent / "locale", fallback=True)
_ = _catalogue.gettext
ngettext = _catalogue.ngettext

SEVERITY = {
    "critical": _("Critical"),
    "high": _("High"),
    "medium": _("Medium"),
    "low": _("Low"),
    "unknown": _("Unknown"),
}
STATE = {
    "proposed": _("Proposed"),
    "confirmed": _("Confirmed"),
    "contacted": _("Contacted"),
    "scheduled": _("Scheduled"),
    "resolved": _("Resolved"),
    "dismissed": _("Dismissed"),
}
OUTCOME = {
    "fault_confirmed": _("Fault confirmed"),
    "other_fault": _("Another fault"),
    "no_fault_found": _("No fault found"),
    "caused_by_use": _("Caused by use"),
}
SAFETY = {
    "none": "",
    "water": _("Water may leak"),
    "electric": _("Electric hazard"),
    "heat": _("Heat hazard"),
    "gas": _("Gas hazard"),
}
MISSING = {
    "device": _("device not registered"),
    "user": _("no user bound"),
    "product": _("product unknown"),
    "model": _("model unknown"),
    "code": _("code not in the dictionary"),
}


def lines_in_language(texts: Mapping[str, Any] | None, language: str = "en") -> list[str]:
    """The lines in a language, else in English, else in any; one for a plain text, none when there is none."""
    if not texts:
        return []
    found = texts.get(language) or texts.get(language[:2]) or texts.get("en") or next(iter(texts.values()))
    return [str(t) for t in found] if isinstance(found, list) else [str(found)]


def in_language(texts: Mapping[str, Any] | None, language: str = "en") -> str:
    """The same as one text; empty when there is none."""
    return " ".join(lines_in_language(texts, language))


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
    """A number with thin spaces between thousands."""
    return f"{number:,.{digits}f}".replace(",", "\u202f")


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
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}" if seconds < 10 * length else f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
