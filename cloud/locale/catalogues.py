"""Words by locale: sentences from gettext catalogues, texts that the database keeps by language, dates, lists.

A catalogue is `<language>/LC_MESSAGES/<domain>.po`; the English sentence in the code is its key, so that English is
what is shown where a translation is missing. Catalogues are read from their sources, once a process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_skeleton, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

DOMAIN = "firstcall"
FALLBACK = "en"


@cache
def languages() -> tuple[str, ...]:
    """The languages that there are catalogues for, English first."""
    folder = files("cloud.locale")
    found = sorted(f.name for f in folder.iterdir() if f.joinpath("LC_MESSAGES", f"{DOMAIN}.po").is_file())
    return (FALLBACK, *(name for name in found if name != FALLBACK))


def preferred(accept_language: str) -> str:
    """The language of ours that a browser's Accept-Language (RFC 9110, 12.5.4) likes best; English if none."""
    wishes: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept_language.split(",")[:20]):
        name, _, weight = part.strip().partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            continue
        wishes.append((-quality, place, name.strip().partition("-")[0].lower()))
    return next((name for quality, _, name in sorted(wishes) if name in languages() and quality < 0), FALLBACK)


@cache
def words(locale: str, domain: str = DOMAIN) -> Words:
    """The words of a locale such as en, zh or zh-CN; of the nearest language that there is."""
    try:
        parsed = Locale.parse(locale.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        parsed = Locale.parse(FALLBACK)
    language = next((n for n in (str(parsed), parsed.language) if n in languages()), FALLBACK)
    return Words(
        parsed if parsed.language == language.partition("_")[0] else Locale.parse(FALLBACK),
        _catalogue(language, domain),
    )


@cache
def _catalogue(language: str, domain: str) -> Translations:
    source = files("cloud.locale").joinpath(language, "LC_MESSAGES", f"{domain}.po")
    with source.open("rb") as file:
        catalogue = read_po(file, locale=language, domain=domain)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled, domain=domain)


class Words:
    """One locale's way of saying things."""

    def __init__(self, locale: Locale, catalogue: Translations) -> None:
        self.locale = locale
        self._catalogue = catalogue

    @property
    def language(self) -> str:
        """Such as `en` or `zh`."""
        return str(self.locale.language)

    def say(self, sentence: str, /, **values: object) -> str:
        """A sentence of the catalogue with its {values} filled in."""
        said = str(self._catalogue.gettext(sentence))
        return said.format_map({name: str(value) for name, value in values.items()}) if values else said

    def pick(self, by_language: Mapping[str, Any] | None, default: Any = "") -> Any:
        """This language's entry of a text by language; else English; else any; else the default."""
        if not by_language:
            return default
        for name in (str(self.locale), self.language, FALLBACK):
            if by_language.get(name):
                return by_language[name]
        return next(iter(by_language.values())) or default

    def day(self, at: datetime, zone: ZoneInfo) -> str:
        """A day as people say it: Tue, Nov 25."""
        return str(format_skeleton("MMMEd", at.astimezone(zone), tzinfo=zone, locale=self.locale))

    def clock(self, at: datetime, zone: ZoneInfo) -> str:
        """A time of day."""
        return str(format_time(at.astimezone(zone), "short", tzinfo=zone, locale=self.locale)).replace("\u202f", " ")

    def window(self, starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> str:
        """A window of a day: Tue, Nov 25, 10:00–12:00."""
        return self.say(
            "{day}, {start}–{end}",
            day=self.day(starts_at, zone),
            start=self.clock(starts_at, zone),
            end=self.clock(ends_at, zone),
        )

    def both(self, parts: Sequence[str]) -> str:
        """Sentences one after the other, as the script wants: with a blank between them, or none in Chinese."""
        return ("" if self.language in ("zh", "ja") else " ").join(part for part in parts if part)
