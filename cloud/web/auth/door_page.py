"""The page at the door: plain HTML without a script of the console, in the visitor's language."""

from __future__ import annotations

import html
from dataclasses import dataclass

from fastapi import Request

from cloud.locale.catalogues import Words, languages, preferred, words

DOMAIN = "sign_in"
LANGUAGE_COOKIE = "fc_language"
"""Which language somebody chose in the console."""


def N_(sentence: str) -> str:  # noqa: N802 - the name that extraction tools know
    """Marks a sentence for the catalogue; it is translated where it is shown."""
    return sentence


WRONG = N_("The name or the password is wrong.")
TOO_OFTEN = N_("Too many failed attempts. Wait a minute and try again.")
BEGUN_ELSEWHERE = N_("This sign-in was begun elsewhere, or is over. Try again.")
NOT_COMPLETED = N_("The sign-in was not completed. Try again.")
PROVIDER_TROUBLE = N_("Your organisation's sign-in does not answer as it should. Try again; the log says more.")

_HEAD = """<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title} · firstcall</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/assets/console.css">
<link rel="icon" href="/assets/mark.svg" type="image/svg+xml">{more}
<script>if (matchMedia("(prefers-color-scheme: dark)").matches) addEventListener("DOMContentLoaded", () =>
document.body.classList.add("body--dark"));</script></head><body><main class="fc-door">"""
_FORM = """<form method="post" action="/sign-in"><h1 class="fc">{title}</h1>{wrong}
<input type="hidden" name="next" value="{next}">
<label>{name}
<input name="operator" autocomplete="username" required maxlength="64" autofocus value="{operator}"></label>
<label>{password}<input name="password" type="password" autocomplete="current-password" required></label>
<button>{title}</button></form>"""
_PROVIDER = '<p><a class="fc-provider" href="/sign-in/oidc?next={next}">{label}</a></p>'
_FOOT = "</main></body></html>"


@dataclass(frozen=True, slots=True)
class Ways:
    """How people come in here: with a password, by their organisation, or both."""

    password: bool
    provider: bool


def door_page(request: Request, ways: Ways, target: str, operator: str, wrong: str) -> str:
    """The sign-in page, which leads to `target`. `wrong`: why nobody was let in, a sentence above or plain text."""
    said = words_for(request)
    title, wanted = said.say(N_("Sign in")), html.escape(target, quote=True)
    told = f'<p class="fc-wrong" role="alert">{html.escape(said.say(wrong))}</p>' if wrong else ""
    form = _FORM.format(
        title=title,
        name=said.say(N_("Your name")),
        password=said.say(N_("Password")),
        operator=html.escape(operator, quote=True),
        next=wanted,
        wrong=told,
    )
    body = form if ways.password else f'<h1 class="fc">{title}</h1>{told}'
    if ways.provider:
        body += _PROVIDER.format(next=wanted, label=said.say(N_("Sign in with your organisation")))
    return _HEAD.format(language=said.language, title=title, more="") + body + _FOOT


def onward(request: Request, target: str) -> str:
    """A page of our own between the provider and the console: a cookie that is SameSite=Strict is not sent along a
    redirect that began elsewhere."""
    said, there = words_for(request), html.escape(target, quote=True)
    more = f'<meta http-equiv="refresh" content="0; url={there}">'
    head = _HEAD.format(language=said.language, title=said.say(N_("Sign in")), more=more)
    return f'{head}<p><a href="{there}">{said.say(N_("Go on"))}</a></p>{_FOOT}'


def words_for(request: Request) -> Words:
    """What the visitor chose in the console, else what their browser asks for."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    known = chosen if chosen in languages() else preferred(request.headers.get("accept-language", ""))
    return words(known, DOMAIN)
