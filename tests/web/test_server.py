"""The program around the application: ports, streams, stopping."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection

from cloud.db.settings import DatabaseSettings
from cloud.web.server import PortTaken, bind, serve
from cloud.web.settings import WebSettings
from tests.web.fleet import Fleet, report, run_desk

Connection = AsyncConnection[Any]


def test_a_taken_port_is_told_plainly() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port}: Address already in use.*FIRSTCALL_WEB_PORT"):
            bind(WebSettings(port=port))


async def _events(client: httpx.AsyncClient, url: str, found: asyncio.Queue[tuple[str, Any, float]]) -> None:
    async with client.stream("GET", f"{url}/api/v1/stream", timeout=30) as answer:
        kind = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                await found.put((kind, json.loads(line.removeprefix("data: ")), time.monotonic()))


async def test_faults_and_steps_are_streamed_within_a_second_of_their_commit(
    fleet_url: str, connection: Connection, fleet: Fleet
) -> None:
    found: asyncio.Queue[tuple[str, Any, float]] = asyncio.Queue()
    async with (
        serve(WebSettings(port=0, recheck_s=60), DatabaseSettings(url=fleet_url), console=False) as serving,
        httpx.AsyncClient() as client,
    ):
        reading = asyncio.create_task(_events(client, serving.url, found))
        assert (await asyncio.wait_for(found.get(), 10))[0] == "hello"
        now = (await (await connection.execute("SELECT now()")).fetchall())[0][0]
        await report(connection, fleet.devices["washer-0042"], "LE", now)
        await run_desk(connection)
        committed = time.monotonic()
        kinds = {}
        while len(kinds) < 2:
            kind, item, at = await asyncio.wait_for(found.get(), 5)
            assert (item["device"], item["problem"]) == ("washer-0042", "LE")
            kinds[kind] = at - committed
        assert max(kinds.values()) < 1.0, kinds
        number = (await client.get(f"{serving.url}/api/v1/tickets?device=washer-0042")).json()["items"][0]["ticket_no"]
        await client.post(f"{serving.url}/api/v1/tickets/{number}/dismiss", json={"who": "mei", "reason": "tried it"})
        while True:
            kind, item, _at = await asyncio.wait_for(found.get(), 5)
            if kind == "ticket" and item["state"] == "dismissed":
                break
        stopping = time.monotonic()
        reading.add_done_callback(lambda task: task.exception())
    assert time.monotonic() - stopping < 3, "an open stream held the program up"


async def test_notices_come_back_after_the_connection_was_cut(fleet_url: str, connection: Connection) -> None:
    settings = WebSettings(port=0, recheck_s=60)
    async with serve(settings, DatabaseSettings(url=fleet_url), console=False) as serving:
        notices = serving.app.state.context.notices
        await _until(lambda: notices.connected)
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'firstcall-web-notices'"
        await connection.execute(cut)
        await _until(lambda: notices.reconnects >= 1 and notices.connected)
        with notices.subscribe("ticket") as subscription:
            await connection.execute("NOTIFY ticket")
            assert await subscription.changes(5.0) == {"ticket"}


async def _until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is the program's own state
            await asyncio.sleep(0.02)


async def test_nobody_looking_reads_nothing(fleet_url: str, connection: Connection) -> None:
    async with serve(WebSettings(port=0), DatabaseSettings(url=fleet_url), console=False) as serving:
        context = serving.app.state.context
        await _until(lambda: context.notices.connected)
        received = context.notices.received
        await connection.execute("NOTIFY ticket")
        await _until(lambda: context.notices.received > received)
        assert context.board.refreshes == 0
        assert len((await context.board.current()).tickets) == 4
        assert context.board.refreshes == 1
