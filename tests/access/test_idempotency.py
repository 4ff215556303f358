"""Idempotency keys and ETags: whatever order and number of requests, nothing is done twice and nobody overwritten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

Connection = AsyncConnection[Any]
Start = Callable[..., Awaitable[httpx.AsyncClient]]
TICKETS, FINDINGS = "/api/v1/tickets", "/api/v1/findings"
FAILURE = {"device": "washer-0042", "outcome": "other_fault", "who": "mei"}
FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


async def _findings(connection: Connection) -> int:
    row = await (await connection.execute("SELECT count(*) FROM finding")).fetchone()
    assert row is not None
    return int(row[0])


async def test_the_same_request_again_gets_the_same_answer_and_does_nothing(
    api: httpx.AsyncClient, connection: Connection
) -> None:
    before, key = await _findings(connection), {"Idempotency-Key": "report-1"}
    first = await api.post(FINDINGS, json=FAILURE, headers=key)
    again = await api.post(FINDINGS, json=FAILURE, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    assert await _findings(connection) == before + 1


async def test_a_key_is_for_one_request(api: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "report-2"}
    assert (await api.post(FINDINGS, json=FAILURE, headers=key)).status_code == 201
    other = await api.post(FINDINGS, json=FAILURE | {"note": "another"}, headers=key)
    assert (other.status_code, other.json()["type"]) == (422, "urn:firstcall:problem:key-used")


async def test_a_step_answered_again_keeps_its_etag_though_the_ticket_moved_on(api: httpx.AsyncClient) -> None:
    number = (await api.get(TICKETS)).json()["items"][0]["ticket_no"]
    etag = (await api.get(f"{TICKETS}/{number}")).headers["etag"]
    headers = {"Idempotency-Key": "confirm", "If-Match": etag}
    first = await api.post(f"{TICKETS}/{number}/confirm", json={"who": "mei"}, headers=headers)
    await api.post(f"{TICKETS}/{number}/contact", json={"who": "li"})
    again = await api.post(f"{TICKETS}/{number}/confirm", json={"who": "mei"}, headers=headers)
    assert (again.status_code, again.headers["etag"], again.content) == (200, first.headers["etag"], first.content)


async def test_a_refused_request_leaves_the_key_free(api: httpx.AsyncClient) -> None:
    number, key = (await api.get(TICKETS)).json()["items"][0]["ticket_no"], {"Idempotency-Key": "later"}
    body = {"who": "mei"}
    assert (await api.post(f"{TICKETS}/{number}/contact", json=body, headers=key)).status_code == 409
    await api.post(f"{TICKETS}/{number}/confirm", json=body)
    assert (await api.post(f"{TICKETS}/{number}/contact", json=body, headers=key)).status_code == 200


async def test_keys_that_cannot_be_are_refused(api: httpx.AsyncClient) -> None:
    for key in ("", " ", "two words", "x" * 256):
        assert (await api.post(FINDINGS, json=FAILURE, headers={"Idempotency-Key": key})).status_code == 400, key


async def test_at_the_same_moment_it_is_done_once(api: httpx.AsyncClient, connection: Connection) -> None:
    before, key = await _findings(connection), {"Idempotency-Key": "all-at-once"}
    answers = await asyncio.gather(*(api.post(FINDINGS, json=FAILURE, headers=key) for _ in range(8)))
    assert {a.status_code for a in answers} == {201}
    assert len({a.content for a in answers}) == 1
    assert await _findings(connection) == before + 1


async def test_contacts_and_secrets_are_never_kept_in_plain(api: httpx.AsyncClient, connection: Connection) -> None:
    user = (await api.get(TICKETS)).json()["items"][0]["user_id"]
    key = {"Idempotency-Key": "look"}
    seen = await api.post(f"/api/v1/users/{user}/contact-looks", json={"purpose": "first call"}, headers=key)
    assert seen.json()["phone"]
    await api.post("/api/v1/webhooks", json={"url": "https://x.example/", "kinds": ["fault"]}, headers=key)
    assert await (await connection.execute("SELECT * FROM idempotent_answer")).fetchall() == []


async def test_whatever_is_sent_how_often_each_key_is_done_once(api: httpx.AsyncClient, connection: Connection) -> None:
    runs = iter(range(10_000))

    @FEW
    @given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=12))
    async def holds(sent: list[tuple[str, bool]]) -> None:
        run, before = next(runs), await _findings(connection)
        answers: dict[str, set[bytes]] = {}
        pending: list[Awaitable[None]] = []

        async def send(name: str) -> None:
            answer = await api.post(
                FINDINGS, json=FAILURE | {"note": name}, headers={"Idempotency-Key": f"{run}-{name}"}
            )
            assert answer.status_code == 201
            answers.setdefault(name, set()).add(answer.content)

        for name, wait in sent:
            pending.append(send(name))
            if wait:
                await asyncio.gather(*pending)
                pending.clear()
        await asyncio.gather(*pending)
        assert all(len(found) == 1 for found in answers.values())
        assert await _findings(connection) == before + len(answers)

    await asyncio.to_thread(_sync_given, holds, asyncio.get_running_loop())


def _sync_given(holds: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Run a property whose examples are coroutines on the test's own loop."""
    inner = holds.hypothesis.inner_test
    holds.hypothesis.inner_test = lambda *a, **k: asyncio.run_coroutine_threadsafe(inner(*a, **k), loop).result(60)
    holds()


async def test_of_people_who_read_the_same_version_exactly_one_takes_a_step(
    api: httpx.AsyncClient, connection: Connection
) -> None:
    tickets = (await api.get(TICKETS)).json()["items"]

    @FEW
    @given(st.integers(2, 6), st.integers(0, len(tickets) - 1), st.lists(st.booleans(), min_size=6, max_size=6))
    async def holds(people: int, which: int, stale: list[bool]) -> None:
        number = tickets[which]["ticket_no"]
        read = await api.get(f"{TICKETS}/{number}")
        version, state = read.json()["ticket"]["version"], read.json()["ticket"]["state"]
        step = {"proposed": "confirm", "confirmed": "contact", "scheduled": "contact"}.get(state)
        path, body = f"{TICKETS}/{number}/{step or 'schedule'}", {} if step else {"at": "2030-01-01T10:00:00Z"}
        if state in ("resolved", "dismissed"):
            return
        tags = [version - 1 if stale[n] else version for n in range(people)]
        answers = await asyncio.gather(
            *(
                api.post(path, json=body | {"who": f"person {n}"}, headers={"If-Match": f'"{tag}"'})
                for n, tag in enumerate(tags)
            )
        )
        took = [a for a in answers if a.status_code == 200]
        assert len(took) == (1 if version in tags else 0)
        assert {a.status_code for a in answers} <= {200, 412}
        now = (await api.get(f"{TICKETS}/{number}")).json()["ticket"]["version"]
        assert now == version + len(took)

    await asyncio.to_thread(_sync_given, holds, asyncio.get_running_loop())
