"""The door: who may come in, from which page, and with which headers every answer leaves.

One ASGI middleware around API and console, websockets included (the console's socket accepts any origin by itself).

* The Host header must be one of ours: otherwise a strange page could reach a loopback console by DNS rebinding.
* A request that changes something, and every websocket, must come from our own origin when a browser sends it.
* The API asks for the bearer token or a session; the console for a session. On loopback without secrets both are open.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.web import problems, sessions
from cloud.web.settings import WebSettings, is_loopback

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PUBLIC = ("/health", "/sign-in", "/assets/", "/_nicegui/", "/favicon.ico", "/01/", "/c/", "/a/")
MACHINES = ("/api/", "/metrics")
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
    """The rules, without any I/O: what a request shows against what the settings ask."""

    settings: WebSettings
    key: bytes

    @property
    def console_open(self) -> bool:
        """Whether the console asks nobody to sign in (loopback, no password)."""
        return self.settings.operator_password is None

    @property
    def api_open(self) -> bool:
        """Whether the API asks for nothing (loopback, no secrets)."""
        return self.console_open and self.settings.api_token is None

    def host_allowed(self, host: str) -> bool:
        """Whether a Host header names this service."""
        name = urlsplit(f"//{host}").hostname or ""
        if is_loopback(self.settings.host):
            return name in LOOPBACK_NAMES or name in self.settings.allowed_hosts
        return not self.settings.allowed_hosts or name in self.settings.allowed_hosts

    def same_origin(self, headers: Headers) -> bool:
        """Whether a browser's request comes from a page of ours; other programs send no Origin and pass."""
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return False
        origin = headers.get("origin")
        return origin is None or urlsplit(origin).netloc == headers.get("host", "")

    def operator(self, headers: Headers, now: float) -> str | None:
        """The operator whose session cookie came along, or the only one where nobody signs in."""
        if self.console_open:
            return self.settings.operator
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(sessions.COOKIE)
        except CookieError:
            return None
        return sessions.operator_of(self.key, morsel.value, now) if morsel else None

    def machine(self, headers: Headers) -> bool:
        """Whether the right bearer token came along."""
        token = self.settings.api_token
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if token is None or scheme.lower() != "bearer":
            return False
        return sessions.same_secret(given, token.get_secret_value())

    def who(self, path: str, headers: Headers, now: float) -> str | None:
        """The name under which this request may go on; None when it may not."""
        if not path.startswith(MACHINES):
            return self.operator(headers, now)
        if self.machine(headers):
            return "api"
        if self.console_open and not self.api_open:
            return None  # a token is set: the missing sign-in does not replace it
        return self.operator(headers, now)


class Guard:
    """The middleware around `app`, by the rules of `door`."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self.app = app
        self.door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the module."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        refusal = self._judge(scope)
        secure = _with_headers(send, scope.get("scheme") in {"https", "wss"})
        if refusal is None:
            await self.app(scope, receive, secure)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
        else:
            await refusal(scope, receive, secure)

    def _judge(self, scope: Scope) -> Response | None:
        """None lets the request through, with `state.operator` set."""
        headers, path = Headers(scope=scope), scope["path"]
        if not self.door.host_allowed(headers.get("host", "")):
            return problems.response(
                421, "unknown-host", "this host name is not ours; add it to FIRSTCALL_WEB_ALLOWED_HOSTS"
            )
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS or path.startswith("/_nicegui_ws")
        if changes and not self.door.same_origin(headers):
            return problems.response(403, "foreign-origin", "this request came from another site's page")
        if path.startswith(PUBLIC) and not path.startswith("/_nicegui_ws"):
            return None
        who = self.door.who(path, headers, time.time())
        if who is None:
            return _ask_for_credentials(scope, path)
        scope.setdefault("state", {})["operator"] = who
        return None


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
