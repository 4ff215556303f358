"""Routes that change something: one transaction a request, in the person's name; and answers kept by Idempotency-Key.

The key is claimed, the change made and the answer kept in one transaction: whatever dies, either all of it is there or
nothing is. A second request with the key waits for the first and is given its answer. A refused request changed
nothing, so nothing is kept of it, and the key may be used again.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from cloud.db import queries
from cloud.db.pool import Pool
from cloud.web.auth.changes import Connection, act_as
from cloud.web.context import identity_of
from cloud.web.problems import Problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
HEADER = "Idempotency-Key"
LONGEST = 255
KEPT_HEADERS = ("etag", "content-type", "location")
Handle = Callable[[Request], Awaitable[Response]]
_SQL = queries.load("access")
PARAMETER: dict[str, Any] = {
    "parameters": [
        {
            "name": HEADER,
            "in": "header",
            "required": False,
            "description": "Any text of your own, new for each change: send it again with the same request, and "
            "you get the same answer, and nothing is done twice. Kept for a day.",
            "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": "^[!-~]+$"},
        }
    ]
}


@dataclass(frozen=True, slots=True)
class OneConnection:
    """Looks like a pool, and always gives the connection on which a request's transaction runs."""

    held: Connection

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[Connection]:  # noqa: ASYNC109 - as a pool's
        """The one connection."""
        yield self.held


class ChangingRoute(APIRoute):
    """A route whose request is one transaction, in the name of whoever asks."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """See the class."""
        handle = super().get_route_handler()

        async def changing(request: Request) -> Response:
            if request.method in SAFE_METHODS:
                return await handle(request)
            pool: Pool = request.app.state.context.pool
            async with pool.connection() as connection, connection.transaction():
                await act_as(connection, identity_of(request))
                request.state.one_connection = OneConnection(connection)
                return await self.answer(request, connection, handle)

        return changing

    async def answer(self, request: Request, connection: Connection, handle: Handle) -> Response:
        """The answer, within the transaction."""
        return await handle(request)


class IdempotentRoute(ChangingRoute):
    """The same, which also keeps its answer under the request's Idempotency-Key. Not for answers that hold a secret or
    anything of a customer: they would be kept in plain."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if set(options.get("methods") or ()) - SAFE_METHODS:
            options["openapi_extra"] = {**(options.get("openapi_extra") or {}), **PARAMETER}
        super().__init__(path, endpoint, **options)

    async def answer(self, request: Request, connection: Connection, handle: Handle) -> Response:
        """The kept answer, or a new one, which is kept."""
        key = request.headers.get(HEADER)
        if key is None:
            return await handle(request)
        if not 0 < len(key) <= LONGEST or not key.isascii() or not key.isprintable() or " " in key:
            raise Problem(400, "bad-key", f"{HEADER} is 1 to {LONGEST} visible ASCII characters")
        which = {"owner": _owner(request), "key": key}
        fingerprint = await _fingerprint(request)
        claimed = await connection.execute(_SQL["claim_key"], which | {"fingerprint": fingerprint})
        if await claimed.fetchone() is None:
            return await _kept(connection, which, fingerprint)
        response = await handle(request)
        headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        kept = {"answered": response.status_code, "headers": Jsonb(headers), "body": bytes(response.body)}
        await connection.execute(_SQL["keep_answer"], which | kept)
        return response


def _owner(request: Request) -> str:
    identity = identity_of(request)
    return f"{identity.kind} {identity.name}"


async def _fingerprint(request: Request) -> bytes:
    """Of everything that decides what is done: method, path, query, condition, body."""
    parts = [request.method, request.url.path, request.url.query, request.headers.get("if-match", "")]
    digest = hashlib.sha256()
    for part in (*(p.encode() for p in parts), await request.body()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


async def _kept(connection: Connection, which: dict[str, str], fingerprint: bytes) -> Response:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["kept_answer"], which)
        row = await cursor.fetchone()
    if row is None or row["answered"] == 0:
        raise Problem(409, "conflict", "the request with this key is not done yet; send it again in a moment")
    if bytes(row["fingerprint"]) != fingerprint:
        raise Problem(422, "key-used", f"this {HEADER} was used for another request; take a new one for each change")
    headers = row["headers"] | {"Idempotency-Replayed": "true"}
    return Response(bytes(row["body"]), status_code=row["answered"], headers=headers)
