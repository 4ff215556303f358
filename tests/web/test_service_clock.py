"""The service clock on a ticket: stopped for a reason, by a person, and let run on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Browser, expect
from psycopg import AsyncConnection

from cloud.desk import tickets

Connection = AsyncConnection[Any]
pytestmark = pytest.mark.browser


async def test_a_clock_is_stopped_for_a_reason_and_runs_on(
    browser: Browser, start_console: Callable[..., str], connection: Connection
) -> None:
    await tickets.confirm(connection, 1, "mei")
    url = start_console(FIRSTCALL_WEB_OPERATOR="mei")
    page = await browser.new_page(viewport={"width": 390, "height": 844})
    await page.goto(f"{url}/tickets/1")
    card = page.locator("section", has=page.get_by_role("heading", name="Service clock"))
    await expect(card.get_by_text("left")).to_be_visible()
    await card.get_by_role("button", name="Stop the clock").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_text("a part has to come first").click()
    await dialog.get_by_role("button", name="Stop the clock").click()
    await expect(card.get_by_text("a part has to come first")).to_be_visible()
    await expect(card.get_by_text("paused")).to_be_visible()
    kept = await connection.execute(
        "SELECT reason, person, upper(span) - lower(span) BETWEEN interval '23.9 hours' AND interval '24.1 hours'"
        " FROM sla_pause"
    )
    assert await kept.fetchall() == [("waiting_for_part", "mei", True)]
    await card.get_by_role("button", name="Let the clock run on").click()
    await expect(card.get_by_text("left")).to_be_visible()
    await tickets.dismiss(connection, 1, "mei", "nothing to do")
    await expect(card).to_have_count(0)
