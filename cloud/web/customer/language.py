"""Which language a visitor reads: their choice, else their account's, else what their browser asks for. Pure."""

from __future__ import annotations

from cloud.locale.catalogues import Words, languages, preferred, words

__all__ = ["COOKIE", "DOMAIN", "is_ours", "preferred", "words_of"]

DOMAIN = "customer"
COOKIE = "firstcall_language"


def words_of(locale: str) -> Words:
    """The words of these pages in a locale."""
    return words(locale, DOMAIN)


def is_ours(language: str) -> bool:
    """Whether there is a catalogue of it."""
    return language in languages()
