"""Signing in and out: plain forms without script, so that nothing of the console is served before."""

from __future__ import annotations

import time
from datetime import timedelta

import psycopg
import structlog
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg.rows import dict_row

from cloud.db import queries
from cloud.web import sessions
from cloud.web.auth import accounts, oidc, session_store
from cloud.web.auth.authenticate import cookie_of
from cloud.web.auth.door_page import (
    BEGUN_ELSEWHERE,
    NOT_COMPLETED,
    PROVIDER_TROUBLE,
    TOO_OFTEN,
    WRONG,
    Ways,
    door_page,
    onward,
)
from cloud.web.auth.identity import Identity
from cloud.web.auth.limits import Throttle
from cloud.web.auth.passwords import PasswordCheck
from cloud.web.auth.session_store import COOKIE, token_hash
from cloud.web.context import WebContext, context_of
from cloud.web.guard import Door, session_cookie
from cloud.web.metrics import Metrics

log = structlog.get_logger()
ATTEMPT_COOKIE = "firstcall_sign_in"
_SQL = queries.load("access")


class SignIn:
    """The routes' work: who may come in, and the session that they get."""

    def __init__(self, door: Door, metrics: Metrics) -> None:
        self.settings = door.settings
        self._metrics = metrics
        self._passwords = PasswordCheck()
        self._by_name, self._by_address = Throttle(limit=10), Throttle(limit=30)
        self.provider = oidc.Provider(door.settings) if door.settings.oidc_issuer else None

    async def with_password(self, request: Request, name: str, password: str) -> tuple[int | None, str] | str:
        """Account number (None: shared password) and name; or the word that refuses."""
        now = time.monotonic()
        address = request.client.host if request.client else "unknown"
        # By name and address together: nobody can lock somebody else out from elsewhere.
        pair = f"{name} {address}"
        if not self._by_name.allows(pair, now) or not self._by_address.allows(address, now):
            return TOO_OFTEN
        found = await self._check(context_of(request), name, password)
        if found is None:
            self._by_name.failed(pair, now)
            self._by_address.failed(address, now)
            self._metrics.refused.inc()
            log.warning("sign_in.refused")
            return WRONG
        return found

    async def _check(self, context: WebContext, name: str, password: str) -> tuple[int | None, str] | None:
        if not name or not name.isprintable():
            return None
        if self.settings.people_sign_in:
            async with context.pool.connection() as connection:
                number = await accounts.check(connection, self._passwords, name, password)
            return None if number is None else (number, name)
        expected = self.settings.operator_password
        if expected is None or not sessions.same_secret(password, expected.get_secret_value()):
            return None
        return None, name

    async def begin(self, request: Request, account_no: int | None, name: str, answer: Response) -> Response:
        """Begin a session; whoever was signed in in this browser is signed out."""
        lasts = timedelta(hours=self.settings.session_hours)
        async with context_of(request).pool.connection() as connection, connection.transaction():
            await connection.execute(_SQL["act_as"], {"person": name})
            token = await session_store.begin(connection, name, account_no, lasts)
        answer.headers.append("Set-Cookie", session_cookie(token, self.settings, request.url.scheme == "https"))
        log.info("sign_in.accepted", operator=name)
        return answer


