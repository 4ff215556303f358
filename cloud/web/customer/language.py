"""Which language a visitor reads: their choice, else their account's, else what their browser asks for. Pure."""

from __future__ import annotations

from cloud.locale.catalogues import FALLBACK, Words, languages, words

DOMAIN = "customer"
COOKIE = "firstcall_language"


def words_of(locale: str) -> Words:
    """The words of these pages in a locale."""
    return words(locale, DOMAIN)


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


def is_ours(language: str) -> bool:
    """Whether there is a catalogue of it."""
    return language in languages()
