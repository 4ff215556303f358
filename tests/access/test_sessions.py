"""Signing in with accounts, and sessions that rotate and can be revoked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection

from cloud.web.auth import accounts
from cloud.web.auth.passwords import PasswordCheck, WeakPassword, hash_password
from cloud.web.auth.session_store import COOKIE
from tests.access.people import PASSWORD, account, sign_in

Connection = AsyncConnection[Any]
Start = Callable[..., Awaitable[httpx.AsyncClient]]
ME = "/api/v1/me"


async def test_passwords_are_kept_as_argon2id() -> None:
    kept = hash_password(PASSWORD)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    check = PasswordCheck()
    assert await check.matches(PASSWORD, kept)
    assert not await check.matches("another long phrase", kept)
    assert not await check.matches(PASSWORD, None)
    with pytest.raises(WeakPassword, match="12"):
        hash_password("short")


async def test_a_wrong_password_an_unknown_name_and_a_disabled_account_look_the_same(
    start_api: Start, connection: Connection
) -> None:
    api = await start_api(accounts=True)
    await account(connection, "mei", "agent")
    await account(connection, "left", "agent")
    await accounts.set_disabled(connection, "left", True)
    answers = [
        await sign_in(api, *who) for who in (("mei", "wrong password"), ("nobody", PASSWORD), ("left", PASSWORD))
    ]
    assert {a.status_code for a in answers} == {401}
    assert len({a.text.replace("nobody", "mei").replace("left", "mei") for a in answers}) == 1
    assert (await api.get(ME)).status_code == 401


async def test_guessing_is_slowed_down_for_that_name_and_place_only(start_api: Start, connection: Connection) -> None:
    api = await start_api(accounts=True)
    for name in ("mei", "li"):
        await account(connection, name, "agent")
    assert [(await sign_in(api, "mei", "wrong password")).status_code for _ in range(11)] == [401] * 10 + [429]
    assert (await sign_in(api, "mei")).status_code == 429
    assert (await sign_in(api, "li")).status_code == 303


async def test_the_cookie_is_out_of_reach_and_the_database_has_only_its_hash(
    start_api: Start, connection: Connection
) -> None:
    api = await start_api(accounts=True)
    await account(connection, "mei", "agent")
    cookie = (await sign_in(api, "mei")).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    token = api.cookies[COOKIE]
    kept = await (await connection.execute("SELECT token_hash FROM web_session_token")).fetchall()
    assert len(kept) == 1
    assert token.encode() not in kept[0][0]


CHANGES: list[tuple[str, Callable[[Connection], Awaitable[None]]]] = [
    ("disabled", lambda c: accounts.set_disabled(c, "mei", True)),
    ("other roles", lambda c: accounts.set_roles(c, "mei", ["auditor"])),
    ("another password", lambda c: accounts.set_password(c, "mei", "another long phrase")),
]


@pytest.mark.parametrize(("what", "change"), CHANGES)
async def test_a_changed_account_is_signed_out_everywhere_at_once(
    start_api: Start, connection: Connection, what: str, change: Callable[[Connection], Awaitable[None]]
) -> None:
    api = await start_api(accounts=True)
    await account(connection, "mei", "agent")
    await sign_in(api, "mei")
    assert (await api.get(ME)).status_code == 200
    await change(connection)
    assert (await api.get(ME)).status_code == 401, what


async def test_signing_out_ends_the_session_not_only_the_cookie(start_api: Start, connection: Connection) -> None:
    api = await start_api(accounts=True)
    await account(connection, "mei", "agent")
    await sign_in(api, "mei")
    token = api.cookies[COOKIE]
    assert (await api.post("/sign-out")).status_code == 303
    assert (await api.get(ME, headers={"cookie": f"{COOKIE}={token}"})).status_code == 401


async def _age(connection: Connection, minutes: int) -> None:
    await connection.execute(
        "UPDATE web_session_token SET issued_at = issued_at - %(age)s::interval,"
        " replaced_at = replaced_at - %(age)s::interval",
        {"age": f"{minutes} minutes"},
    )


async def test_a_token_rotates_and_its_copy_ends_the_session(start_api: Start, connection: Connection) -> None:
    api = await start_api(accounts=True, session_rotate_minutes=15)
    await account(connection, "mei", "agent")
    await sign_in(api, "mei")
    first = {"cookie": f"{COOKIE}={api.cookies[COOKIE]}"}
    api.cookies.clear()
    assert "set-cookie" not in (await api.get(ME, headers=first)).headers
    await _age(connection, 16)
    rotated = (await api.get(ME, headers=first)).headers["set-cookie"]
    second = {"cookie": rotated.partition(";")[0]}
    assert second != first
    assert (await api.get(ME, headers=first)).status_code == 200, "the answer with the new one may have been lost"
    assert (await api.get(ME, headers=second)).status_code == 200
    assert (await api.get(ME, headers=first)).status_code == 200, "requests under way"
    await _age(connection, 2)
    assert (await api.get(ME, headers=first)).status_code == 401
    assert (await api.get(ME, headers=second)).status_code == 401, "somebody has a copy: the session is over"
    ended = await (await connection.execute("SELECT ended_because FROM web_session")).fetchall()
    assert ended == [("old_token_used",)]


async def test_a_session_is_over_after_its_hours(start_api: Start, connection: Connection) -> None:
    api = await start_api(accounts=True)
    await account(connection, "mei", "agent")
    await sign_in(api, "mei")
    await connection.execute("UPDATE web_session SET expires_at = now()")
    assert (await api.get(ME)).status_code == 401


async def test_a_form_of_another_site_cannot_sign_anybody_in_or_act_for_them(
    start_api: Start, connection: Connection
) -> None:
    api = await start_api(accounts=True)
    await account(connection, "mei", "agent")
    foreign = {"Origin": "https://evil.example"}
    answer = await api.post("/sign-in", data={"operator": "mei", "password": PASSWORD}, headers=foreign)
    assert answer.status_code == 403
    await sign_in(api, "mei")
    for headers in (foreign, {"Sec-Fetch-Site": "cross-site"}, {"Referer": "https://evil.example/"}):
        assert (await api.post("/api/v1/tickets/1/confirm", json={}, headers=headers)).status_code == 403


async def test_the_whole_api_works_under_the_application_role(
    app_url: str, connection: Connection, start_api: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cloud.db.settings import DatabaseSettings
    from cloud.web.app import create_app
    from cloud.web.settings import WebSettings

    await account(connection, "mei", "agent", "auditor")
    app = create_app(WebSettings(accounts=True), DatabaseSettings(url=app_url), console=False)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as api,
    ):
        await sign_in(api, "mei")
        ticket = (await api.get("/api/v1/tickets")).json()["items"][0]
        key = {"Idempotency-Key": "once"}
        confirmed = await api.post(f"/api/v1/tickets/{ticket['ticket_no']}/confirm", json={}, headers=key)
        assert confirmed.status_code == 200, confirmed.text
        look = await api.post(f"/api/v1/users/{ticket['user_id']}/contact-looks", json={"purpose": "first call"})
        assert look.status_code == 200, look.text
        for path in ("faults", "devices", "predictions", "findings", "ingest", "ingest/dead-letters", "audit"):
            assert (await api.get(f"/api/v1/{path}")).status_code == 200, path
        entries = (await api.get("/api/v1/audit", params={"action": "look"})).json()["items"]
        assert (entries[0]["person"], entries[0]["login"]) == ("mei", "firstcall_web_of_tests")
