"""Signing in with a real, small OpenID Connect provider; and every way in which it may go wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey
from psycopg import AsyncConnection

from cloud.web.auth import accounts
from tests.access.people import account
from tests.access.provider import Provider, running

Connection = AsyncConnection[Any]
Start = Callable[..., Awaitable[httpx.AsyncClient]]
OURS = "http://127.0.0.1:8080"


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running() as started:
        yield started


async def _come_back(api: httpx.AsyncClient, target: str = "/queue") -> httpx.Response:
    """Through the provider as a browser would; gives our answer to the return."""
    there = await api.get("/sign-in/oidc", params={"next": target})
    assert there.status_code == 303
    async with httpx.AsyncClient() as browser:
        back = await browser.get(there.headers["location"])
    assert back.status_code == 302
    return await api.get(back.headers["location"])


async def _start(start_api: Start, provider: Provider, **settings: Any) -> httpx.AsyncClient:
    return await start_api(oidc_issuer=provider.issuer, public_url=OURS, **settings)


async def test_a_person_comes_in_with_the_role_that_the_provider_gives(
    start_api: Start, provider: Provider, connection: Connection
) -> None:
    api = await _start(start_api, provider)
    assert (await api.get("/api/v1/me")).status_code == 401
    answer = await _come_back(api)
    assert answer.status_code == 200
    assert 'url=/queue"' in answer.text
    me = (await api.get("/api/v1/me")).json()
    assert (me["name"], "contacts.any" in me["permissions"]) == ("mei", True)
    provider.claims = {"roles": ["auditor"]}
    await _come_back(api)
    assert "audit" in (await api.get("/api/v1/me")).json()["permissions"]
    found = await accounts.listed(connection)
    assert [(a.name, a.roles, a.issuer, a.has_password) for a in found] == [
        ("mei", ["auditor"], provider.issuer, False)
    ]


async def test_groups_are_mapped_to_roles_and_others_are_not_let_in(start_api: Start, provider: Provider) -> None:
    api = await _start(start_api, provider, oidc_roles={"desk-auditors": "auditor"})
    refused = await _come_back(api)
    assert (refused.status_code, "no role here" in refused.text) == (403, True)
    provider.claims = {"roles": ["desk-auditors", "agent"]}
    assert (await _come_back(api)).status_code == 200
    assert set((await api.get("/api/v1/me")).json()["permissions"]) == {"look", "audit"}


BENT = [
    {"iss": "http://another.example"},
    {"aud": "another client"},
    {"nonce": "another nonce"},
    {"exp": 1_000_000_000},
]


@pytest.mark.parametrize("claims", BENT)
async def test_a_token_that_is_not_for_this_sign_in_is_refused(
    start_api: Start, provider: Provider, claims: dict[str, Any]
) -> None:
    api = await _start(start_api, provider)
    provider.claims = claims
    assert (await _come_back(api)).status_code == 502
    assert (await api.get("/api/v1/me")).status_code == 401


async def test_a_token_of_another_key_is_refused_and_a_replaced_key_is_found(
    start_api: Start, provider: Provider
) -> None:
    api = await _start(start_api, provider)
    provider.signing_key = RSAKey.generate_key(2048, {"kid": "one"})
    assert (await _come_back(api)).status_code == 502
    provider.key = provider.signing_key
    assert (await _come_back(api)).status_code == 200


async def test_a_return_that_this_browser_did_not_begin_is_refused(start_api: Start, provider: Provider) -> None:
    api = await _start(start_api, provider)
    there = await api.get("/sign-in/oidc")
    state = parse_qs(urlsplit(there.headers["location"]).query)["state"][0]
    path = f"/sign-in/oidc/callback?code=x&state={state}"
    api.cookies.clear()
    assert (await api.get(path)).status_code == 400
    api = await _start(start_api, provider)
    await _come_back(api)
    assert (await api.get(path)).status_code == 400


async def test_a_return_counts_once(start_api: Start, provider: Provider) -> None:
    api = await _start(start_api, provider)
    there = await api.get("/sign-in/oidc")
    async with httpx.AsyncClient() as browser:
        back = (await browser.get(there.headers["location"])).headers["location"]
    assert (await api.get(back)).status_code == 200
    assert (await api.get(back)).status_code == 400


async def test_a_local_account_is_not_taken_over_by_name_and_a_disabled_one_stays_out(
    start_api: Start, provider: Provider, connection: Connection
) -> None:
    api = await _start(start_api, provider, accounts=True)
    await account(connection, "mei", "admin")
    assert (await _come_back(api)).status_code == 403
    provider.claims = {"preferred_username": "li", "sub": "person-2"}
    assert (await _come_back(api)).status_code == 200
    await accounts.set_disabled(connection, "li", True)
    assert (await api.get("/api/v1/me")).status_code == 401
    assert (await _come_back(api)).status_code == 403


async def test_after_signing_in_one_lands_on_our_own_pages_only(start_api: Start, provider: Provider) -> None:
    api = await _start(start_api, provider)
    assert "evil" not in (await _come_back(api, "//evil.example")).text