def router(door: Door, metrics: Metrics) -> APIRouter:
    """The routes, for the rules of `door`."""
    routes = APIRouter(include_in_schema=False)
    desk = SignIn(door, metrics)

    @routes.get("/sign-in")
    async def form(request: Request, next: str = "/") -> Response:
        if door.console_open:
            return RedirectResponse("/", status_code=303)
        return _page(desk, request, next)

    @routes.post("/sign-in")
    async def sign_in(
        request: Request,
        operator: str = Form(min_length=1, max_length=64),
        password: str = Form(max_length=1024),
        next: str = Form(default="/"),
    ) -> Response:
        if door.console_open:
            return RedirectResponse("/", status_code=303)
        found = await desk.with_password(request, operator.strip(), password)
        if isinstance(found, str):
            return _page(desk, request, next, operator=operator, wrong=found, status=429 if found is TOO_OFTEN else 401)
        return await desk.begin(request, *found, RedirectResponse(local(next), status_code=303))

    @routes.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        identity: Identity = request.state.identity
        if identity.session_no is not None:
            async with context_of(request).pool.connection() as connection:
                await session_store.end(connection, identity.session_no, "signed_out")
        answer = RedirectResponse("/sign-in", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer

    if desk.provider is not None:
        _add_provider(routes, desk, desk.provider)
    return routes


def _add_provider(routes: APIRouter, desk: SignIn, provider: oidc.Provider) -> None:
    @routes.get("/sign-in/oidc")
    async def leave(request: Request, next: str = "/") -> Response:
        attempt = oidc.new_attempt()
        try:
            address = await provider.address(attempt)
        except oidc.ProviderTrouble as error:
            return _trouble(desk, request, error)
        kept = {"state_hash": token_hash(attempt.state), "nonce": attempt.nonce, "verifier": attempt.verifier}
        async with context_of(request).pool.connection() as connection:
            await connection.execute(_SQL["begin_attempt"], kept | {"target": local(next)})
        answer = RedirectResponse(address, status_code=303)
        answer.set_cookie(  # lax: the provider's redirect brings it back; it ties the attempt to this browser
            ATTEMPT_COOKIE, attempt.state, max_age=600, httponly=True, samesite="lax", path="/sign-in/oidc",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer

    @routes.get(oidc.CALLBACK)
    async def come_back(request: Request, state: str = "", code: str = "", error: str = "") -> Response:
        cookie = cookie_of(request.headers, ATTEMPT_COOKIE)
        if not state or cookie is None or not sessions.same_secret(state, cookie):
            return _page(desk, request, "/", wrong=BEGUN_ELSEWHERE, status=400)
        async with context_of(request).pool.connection() as connection, connection.cursor(row_factory=dict_row) as rows:
            await rows.execute(_SQL["take_attempt"], {"state_hash": token_hash(state)})
            kept = await rows.fetchone()
        if kept is None or error or not code:
            return _page(desk, request, "/", wrong=NOT_COMPLETED, status=400)
        try:
            person = await provider.person(code, oidc.Attempt(state, kept["nonce"], kept["verifier"]))
            account_no = await _account_of(request, person)
        except oidc.ProviderTrouble as trouble:
            return _trouble(desk, request, trouble)
        except oidc.NotLetIn as refused:
            return _page(desk, request, "/", wrong=str(refused), status=403)
        return await desk.begin(request, account_no, person.name, HTMLResponse(onward(request, kept["target"])))


async def _account_of(request: Request, person: oidc.Person) -> int:
    wanted = {"issuer": person.issuer, "subject": person.subject, "name": person.name, "roles": list(person.roles)}
    pool = context_of(request).pool
    try:
        async with pool.connection() as connection, connection.transaction():
            await connection.execute(_SQL["act_as"], {"person": person.name})
            row = await (await connection.execute(_SQL["account_of_subject"], wanted)).fetchone()
    except psycopg.errors.UniqueViolation as error:
        raise oidc.NotLetIn(f"there is another account {person.name} here; ask whoever runs this service") from error
    assert row is not None
    if row[2]:
        raise oidc.NotLetIn("this account is disabled; ask whoever runs this service")
    return int(str(row[0]))


def _trouble(desk: SignIn, request: Request, error: oidc.ProviderTrouble) -> Response:
    log.error("sign_in.provider", error=str(error))
    return _page(desk, request, "/", wrong=PROVIDER_TROUBLE, status=502)


def local(target: str) -> str:
    """Only a path of our own: never another site after signing in."""
    ours = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if ours else "/"


def _page(
    desk: SignIn, request: Request, target: str, *, operator: str = "", wrong: str = "", status: int = 200
) -> HTMLResponse:
    settings = desk.settings
    shared = settings.operator_password is not None and not settings.people_sign_in
    ways = Ways(password=settings.accounts or shared, provider=desk.provider is not None)
    return HTMLResponse(door_page(request, ways, local(target), operator, wrong), status_code=status)
