"""From what a request shows to who it is: a bearer token, a session's cookie, or an open door."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers

from cloud.db.pool import Pool
from cloud.web import sessions
from cloud.web.auth import clients, session_store
from cloud.web.auth.identity import Identity, open_door
from cloud.web.auth.permissions import EVERYTHING
from cloud.web.auth.session_store import COOKIE, Found
from cloud.web.settings import WebSettings

MACHINES = ("/api/", "/metrics")  # where programs come; a bearer token counts here only


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Tells who a request is, by the settings and the database."""

    settings: WebSettings

    async def who(self, path: str, headers: Headers, pool: Pool, *, rotate: bool = False) -> Found | None:
        """Whose request this is; None when it may not go on. With `rotate` a session may get a new token."""
        machine = path.startswith(MACHINES)
        bearer = _bearer(headers) if machine else None
        if bearer is not None and (not self.settings.api_open or bearer.startswith(clients.MARK)):
            identity = await self._client(bearer, pool)
            return Found(identity) if identity else None
        if self.settings.console_open:
            if machine and not self.settings.api_open:
                return None  # a token is set: the missing sign-in does not replace it
            return Found(open_door(self.settings.operator))
        token = cookie_of(headers)
        if token is None:
            return None
        after = timedelta(minutes=self.settings.session_rotate_minutes) if rotate else None
        return await session_store.find(pool, token, after)

    async def _client(self, bearer: str, pool: Pool) -> Identity | None:
        ours = self.settings.api_token
        if ours is not None and sessions.same_secret(bearer, ours.get_secret_value()):
            return Identity("api", "client", EVERYTHING)
        return await clients.find(pool, bearer) if bearer.startswith(clients.MARK) else None


def cookie_of(headers: Headers, name: str = COOKIE) -> str | None:
    """A cookie's value, if it came along and can be read."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return morsel.value if morsel else None


def _bearer(headers: Headers) -> str | None:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else None
