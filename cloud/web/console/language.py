"""Which language a page speaks, and its sentences.

English is the source. A catalogue `cloud/locale/<language>/LC_MESSAGES/console.po` adds a language; a sentence that it
lacks is shown in English. A page carries its language (a cookie, else what the browser asks for), so that everything
drawn later on it speaks the same; outside a page the language is the task's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from nicegui.slot import Slot
from starlette.requests import HTTPConnection

from cloud.web.auth import door_page

DOMAIN = "console"
LANGUAGE_COOKIE, SCHEME_COOKIE = door_page.LANGUAGE_COOKIE, "fc_scheme"
NAMES = {"en": "English", "zh": "中文"}
_TAGS = {"en": "en-US", "zh": "zh-CN"}  # as browsers and Quasar name them
_spoken: ContextVar[str] = ContextVar("spoken_language", default="en")


def N_(sentence: str) -> str:  # noqa: N802 - the name that extraction tools know
    """Marks a sentence for the catalogue; it is translated where it is shown."""
    return sentence


def _(sentence: str) -> str:
    """A sentence in the page's language."""
    return str(_catalogue(language()).gettext(sentence)) if sentence else ""


def language() -> str:
    """The language to speak now: `en` or `zh`."""
    stack = Slot.get_stack()
    if not stack:
        Slot.prune_stack()
        return _spoken.get()
    tag = stack[-1].parent.client.page.language
    return tag[:2] if isinstance(tag, str) and tag[:2] in NAMES else _spoken.get()


@contextmanager
def speaking(name: str) -> Iterator[None]:
    """Speak a language within the block, where there is no page."""
    token = _spoken.set(name if name in NAMES else "en")
    try:
        yield
    finally:
        _spoken.reset(token)


def asked_for(request: HTTPConnection) -> str:
    """The language that a request asks for: by its cookie, else by the browser's first language that there is."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in NAMES:
        return chosen
    wanted = (part.split(";")[0].strip()[:2].lower() for part in request.headers.get("accept-language", "").split(","))
    return next((name for name in wanted if name in NAMES), "en")


def scheme_of(request: HTTPConnection) -> str:
    """`light`, `dark`, or `auto`: as the system has it."""
    chosen = request.cookies.get(SCHEME_COOKIE, "")
    return chosen if chosen in {"light", "dark"} else "auto"


def dress(client: Any, request: HTTPConnection) -> None:
    """Give a page that is being built its language and its light: pages are shared by all, hence the copy."""
    client.page = copy(client.page)
    client.page.language = _TAGS[asked_for(request)]
    client.page.dark = {"light": False, "dark": True}.get(scheme_of(request))


class Phrases(Mapping[str, str]):
    """Words by a stable key, each in the page's language when it is read."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = dict(words)

    def __getitem__(self, key: str) -> str:
        return _(self._words[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)


@cache
def _catalogue(name: str) -> Translations:
    source = files("cloud.locale").joinpath(name, "LC_MESSAGES", f"{DOMAIN}.po")
    if not source.is_file():
        return Translations()
    with source.open("rb") as file:
        catalogue = read_po(file, locale=name, domain=DOMAIN)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled, domain=DOMAIN)
