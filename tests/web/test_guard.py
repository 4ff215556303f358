"""The door: hosts, origins, tokens, sessions, headers; against the running API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from starlette.datastructures import Headers

from cloud.web.guard import Door
from cloud.web.settings import WebSettings

TOKEN, PASSWORD = "a-token-of-sixteen", "correct horse"
Start = Callable[..., Awaitable[httpx.AsyncClient]]
LISTS = "/api/v1/tickets"


async def test_a_strange_host_name_is_refused(start_api: Start) -> None:
    client = await start_api()
    answer = await client.get(LISTS, headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await client.get(LISTS, headers={"Host": "localhost:8080"})).status_code == 200


ORIGINS: list[tuple[dict[str, str], int]] = [
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Origin": "http://127.0.0.1:9999"}, 403),
    ({"Origin": "http://127.0.0.1:8080"}, 404),
    ({"Sec-Fetch-Site": "same-origin"}, 404),
    ({}, 404),
]


async def test_only_our_own_pages_may_change_something(start_api: Start) -> None:
    client = await start_api()
    for headers, status in ORIGINS:
        answer = await client.post(f"{LISTS}/999/confirm", json={"who": "mei"}, headers=headers)
        assert answer.status_code == status, (headers, answer.text)


async def test_a_token_is_asked_for_once_it_is_set(start_api: Start) -> None:
    client = await start_api(api_token=TOKEN)
    refused = await client.get(LISTS)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert (await client.get("/metrics")).status_code == 401
    assert (await client.get(LISTS, headers={"Authorization": "Bearer wrong"})).status_code == 401
    assert (await client.get(LISTS, headers={"Authorization": f"Bearer {TOKEN}"})).status_code == 200
    assert (await client.get("/health")).status_code == 200


async def test_a_session_opens_the_api_and_speaks_in_its_own_name(start_api: Start) -> None:
    client = await start_api(operator_password=PASSWORD)
    assert (await client.get(LISTS)).status_code == 401
    signed_in = await client.post("/sign-in", data={"operator": "mei", "password": PASSWORD})
    assert signed_in.status_code == 303
    assert (await client.get(LISTS)).status_code == 200
    number = (await client.get(LISTS)).json()["items"][0]["ticket_no"]
    forged = await client.post(f"{LISTS}/{number}/confirm", json={"who": "li"})
    assert (forged.status_code, forged.json()["type"]) == (403, "urn:firstcall:problem:not-you")
    steps = (await client.post(f"{LISTS}/{number}/confirm", json={})).json()["steps"]
    assert steps[-1]["person"] == "mei"


async def test_every_answer_leaves_with_secure_headers(start_api: Start) -> None:
    client = await start_api()
    for path in ("/health", LISTS, "/nowhere", "/api"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path


def _door(**settings: Any) -> Door:
    return Door(WebSettings(**settings))


def test_beyond_loopback_the_allowed_hosts_decide() -> None:
    open_host = _door(host="0.0.0.0", api_token=TOKEN, operator_password=PASSWORD)
    assert open_host.host_allowed("desk.example.org:8080")
    named = _door(host="0.0.0.0", api_token=TOKEN, operator_password=PASSWORD, allowed_hosts=("desk.example.org",))
    assert named.host_allowed("desk.example.org")
    assert not named.host_allowed("evil.example")


def test_an_old_browser_is_known_by_its_referer() -> None:
    door = _door()
    assert door.same_origin(Headers({"host": "127.0.0.1:8080", "referer": "http://127.0.0.1:8080/queue"}))
    assert not door.same_origin(Headers({"host": "127.0.0.1:8080", "referer": "http://evil.example/"}))
