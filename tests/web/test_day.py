"""The engineer's day on a phone: a finding sent into a dead network arrives once; a draft survives a reload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect
from psycopg import AsyncConnection

from tests.web.history import add_history

pytestmark = pytest.mark.browser
Connection = AsyncConnection[Any]


async def test_a_finding_outlives_the_network_and_counts_once(
    browser: Browser, start_console: Callable[..., str], connection: Connection
) -> None:
    await add_history(connection)
    url = start_console(FIRSTCALL_WEB_OPERATOR="lena")
    context = await browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = await context.new_page()
    await page.goto(f"{url}/my-day")
    await expect(page.locator(".fc-stop")).to_have_count(4)
    first = page.locator(".fc-stop").first
    await first.locator("summary").click()
    await first.get_by_label("Note").fill("valve loose")
    await page.reload()  # the draft is still there
    await expect(first.get_by_label("Note")).to_have_value("valve loose")
    await page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    await page.reload()  # now through the worker, which keeps the page

    await context.set_offline(True)
    await first.get_by_label("Another fault").check()
    await first.get_by_role("button", name="Send the finding").click()
    await expect(first.get_by_text("Not sent yet")).to_be_visible()
    await page.reload()  # without a network: the page that was kept, and what is still to be sent
    await expect(first.get_by_text("Not sent yet")).to_be_visible()
    await context.set_offline(False)
    await expect(first.get_by_text("Sent.")).to_be_visible(timeout=30_000)

    rows = await connection.execute("SELECT outcome, note, person FROM finding JOIN visit_report USING (finding_no)")
    assert await rows.fetchall() == [("other_fault", "valve loose", "lena")]
    row = await (await connection.execute("SELECT work_order_no FROM visit_report")).fetchone()
    assert row is not None
    async with httpx.AsyncClient() as client:
        target = f"{url}/my-day/visits/{row[0]}/finding"
        said = {"outcome": "other_fault", "note": "valve loose", "found_at": "2026-01-01T00:00:00Z"}
        at_door = await connection.execute("SELECT code, part FROM finding JOIN visit_report USING (finding_no)")
        ((code, part),) = await at_door.fetchall()
        again = await client.post(target, json={**said, "code": code, "part": part})
        assert again.status_code == 200
        other = await client.post(target, json={**said, "note": "something else"})
        assert other.status_code == 409
        assert (await client.post(f"{url}/my-day/visits/999999/finding", json=said)).status_code == 404
        assert (await client.post(target, json={"outcome": "maybe"})).status_code == 422
        foreign = await client.post(target, json=said, headers={"Origin": "http://evil.example"})
        assert foreign.status_code == 403
    count = await connection.execute("SELECT count(*) FROM visit_report")
    assert await count.fetchone() == (1,)
