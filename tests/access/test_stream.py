"""The stream against the real server: in commit order, and on from Last-Event-ID without a gap."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
from psycopg import AsyncConnection

from cloud.db.settings import DatabaseSettings
from cloud.web.events import Place, read_place
from cloud.web.server import serve
from cloud.web.settings import WebSettings

Connection = AsyncConnection[Any]
Told = tuple[str, str, dict[str, Any]]


async def _read(url: str, count: int, last: str | None = None) -> list[Told]:
    """The first `count` events of a new stream: kind, id, content."""
    found: list[Told] = []
    headers = {"Last-Event-ID": last} if last else {}
    async with (
        asyncio.timeout(40),
        httpx.AsyncClient(timeout=30) as client,
        client.stream("GET", f"{url}/api/v1/stream", headers=headers) as answer,
    ):
        event: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
                continue
            if "event" in event:
                found.append((event["event"], event["id"], json.loads(event["data"])))
            event = {}
            if len(found) == count:
                break
    return found


async def _touch(connection: Connection, ticket_no: int, part: str) -> None:
    await connection.execute("UPDATE ticket SET likely_part = %s WHERE ticket_no = %s", [part, ticket_no])


async def test_who_was_away_gets_what_they_missed_and_nothing_twice(fleet_url: str, connection: Connection) -> None:
    async with serve(WebSettings(port=0), DatabaseSettings(url=fleet_url), console=False) as serving:
        hello = (await _read(serving.url, 1))[0]
        assert hello[0::2] == ("hello", {"resumed": False})
        for number in (1, 2, 1):
            await _touch(connection, number, f"part {number}")
        missed = await _read(serving.url, 3, hello[1])
        assert missed[0][2] == {"resumed": True}
        assert [(kind, item["ticket_no"]) for kind, _id, item in missed[1:]] == [("ticket", 2), ("ticket", 1)]
        assert (await _read(serving.url, 2, missed[1][1]))[1][1] == missed[2][1], "only what came behind"
        following = asyncio.create_task(_read(serving.url, 2, missed[2][1]))
        await asyncio.sleep(0.3)
        await _touch(connection, 3, "another")
        assert (await following)[1][2]["ticket_no"] == 3


async def test_a_change_that_commits_late_is_not_skipped(fleet_url: str, connection: Connection) -> None:
    async with (
        serve(WebSettings(port=0), DatabaseSettings(url=fleet_url), console=False) as serving,
        await AsyncConnection.connect(fleet_url) as slow,
    ):
        hello = (await _read(serving.url, 1))[0]
        await _touch(slow, 1, "slow")
        await _touch(connection, 2, "quick")
        reading = asyncio.create_task(_read(serving.url, 3, hello[1]))
        await asyncio.sleep(0.5)
        await slow.commit()
        assert {item["ticket_no"] for _kind, _id, item in (await reading)[1:]} == {1, 2}


async def test_a_place_that_is_none_or_long_gone_begins_anew(fleet_url: str, connection: Connection) -> None:
    await connection.execute("DELETE FROM web_event WHERE event_no = 1")  # as the purge of old events does
    async with serve(WebSettings(port=0), DatabaseSettings(url=fleet_url), console=False) as serving:
        for last in ("ticket-7", "1-1", "99999999999999999999-1"):
            assert (await _read(serving.url, 1, last))[0][2] == {"resumed": False}, last


def test_a_place_is_read_as_it_was_written() -> None:
    assert read_place(str(Place(12, 34))) == Place(12, 34)
    for text in ("", "12", "-1-2", "a-b", f"{2**63}-1"):
        assert read_place(text) is None
