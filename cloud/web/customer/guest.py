"""One request of a customer: who visits, in which language, with which form; and how a page goes back.

Every answer is complete HTML that needs neither scripts nor anything from another server, and is not kept by caches.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import structlog
from babel.dates import format_date
from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException

from cloud.locale.catalogues import Words
from cloud.registry import accounts
from cloud.registry.errors import UnknownUser
from cloud.registry.gs1 import ProductCode
from cloud.registry.people import Connection
from cloud.web.customer import language
from cloud.web.customer.reception import Reception, TooOften, client_of, reception_of
from cloud.web.customer.visits import PENDING_COOKIE, VISIT_COOKIE, Pending, Visit

log = structlog.get_logger(__name__)

HERE = Path(__file__).parent
FIELD_LENGTH = 300
DAY_S = 86_400
HEADERS = {
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
}


class Refusal(Exception):
    """A page that says no: what was wrong and what to do, in sentences of the catalogue."""

    def __init__(self, status: int, title: str, text: str) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.text = text


class Guest:
    """The visitor of one request."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.reception: Reception = reception_of(request)
        chosen = request.query_params.get("lang", "")
        self._chosen = chosen if language.is_ours(chosen) else None
        kept = request.cookies.get(language.COOKIE, "")
        browsers = language.preferred(request.headers.get("accept-language", ""))
        self.language = self._chosen or (kept if language.is_ours(kept) else browsers)
        self.words: Words = language.words_of(self.language)
        key, now = self.reception.parts.key, time.time()
        held = key.read(request.cookies.get(VISIT_COOKIE, ""), now)
        self._cookies: dict[str, str | None] = {}
        self.visit: Visit = held or self._begin(None)
        self.account: str | None = None

    @property
    def client(self) -> str:
        """Who asks, for limits."""
        return client_of(self.request)

    async def recognise(self, connection: Connection) -> str | None:
        """The account that is signed in, if it still exists."""
        if self.visit.user_id is not None:
            try:
                self.account = await accounts.account_of(connection, self.visit.user_id)
            except UnknownUser:
                self.sign_out()
        return self.account

    async def require_account(self, connection: Connection) -> str:
        """The account that is signed in. Refusal: nobody is."""
        if await self.recognise(connection) is None:
            raise Refusal(403, "Please sign in", "Your sign-in is over. Please sign in again, then do it once more.")
        return str(self.account)

    async def form(self) -> dict[str, str]:
        """The fields of a form of ours. Refusal: it did not come from a page of this visit."""
        try:
            given = await self.request.form(max_files=0, max_fields=40)
        except HTTPException:
            raise Refusal(
                400, "This did not work", "The form could not be read. Please go back and try again."
            ) from None
        fields = {k: v.replace("\0", "").strip()[:FIELD_LENGTH] for k, v in given.items() if isinstance(v, str)}
        if not self.reception.parts.key.is_form_token(self.visit, fields.get("token", "")):
            raise Refusal(
                403,
                "This page is too old",
                "Please open the page again and repeat what you did. Cookies must be allowed.",
            )
        return fields

    def sign_in(self, account: str) -> None:
        """A fresh visit of this account."""
        self.account = account
        self.visit = self._begin(account)

    def sign_out(self) -> None:
        """A fresh visit of nobody."""
        self.account = None
        self.visit = self._begin(None)

    def wait_for_code(self, pending: Pending | None) -> None:
        """Keep what is to be verified at the customer's; None forgets it."""
        key = self.reception.parts.key
        self._cookies[PENDING_COOKIE] = None if pending is None else key.seal(pending, self.visit)

    def pending(self) -> Pending | None:
        """What is to be verified, if it is not too old."""
        return self.reception.parts.key.open(self.request.cookies.get(PENDING_COOKIE, ""), self.visit, time.time())

    def show(self, template: str, status: int = 200, **facts: Any) -> Response:
        """A page."""
        text = (
            _templates()
            .get_template(template)
            .render(
                _=self.words.say,
                pick=self.words.pick,
                day=self.day,
                clock=lambda at, zone: self.words.clock(at, ZoneInfo(zone)),
                window=lambda start, end, zone: self.words.window(start, end, ZoneInfo(zone)),
                words=self.words,
                html_language="zh-CN" if self.words.language == "zh" else self.words.language,
                other_language="en" if self.words.language == "zh" else "zh",
                here=self.request.url.path,
                token=self.reception.parts.key.form_token(self.visit),
                signed_in=self.account is not None,
                company=self.reception.parts.outreach.company,
                style=f"/c/customer.css?{style_version()}",
                said=self.request.query_params.get("said", ""),
                verifies=self.reception.verifies,
                **facts,
            )
        )
        return self._finish(HTMLResponse(text, status))

    def go(self, path: str, said: str = "") -> Response:
        """To another page, by GET; `said` names a sentence that is shown there."""
        return self._finish(RedirectResponse(path + (f"?said={said}" if said else ""), 303))

    def attach(self, body: bytes, name: str) -> Response:
        """A file to keep."""
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        return self._finish(Response(body, media_type="application/json", headers=disposition))

    def day(self, at: Any, zone: str = "UTC") -> str:
        """A date as people write it."""
        local = at if type(at) is date else at.astimezone(ZoneInfo(zone)).date()
        return str(format_date(local, "medium", locale=self.words.locale))

    def _begin(self, account: str | None) -> Visit:
        until = time.time() + self.reception.settings.session_days * DAY_S
        visit = self.reception.parts.key.begin(until, account)
        self._cookies[VISIT_COOKIE] = self.reception.parts.key.write(visit)
        return visit

    def _finish(self, response: Response) -> Response:
        response.headers.update(HEADERS)
        response.headers["Content-Language"] = self.words.language
        response.headers["Vary"] = "Cookie, Accept-Language"
        secure = self.request.url.scheme == "https"
        keep = int(self.reception.settings.session_days * DAY_S)
        if self._chosen:
            self._cookies[language.COOKIE] = self._chosen
        for name, value in self._cookies.items():
            if value is None:
                response.delete_cookie(name)
            else:  # Lax: the way here leads over scanned codes and links in letters; forms have their token besides
                response.set_cookie(name, value, max_age=keep, httponly=True, samesite="lax", secure=secure)
        return response


def product_path(gtin: str, serial: str) -> str:
    """The unit's own page: its GS1 Digital Link path."""
    return ProductCode(gtin, serial).digital_link("")


@cache
def style_version() -> str:
    """Changes when the looks do, so that browsers may keep the file."""
    return hashlib.sha256((HERE / "customer.css").read_bytes()).hexdigest()[:12]


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["product_path"] = product_path
    return environment


class PageRoute(APIRoute):
    """A route whose errors are pages, too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See APIRoute."""
        inner = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await inner(request)
            except Refusal as refusal:
                return _refused(request, refusal.status, refusal.title, refusal.text)
            except TooOften:
                return _refused(
                    request,
                    429,
                    "Too many tries",
                    "That was very often in a short time. Please wait a quarter of an hour.",
                )
            except (PoolTimeout, psycopg.OperationalError) as error:
                log.warning("database.away", path=request.url.path, error=type(error).__name__)
                return _refused(request, 503, "Please try again in a moment", "Our service does not answer just now.")

        return answer


def _refused(request: Request, status: int, title: str, text: str) -> Response:
    guest = Guest(request)
    facts: Mapping[str, str] = {"title": guest.words.say(title), "text": guest.words.say(text)}
    return guest.show("refusal.html", status, **facts)
