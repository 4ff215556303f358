"""The door: who may come in, from which page, and with which headers every answer leaves.

One ASGI middleware around API and console, websockets included (the console's socket accepts any origin by itself).

* The Host header must be one of ours: otherwise a strange page could reach a loopback console by DNS rebinding.
* A request that changes something, and every websocket, must come from our own origin when a browser sends it.
* The API asks for a bearer token or a session; the console for a session. On loopback without secrets both are open.
* One person or API client may ask so often and no more.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import psycopg
from psycopg_pool import PoolTimeout
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.db.pool import Pool
from cloud.web import problems
from cloud.web.auth import session_store
from cloud.web.auth.authenticate import MACHINES, Authenticator
from cloud.web.auth.identity import Identity, acting_as
from cloud.web.auth.limits import Buckets, Throttle
from cloud.web.auth.session_store import COOKIE, Found
from cloud.web.settings import WebSettings, is_loopback

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PUBLIC = ("/health", "/sign-in", "/assets/", "/_nicegui/", "/favicon.ico", "/01/", "/c/", "/a/")
LOOK_AGAIN_S = 5.0  # so long a live connection may outlast its session, once anything comes in
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

# Vue compiles templates in the browser, hence 'unsafe-eval'; the console's own scripts stand in its page.
CONTENT_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
SECURE_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Door:
    """The rules of place, without any I/O: which hosts are ours, and which pages may ask for changes."""

    settings: WebSettings

    @property
    def console_open(self) -> bool:
        """Whether the console asks nobody to sign in."""
        return self.settings.console_open

    def host_allowed(self, host: str) -> bool:
        """Whether a Host header names this service."""
        name = urlsplit(f"//{host}").hostname or ""
        if is_loopback(self.settings.host):
            return name in LOOPBACK_NAMES or name in self.settings.allowed_hosts
        return not self.settings.allowed_hosts or name in self.settings.allowed_hosts

    def same_origin(self, headers: Headers) -> bool:
        """Whether a browser's request comes from a page of ours. Every browser of today sends Origin with a request
        that changes something; older ones send Referer. Other programs send neither and pass: they carry no cookie
        unasked.
        """
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return False
        told = headers.get("origin") or headers.get("referer")
        return told is None or urlsplit(told).netloc == headers.get("host", "")


class Guard:
    """The middleware around `app`: place by the rules of `door`, then who it is, then how often."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self.app = app
        self.door = door
        settings = door.settings
        self._authenticator = Authenticator(settings)
        self._buckets = Buckets(settings.requests_per_s, settings.requests_burst)
        self._wrong_tokens = Throttle(limit=20)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the module."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        secure = _with_headers(send, scope.get("scheme") in {"https", "wss"})
        refusal: Response | None = self._judge_place(scope)
        found: Found | None = None
        if refusal is None and not _public(scope["path"]):
            try:
                found = await self._find(scope)
                refusal = self._judge(scope, found)
            except (psycopg.OperationalError, PoolTimeout):
                refusal = problems.response(503, "database-away", "the database does not answer; try again in a moment")
        if refusal is not None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
            else:
                await refusal(scope, receive, secure)
        elif found is None:
            await self.app(scope, receive, secure)
        else:
            await self._let_in(found, scope, receive, secure)

    def _judge_place(self, scope: Scope) -> Response | None:
        """None lets the request through."""
        headers, path = Headers(scope=scope), scope["path"]
        if not self.door.host_allowed(headers.get("host", "")):
            return problems.response(
                421, "unknown-host", "this host name is not ours; add it to FIRSTCALL_WEB_ALLOWED_HOSTS"
            )
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS or path.startswith("/_nicegui_ws")
        if changes and not self.door.same_origin(headers):
            return problems.response(403, "foreign-origin", "this request came from another site's page")
        return None

    async def _find(self, scope: Scope) -> Found | None:
        pool: Pool = scope["app"].state.context.pool
        rotate = scope["type"] == "http" and scope["method"] == "GET"
        return await self._authenticator.who(scope["path"], Headers(scope=scope), pool, rotate=rotate)

    def _judge(self, scope: Scope, found: Found | None) -> Response | None:
        now, address = time.monotonic(), (scope.get("client") or ("unknown",))[0]
        if found is None:
            if "authorization" in Headers(scope=scope):
                if not self._wrong_tokens.allows(address, now):
                    return _too_often(60.0)
                self._wrong_tokens.failed(address, now)
            return _ask_for_credentials(scope, scope["path"])
        identity = found.identity
        if identity.kind != "open" and scope["path"].startswith("/api/"):
            wait_s = self._buckets.wait_s(f"{identity.kind} {identity.name}", now)
            if wait_s:
                return _too_often(wait_s)
        scope.setdefault("state", {})["operator"] = identity.name
        scope["state"]["identity"] = identity
        return None

    async def _let_in(self, found: Found, scope: Scope, receive: Receive, send: Send) -> None:
        with acting_as(found.identity):
            if scope["type"] == "websocket":
                pool: Pool = scope["app"].state.context.pool
                await self.app(scope, _watching(receive, send, found.identity, pool), send)
            elif found.new_token:
                cookie = session_cookie(found.new_token, self.door.settings, scope.get("scheme") == "https")
                await self.app(scope, receive, _with_cookie(send, cookie))
            else:
                await self.app(scope, receive, send)


def session_cookie(token: str, settings: WebSettings, encrypted: bool) -> str:
    """The Set-Cookie header of a session."""
    lasts = int(settings.session_hours * 3600)
    secure = "; Secure" if encrypted else ""
    return f"{COOKIE}={token}; HttpOnly; Max-Age={lasts}; Path=/; SameSite=strict{secure}"


def _public(path: str) -> bool:
    return path.startswith(PUBLIC) and not path.startswith("/_nicegui_ws")


def _too_often(wait_s: float) -> Response:
    return problems.response(
        429, "too-often", "that was too often; wait as long as Retry-After says",
        headers={"Retry-After": str(math.ceil(wait_s))},
    )  # fmt: skip


def _watching(receive: Receive, send: Send, identity: Identity, pool: Pool) -> Receive:
    """A live connection ends with its session: it is looked at again whenever something comes in, the browser's own
    signs of life included."""
    looked_at = time.monotonic()

    async def receiving() -> Message:
        nonlocal looked_at
        message = await receive()
        if message["type"] == "websocket.receive" and time.monotonic() - looked_at > LOOK_AGAIN_S:
            looked_at = time.monotonic()
            if not await session_store.stands(pool, identity):
                await send({"type": "websocket.close", "code": 1008, "reason": "signed out"})
                return {"type": "websocket.disconnect", "code": 1008}
        return message

    return receiving


def _with_cookie(send: Send, cookie: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).append("Set-Cookie", cookie)
        await send(message)

    return sending


def _ask_for_credentials(scope: Scope, path: str) -> Response:
    page = scope["type"] == "http" and scope["method"] == "GET" and not path.startswith(MACHINES)
    if page and "text/html" in Headers(scope=scope).get("accept", ""):
        query = scope.get("query_string", b"").decode("latin-1")
        return RedirectResponse(f"/sign-in?next={quote(path + ('?' + query if query else ''))}", status_code=303)
    return problems.response(
        401,
        "not-signed-in",
        "send the API token as 'Authorization: Bearer …', or sign in to the console",
        headers={"WWW-Authenticate": 'Bearer realm="firstcall"'},
    )


def _with_headers(send: Send, encrypted: bool) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURE_HEADERS.items():
                headers.setdefault(name, value)
            if encrypted:
                headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        await send(message)

    return sending
