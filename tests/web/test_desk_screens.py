"""Shelving, bulk steps, keys, language: what a dispatcher does, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Browser, expect
from psycopg import AsyncConnection

from cloud.desk.dispatch.clocks import pause
from cloud.desk.tickets import confirm, dismiss
from cloud.desk.triage.queue import order_day
from cloud.desk.triage.settings import TriageSettings
from cloud.registry.costs import Costs

pytestmark = pytest.mark.browser
Connection = AsyncConnection[Any]


async def test_a_fault_is_shelved_for_a_reason_and_shown_again(
    browser: Browser, start_console: Callable[..., str], connection: Connection
) -> None:
    url = start_console(FIRSTCALL_WEB_OPERATOR="mei")
    page = await (await browser.new_context(viewport={"width": 1440, "height": 900})).new_page()
    await page.goto(url)
    row = page.locator("tr", has_text="Water does not drain")
    await row.get_by_role("button", name="Shelve washer-0042").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Shelve", exact=True).click()
    await expect(dialog.get_by_role("alert")).to_have_text("say why it may wait")
    await dialog.get_by_label("Why may it wait?").fill("the part comes tomorrow")
    await dialog.get_by_role("button", name="Shelve", exact=True).click()
    await expect(row).to_have_count(0)

    await page.goto(f"{url}/?show=shelved")
    await expect(page.get_by_text("the part comes tomorrow")).to_be_visible()
    await page.get_by_role("button", name="Show again").click()
    await expect(page.get_by_text("The shelf is empty")).to_be_visible()
    kept = await connection.execute(
        "SELECT problem, reason, person, ended_by, until - shelved_at = interval '4 hours' FROM shelf"
    )
    assert await kept.fetchall() == [("5E", "the part comes tomorrow", "mei", "mei", True)]


async def test_tickets_are_chosen_by_keys_and_confirmed_together(
    browser: Browser, start_console: Callable[..., str], connection: Connection
) -> None:
    url = start_console()
    page = await (await browser.new_context(viewport={"width": 1440, "height": 900})).new_page()
    await page.goto(f"{url}/queue?state=proposed&severity=high")
    await expect(page.locator("tbody tr.linked")).to_have_count(2)
    for key in ("j", "x", "j", "x"):
        await page.keyboard.press(key)
    await expect(page.get_by_text("2 selected")).to_be_visible()
    await page.get_by_role("button", name="Confirm", exact=True).click()
    await expect(page.get_by_text("None in this state")).to_be_visible()
    confirmed = await connection.execute("SELECT count(*) FROM ticket WHERE state = 'confirmed'")
    assert await confirmed.fetchone() == (2,)
    await page.goto(f"{url}/queue?state=confirmed")
    await expect(page.get_by_text("left").first).to_be_visible()
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{url}/tickets/2")


async def test_language_and_light_are_switched_and_stay(browser: Browser, start_console: Callable[..., str]) -> None:
    url = start_console()
    page = await (await browser.new_context(color_scheme="light", locale="en-GB")).new_page()
    await page.goto(url)
    await page.locator(".fc-who").get_by_role("button", name="中文").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("实时")
    await page.locator(".fc-who").get_by_role("button", name="深色").click()
    await expect(page.locator("body")).to_have_class("desktop no-touch body--dark")
    await page.goto(f"{url}/queue")
    await expect(page.get_by_role("heading", level=1)).to_have_text("队列")
    await expect(page.get_by_text("不排水")).to_be_visible()


async def test_the_queue_tells_why_a_clock_is_paused(
    browser: Browser, start_console: Callable[..., str], connection: Connection
) -> None:
    await confirm(connection, 2, "mei")
    await pause(connection, 2, "waiting_for_part", "mei")
    url = start_console()
    page = await (await browser.new_context(viewport={"width": 1440, "height": 900})).new_page()
    await page.goto(f"{url}/queue?state=confirmed")
    await expect(page.locator("tbody tr.linked")).to_contain_text("a part has to come first")


async def test_what_the_rule_refuted_a_person_opens_anew(
    browser: Browser, start_console: Callable[..., str], connection: Connection
) -> None:
    await dismiss(connection, 2, "desk", "refuted")
    url = start_console(FIRSTCALL_WEB_OPERATOR="mei")
    page = await (await browser.new_context(viewport={"width": 1440, "height": 900})).new_page()
    await page.goto(f"{url}/tickets/2")
    await page.get_by_role("button", name="The fault is real").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Open a new ticket").click()
    await expect(dialog.get_by_role("alert")).to_have_text("say why the fault is real")
    await dialog.get_by_label("Why?").fill("the customer hears the pump")
    await dialog.get_by_role("button", name="Open a new ticket").click()
    await expect(page.get_by_role("heading", name="Confirmed")).to_be_visible()
    await expect(page.get_by_text("by mei: the customer hears the pump")).to_be_visible()
    said = await connection.execute("SELECT verdict, person, note FROM verdict ORDER BY verdict_no DESC LIMIT 1")
    assert await said.fetchone() == ("confirmed", "mei", "the customer hears the pump")


async def test_the_queue_draws_the_line_of_the_day(
    browser: Browser, start_console: Callable[..., str], connection: Connection
) -> None:
    await order_day(connection, Costs.load(), TriageSettings(calls_a_day=1))
    url = start_console()
    page = await (await browser.new_context(viewport={"width": 1440, "height": 900})).new_page()
    await page.goto(f"{url}/queue")
    await expect(page.locator("tbody tr")).to_have_count(4 + 4 + 2)  # tickets, their sentences, two lines
    parts = [" ".join(words.split()) for words in await page.locator("tbody tr").all_inner_texts()]
    assert parts[0] == "Within today's calls and visits"
    assert parts[1].startswith("#1 ")
    assert parts[2].startswith("Place 1 of 4: ")
    assert parts[3] == "Beyond today's calls and visits"
    await order_day(connection, Costs.load(), TriageSettings(calls_a_day=2))  # announced: no reload
    await expect(page.locator("tbody tr").nth(3)).to_contain_text("#2")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(page.locator("tr.here")).to_contain_text("#2")
