"""Webhooks against a real receiver: signed, again until they are taken, again on request, and none lost to kill -9."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import AsyncConnection

from cloud.desk.outreach.http import signature_holds
from cloud.engines.ports import free_port
from cloud.web.webhooks import store
from cloud.web.webhooks.deliver import LONGEST_PAUSE_S, pause_s
from tests.access.receiver import Receiver
from tests.web.conftest import PROGRAM

Connection = AsyncConnection[Any]
Start = Callable[..., Awaitable[httpx.AsyncClient]]
HOOKS, TICKETS = "/api/v1/webhooks", "/api/v1/tickets"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


async def _until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - another thread's state
            await asyncio.sleep(0.02)


async def _hook(api: httpx.AsyncClient, url: str, *kinds: str) -> dict[str, Any]:
    answer = await api.post(HOOKS, json={"url": url, "kinds": kinds or ["ticket"]})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def _step(api: httpx.AsyncClient) -> int:
    number = (await api.get(TICKETS, params={"state": "proposed"})).json()["items"][0]["ticket_no"]
    assert (await api.post(f"{TICKETS}/{number}/confirm", json={"who": "mei"})).status_code == 200
    return int(number)


async def test_a_step_is_told_signed_and_only_to_who_wants_its_kind(api: httpx.AsyncClient, receiver: Receiver) -> None:
    hook = await _hook(api, receiver.url)
    await _hook(api, receiver.url + "/findings", "finding")
    number = await _step(api)
    await _until(lambda: bool(receiver.taken))
    _delivery, signature, body = receiver.taken[0]
    assert signature_holds(hook["secret"].encode(), signature, body, time.time())
    assert not signature_holds(b"another", signature, body, time.time())
    assert not signature_holds(hook["secret"].encode(), signature, body + b" ", time.time())
    told = json.loads(body)
    assert (told["kind"], told["item"]["ticket_no"], told["item"]["state"]) == ("ticket", number, "confirmed")
    assert len(receiver.taken) == 1
    assert "secret" not in (await api.get(HOOKS)).text


async def test_it_is_tried_again_until_it_is_taken(start_api: Start, receiver: Receiver) -> None:
    api = await start_api(webhook_first_retry_s=0.05)
    hook = await _hook(api, receiver.url)
    receiver.refusals = [500, 302, 429]
    await _step(api)
    await _until(lambda: bool(receiver.taken))
    assert len(receiver.refused) == 3
    assert {(number, body) for number, _s, body in [*receiver.refused, *receiver.taken]} == {
        (receiver.taken[0][0], receiver.taken[0][2])
    }, "the same number and the same bytes each time"
    path = f"{HOOKS}/{hook['webhook_no']}/deliveries"
    async with asyncio.timeout(5):
        while (item := (await api.get(path)).json()["items"][0])["state"] != "delivered":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert item["tries"] == 4


async def test_what_failed_is_kept_and_sent_again_on_request(start_api: Start, receiver: Receiver) -> None:
    api = await start_api(webhook_first_retry_s=0.01, webhook_tries=2)
    hook = await _hook(api, receiver.url)
    receiver.refusals = [500, 500]
    await _step(api)
    deliveries = f"{HOOKS}/{hook['webhook_no']}/deliveries"
    async with asyncio.timeout(20):
        while not (failed := (await api.get(deliveries, params={"state": "failed"})).json()["items"]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert failed[0]["trouble"] == "the receiver answered 500"
    assert receiver.taken == []
    answer = await api.post(f"{HOOKS}/{hook['webhook_no']}/replay", json={})
    assert answer.json() == {"deliveries": 1}
    await _until(lambda: len(receiver.taken) == 1)
    one = await api.post(f"{deliveries}/{failed[0]['delivery_no']}/replay")
    assert one.status_code == 200
    await _until(lambda: len(receiver.taken) == 2)
    assert receiver.taken[0][::2] == receiver.taken[1][::2]


async def test_what_happens_while_it_is_off_is_told_afterwards(api: httpx.AsyncClient, receiver: Receiver) -> None:
    hook = await _hook(api, receiver.url)
    path = f"{HOOKS}/{hook['webhook_no']}"
    assert (await api.patch(path, json={"enabled": False})).json()["enabled"] is False
    number = await _step(api)
    await asyncio.sleep(0.3)
    assert receiver.taken == []
    await api.patch(path, json={"enabled": True})
    await _until(lambda: bool(receiver.taken))
    assert json.loads(receiver.taken[0][2])["item"]["ticket_no"] == number
    assert (await api.delete(path)).status_code == 204
    assert (await api.delete(path)).status_code == 404


@pytest.mark.parametrize(
    "url",
    ["http://crm.example.org/", "ftp://x.example/", "nowhere", "https://me:pw@x.example/", "https://[/", "https://"],
)
async def test_where_nothing_may_be_sent(api: httpx.AsyncClient, url: str) -> None:
    assert (await api.post(HOOKS, json={"url": url, "kinds": ["fault"]})).status_code == 422


@given(st.integers(1, 50), st.floats(0.01, 60), st.floats(0, 1))
def test_pauses_grow_within_their_bounds(tries: int, first_s: float, jitter: float) -> None:
    pause = pause_s(tries, first_s, jitter)
    assert first_s / 2 <= pause <= LONGEST_PAUSE_S or pause <= first_s
    assert pause_s(tries + 1, first_s, jitter) >= pause


@pytest.mark.kill
async def test_kill_9_loses_no_event(
    fleet_url: str, connection: Connection, receiver: Receiver, tmp_path: Path
) -> None:
    """A web program is killed at random moments while tickets change; another takes over; every change is told."""
    number, secret = await store.add(connection, receiver.url, ["ticket"], "test")
    chance, told = random.Random(7), 0
    tickets = [r[0] for r in await (await connection.execute("SELECT ticket_no FROM ticket")).fetchall()]
    for _ in range(4):
        program = _start(fleet_url, tmp_path)
        try:
            for _ in range(6):
                await connection.execute(
                    "UPDATE ticket SET likely_part = %s WHERE ticket_no = %s", [f"part {told}", chance.choice(tickets)]
                )
                told += 1
                await asyncio.sleep(chance.uniform(0, 0.15))
        finally:
            os.kill(program.pid, signal.SIGKILL)
            program.wait()
    await connection.execute(  # a lease of the dead ends by itself, after 30 s; not in a test's time
        "UPDATE webhook_delivery SET due_at = now() WHERE state = 'due'"
    )
    last = _start(fleet_url, tmp_path)
    try:
        wanted = await (await connection.execute("SELECT ticket_no, version, likely_part FROM ticket")).fetchall()
        assert wanted
        await _until(lambda: _newest(receiver).keys() >= {t for t in tickets if _touched(t, wanted)}, 30)
        async with asyncio.timeout(30):
            while await _open(connection, number):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        last.terminate()
        last.wait(timeout=15)
    counts = await (await connection.execute(
        "SELECT count(*), count(DISTINCT event_no) FROM webhook_delivery WHERE webhook_no = %s", [number]
    )).fetchone()  # fmt: skip
    assert counts is not None
    assert counts[0] == counts[1], "one delivery an event"
    for _number, signature, body in receiver.taken:
        assert signature_holds(secret.encode(), signature, body, time.time())
    numbers = {delivery for delivery, _s, _b in receiver.taken}
    assert len(numbers) == counts[0], "each was taken at least once"


def _touched(ticket_no: int, wanted: list[tuple[Any, ...]]) -> bool:
    return any(t == ticket_no and str(part).startswith("part ") for t, _v, part in wanted)


def _newest(receiver: Receiver) -> dict[int, Any]:
    return {(item := json.loads(body)["item"])["ticket_no"]: item for _n, _s, body in list(receiver.taken)}


async def _open(connection: Connection, number: int) -> bool:
    row = await (await connection.execute(
        "SELECT EXISTS (SELECT FROM webhook_delivery WHERE webhook_no = %s AND state = 'due') OR EXISTS ("
        "SELECT FROM web_event AS e, webhook_cursor AS c WHERE (e.xid, e.event_no) > (c.xid, c.event_no))", [number],
    )).fetchone()  # fmt: skip
    assert row is not None
    return bool(row[0])


def _start(url: str, folder: Path) -> subprocess.Popen[bytes]:
    port = free_port()
    told = {**os.environ, "FIRSTCALL_DB_URL": url, "FIRSTCALL_WEB_PORT": str(port)}
    told.pop("PYTEST_CURRENT_TEST", None)
    with (folder / f"web-{port}.log").open("wb") as log:
        started = subprocess.Popen([sys.executable, "-c", PROGRAM], env=told, stdout=log, stderr=log)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return started
        except OSError:
            assert started.poll() is None, (folder / f"web-{port}.log").read_text()[-2000:]
            time.sleep(0.05)
    raise TimeoutError("the web program did not answer")
