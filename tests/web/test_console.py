"""The console in a real browser: a fault appears by itself, its ticket is opened, confirmed, resolved."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect
from psycopg import AsyncConnection

from tests.web.fleet import Fleet, report, run_desk

pytestmark = pytest.mark.browser
Connection = AsyncConnection[Any]
WIDTHS = (390, 1440)


async def _page(context: BrowserContext, url: str, wrong: list[str]) -> Page:
    page = await context.new_page()
    page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
    page.on("request", lambda r: None if r.url.startswith((url, "data:")) else wrong.append(f"left: {r.url}"))
    return page


async def test_a_fault_appears_by_itself_and_its_ticket_is_brought_to_an_end(
    browser: Browser, start_console: Callable[..., str], connection: Connection, fleet: Fleet
) -> None:
    url, wrong = start_console(FIRSTCALL_WEB_OPERATOR="mei"), list[str]()
    page = await _page(await browser.new_context(viewport={"width": 1440, "height": 900}), url, wrong)
    await page.goto(url)
    await expect(page.get_by_role("link", name="Water does not drain")).to_be_visible(timeout=20_000)
    leaking = page.locator("tr", has_text="washer-0042").filter(has_text="Water leaks inside")
    await expect(leaking).to_have_count(0)

    await report(connection, fleet.devices["washer-0042"], "LE", datetime.now(UTC))
    await run_desk(connection)
    committed = time.monotonic()
    await leaking.wait_for(timeout=5_000)
    took = time.monotonic() - committed
    assert took < 1.0, f"{took:.2f} s from the commit to the screen"
    await expect(leaking.locator(".sev")).to_have_text("Critical")

    await leaking.get_by_role("link", name="Water leaks inside").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Water leaks inside")
    await expect(page.get_by_text("The appliance reported LE once")).to_be_visible()
    await expect(page.get_by_text("water level", exact=False).first).to_be_visible()
    await expect(page.get_by_text("+49 30 5550 010")).to_have_count(0)
    await page.get_by_role("button", name="Show contacts").click()
    await expect(page.get_by_text("+49 30 5550 010")).to_be_visible()

    await page.get_by_role("button", name="Confirm the fault").click()
    await page.get_by_role("button", name="Customer contacted").click()
    await page.get_by_role("button", name="Resolve with a finding").click()
    await page.get_by_role("dialog").get_by_label("Note").fill("the seal was torn")
    await page.get_by_role("dialog").get_by_role("button", name="Resolve", exact=True).click()
    await expect(page.get_by_role("heading", name="Resolved")).to_be_visible()
    await expect(page.get_by_role("button", name="Dismiss")).to_have_count(0)

    query = "SELECT t.state, f.outcome, f.code, f.note, f.person FROM ticket t JOIN finding f USING (ticket_no)"
    rows = await (await connection.execute(query)).fetchall()
    assert rows == [("resolved", "fault_confirmed", "LE", "the seal was torn", "mei")]
    looks = await connection.execute("SELECT person, purpose FROM personal_access WHERE action = 'read'")
    assert [(person, purpose.split(":")[0].split()[0]) for person, purpose in await looks.fetchall()] == [
        ("mei", "ticket")
    ]
    assert wrong == []


async def test_every_screen_fits_stays_at_home_and_its_socket_refuses_other_sites(
    browser: Browser, start_console: Callable[..., str], connection: Connection
) -> None:
    url, wrong = start_console(), list[str]()
    screens = {
        "/": "Live", "/?severity=critical": "Live", "/queue": "Queue", "/queue?state=resolved": "Queue",
        "/tickets/1": "", "/devices": "Devices", "/devices?beginning=wa&show=faulty": "Devices",
        "/devices/fridge-0107?span=7d": "fridge-0107", "/devices/fridge-0108": "fridge-0108", "/ingest": "Ingest",
        "/tickets/999": "There is no ticket 999", "/devices/nobody": "There is no device nobody",
    }  # fmt: skip
    for width in WIDTHS:
        page = await _page(await browser.new_context(viewport={"width": width, "height": 844}), url, wrong)
        for path, title in screens.items():
            await page.goto(url + path)
            heading = page.get_by_role("heading", level=1)
            await expect(heading).to_be_visible(timeout=15_000)
            if title:
                await expect(heading).to_have_text(title)
            too_wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert too_wide <= 0, f"{path} is {too_wide} px too wide at {width} px"
    assert wrong == []
    async with httpx.AsyncClient() as client:
        socket = f"{url}/_nicegui_ws/socket.io/?EIO=4&transport=polling"
        assert (await client.get(socket, headers={"Origin": "http://evil.example"})).status_code == 403
        assert (await client.get(socket, headers={"Origin": url})).status_code != 403


async def test_signing_in_and_out(browser: Browser, start_console: Callable[..., str]) -> None:
    url = start_console(FIRSTCALL_WEB_OPERATOR_PASSWORD="correct horse")
    page = await (await browser.new_context()).new_page()
    await page.goto(f"{url}/queue?state=proposed")
    await expect(page).to_have_url(f"{url}/sign-in?next=/queue%3Fstate%3Dproposed")
    await page.get_by_label("Your name").fill("mei")
    await page.get_by_label("Password").fill("wrong")
    await page.get_by_role("button").click()
    await expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    await page.get_by_label("Password").fill("correct horse")
    await page.get_by_role("button").click()
    await expect(page).to_have_url(f"{url}/queue?state=proposed")
    await expect(page.locator(".fc-who")).to_contain_text("mei")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    await page.goto(f"{url}/queue")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
