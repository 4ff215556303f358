"""Gentle running on the ticket: for programs, and on the screen while it is looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect
from psycopg import AsyncConnection

Connection = AsyncConnection[Any]


async def _wish(connection: Connection, ticket_no: int) -> str:
    """The ticket has a visit that comes too late; the command's id."""
    cursor = await connection.execute(
        "WITH w AS (INSERT INTO work_order (ticket_no, state, experienced, waiting_since)"
        " VALUES (%(t)s, 'waiting', false, now()) RETURNING *)"
        " INSERT INTO gentle_run (work_order_no, device_no, until, reason, asked_at)"
        " SELECT work_order_no, device_no, now() + interval '3 days', '{\"en\": \"late\"}', now()"
        " FROM w JOIN ticket USING (ticket_no)",
        {"t": ticket_no},
    )
    cursor = await connection.execute("SELECT command_id FROM gentle_card")
    [(command_id,)] = await cursor.fetchall()
    return str(command_id)


async def _answer(connection: Connection, command_id: str, outcome: str, detail: str) -> None:
    await connection.execute(
        "INSERT INTO reply SELECT device_no, command_id, 1, 1, %s, %s, '{}', now() FROM command WHERE command_id = %s",
        [outcome, detail, command_id],
    )


async def test_a_ticket_tells_what_the_appliance_answered(api: httpx.AsyncClient, connection: Connection) -> None:
    assert (await api.get("/api/v1/tickets/1")).json()["gentle_run"] is None
    command_id = await _wish(connection, 1)
    assert (await api.get("/api/v1/tickets/1")).json()["gentle_run"]["state"] == "asked"
    await _answer(connection, command_id, "refused", "unsupported: it must keep cold")
    told = (await api.get("/api/v1/tickets/1")).json()["gentle_run"]
    assert (told["state"], told["detail"]) == ("refused", "unsupported: it must keep cold")
    assert told["reason"] == {"en": "late"}


@pytest.mark.browser
async def test_the_answer_comes_onto_the_screen_by_itself(
    browser: Browser, start_console: Callable[..., str], connection: Connection
) -> None:
    url = start_console()
    command_id = await _wish(connection, 1)
    page = await browser.new_page()
    await page.goto(f"{url}/tickets/1")
    await expect(page.get_by_text("Asked to run gently until")).to_be_visible()
    await _answer(connection, command_id, "done", "runs gently")
    await expect(page.get_by_text("Runs gently until")).to_be_visible()
