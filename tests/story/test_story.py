"""The whole story, once in each language: a scan, a fault, a call before the customer notices, a visit, a lesson.

Every program is the real one, in a process of its own. The customer has a phone without scripts and the letters that
reach a real mail server; the engineer has a phone; nobody touches the database. Each chapter says when it breaks.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect
from psycopg import AsyncConnection

from tests.access.people import PASSWORD
from tests.story.appliance import CODE, DisplayedDriver, gateway
from tests.story.conftest import AGENT, ENGINEER, Installation
from tests.story.words import SAID, Said, english_in
from tests.support.mail_server import MailServer
from tests.support.pictures import keep_pictures

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
DEADLINE_S = 60.0
CUSTOMER = "li@example.test"
PHONE = {"width": 390, "height": 844}


@dataclass
class Story:
    """What the chapters share. `read`: all that the customer was shown, by where it stood."""

    installation: Installation
    said: Said
    language: str
    mail: MailServer
    connection: AsyncConnection[Any]
    driver: DisplayedDriver
    phone: Page
    read: dict[str, str] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def chapter(self, name: str) -> Iterator[None]:
        """What fails within is told with the chapter and the programs' last words."""
        began = time.monotonic()
        try:
            yield
        except BaseException as error:
            logs = "\n".join(
                f"--- {name}\n{program.log_tail()}" for name, program in self.installation.stack.programs.items()
            )
            error.add_note(f"THE STORY BROKE IN CHAPTER: {name} ({self.language})\n{logs}")
            raise
        self.took[name] = time.monotonic() - began

    async def becomes(self, what: str, query: Any, expected: Any) -> None:
        """Ask the database until the first column of its first row is as expected."""
        deadline, seen = time.monotonic() + DEADLINE_S, None
        while time.monotonic() < deadline:
            self.installation.stack.check()
            row = await (await self.connection.execute(query)).fetchone()
            seen = None if row is None else row[0]
            if seen == expected:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"{what}: {seen!r} and not {expected!r} after {DEADLINE_S:.0f} s")

    async def letter(self, subject: str) -> EmailMessage:
        """The letter to the customer with this subject, when it has come."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            for letter in list(self.mail.letters):
                if str(letter["Subject"]) == subject:
                    assert letter["X-To"] == CUSTOMER
                    self.read[f"letter {subject!r}"] = f"{subject}\n{text_of(letter)}"
                    return letter
            await asyncio.sleep(0.1)
        came = [str(letter["Subject"]) for letter in self.mail.letters]
        raise AssertionError(f"no letter {subject!r} after {DEADLINE_S:.0f} s; there came {came}")

    async def look(self, place: str) -> None:
        """Read the customer's page as a person does, and keep what was read."""
        self.read[place] = f"{await self.phone.title()}\n{await self.phone.inner_text('body')}"
        await keep_pictures(self.phone, f"{self.language} {place}")


def text_of(letter: EmailMessage) -> str:
    """A letter's plain text."""
    body = letter.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


@asynccontextmanager
async def phone_without_scripts(browser: Browser, said: Said) -> AsyncIterator[Page]:
    context = await browser.new_context(java_script_enabled=False, locale=said.locale, viewport=PHONE)
    yield await context.new_page()
    await context.close()


async def signed_in(context: BrowserContext, said: Said, url: str, name: str) -> Page:
    """A page of somebody of ours, after the sign-in form."""
    page = await context.new_page()
    await page.goto(f"{url}/sign-in")
    await page.get_by_label(said.your_name).fill(name)
    await page.get_by_label(said.password).fill(PASSWORD)
    await page.get_by_role("button", name=said.sign_in).click()
    await page.wait_for_url(lambda address: "/sign-in" not in address)
    return page


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_from_the_scan_to_the_lesson(
    installation: Installation,
    browser: Browser,
    mail: MailServer,
    language: str,
    record_property: Callable[[str, object], None],
) -> None:
    said, stack, washer = SAID[language], installation.stack, installation.washer
    driver = DisplayedDriver(washer)
    async with (
        gateway(washer, driver, stack.broker.mqtt_url or "", installation.folder),
        phone_without_scripts(browser, said) as phone,
        await AsyncConnection.connect(stack.database.url, autocommit=True) as connection,
    ):
        story = Story(installation, said, language, mail, connection, driver, phone)
        with story.chapter("1 scan and register"):
            await scan_and_register(story)
        with story.chapter("2 fault and triage"):
            await the_washer_fails(story)
        with story.chapter("3 message"):
            letter = await the_message(story)
        with story.chapter("4 the customer accepts a time"):
            await a_time_is_accepted(story, letter)
        with story.chapter("5 the engineer's finding"):
            await the_finding(story, browser)
        with story.chapter("6 ticket closed"):
            await the_ticket_is_closed(story, browser)
        with story.chapter("7 label at the detector"):
            await the_lesson(story)
        for name, seconds in story.took.items():
            record_property(f"chapter {name}, s", round(seconds, 2))
        english = {place: found for place, text in story.read.items() if (found := english_in(text))}
        if language == "zh":
            assert english == {}, "the Chinese customer was shown English"
        else:
            assert set(english) == set(story.read), "english_in finds English where it is"


async def scan_and_register(story: Story) -> None:
    said, phone = story.said, story.phone
    await phone.goto(story.installation.label)
    await expect(phone.get_by_role("heading", level=1)).to_have_text(said.heading)
    await story.look("scan")
    await phone.get_by_label(said.contact).fill(CUSTOMER)
    await phone.get_by_role("button", name=said.send_code).click()
    await story.look("code")
    [letter] = story.mail.letters
    story.read["letter with the code"] = f"{letter['Subject']}\n{text_of(letter)}"
    code = re.search(r"\d{6}", str(letter["Subject"]))
    assert code
    await phone.get_by_label(said.digits).fill(code[0])
    await phone.get_by_label(said.name).fill("李雷" if story.language == "zh" else "Li Lei")
    await phone.get_by_label(said.consent).check()
    await phone.get_by_role("button", name=said.register, exact=True).click()
    await expect(phone.get_by_role("status")).to_contain_text(said.registered)
    await expect(phone.get_by_text(said.own, exact=True)).to_be_visible()
    await story.look("registered")


async def the_washer_fails(story: Story) -> None:
    story.driver.display.add(CODE)
    await story.becomes("a ticket is confirmed", "SELECT confirmed_at IS NOT NULL FROM ticket", True)
    rows = await story.connection.execute("SELECT to_state, person, reason FROM ticket_step ORDER BY step_no LIMIT 2")
    proposed, confirmed = await rows.fetchall()
    assert proposed[:2] == ("proposed", "desk")
    assert confirmed[:2] == ("confirmed", "desk"), "triage confirms, not a person"
    assert "drainTime" in confirmed[2], "by the readings of the washer itself"


async def the_message(story: Story) -> EmailMessage:
    said, phone = story.said, story.phone
    letter = await story.letter(said.noticed)
    assert said.seen in text_of(letter)
    assert said.step in text_of(letter)
    await story.becomes("the ticket is contacted", "SELECT state FROM ticket", "contacted")

    await phone.goto(story.installation.label)  # a doubt: is it really them?
    await story.look("ticket open")
    await phone.get_by_role("link", name=said.check).click()
    code = re.search(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b", text_of(letter))
    assert code
    await phone.get_by_label(said.code).fill(code[0])
    await phone.get_by_role("button", name=said.check_it, exact=True).click()
    await expect(phone.get_by_role("status")).to_contain_text(said.genuine)
    await story.look("code checked")
    return letter


async def a_time_is_accepted(story: Story, letter: EmailMessage) -> None:
    said, phone = story.said, story.phone
    link = next(line for line in text_of(letter).splitlines() if line.startswith(said.send_somebody))
    await phone.goto("http" + link.partition("http")[2])
    await story.look("link opened")
    await phone.get_by_role("button", name=said.send_somebody).click()
    await expect(phone.get_by_role("heading", name=said.offered)).to_be_visible()
    await story.look("times offered")
    times = phone.locator("form[action^='/a/'] button", has_text=re.compile(r"\d\d?:\d\d"))
    chosen = await times.first.inner_text()
    await times.first.click()
    await expect(phone.get_by_role("status")).to_contain_text(said.booked)
    await expect(phone.get_by_role("status")).to_contain_text(chosen)
    await story.look("time booked")
    await phone.get_by_role("link", name=said.tell_where).click()
    await expect(phone.get_by_role("heading", name=said.agreed)).to_be_visible()
    await story.look("where")
    await phone.get_by_role("textbox", name=said.address).fill(said.home)
    await phone.get_by_role("button", name=said.save).click()
    await expect(phone.get_by_role("heading", name=said.agreed)).to_be_visible()
    await story.look("visit agreed")
    await story.letter(said.appointment)


async def the_finding(story: Story, browser: Browser) -> None:
    said, url = story.said, story.installation.stack.console_url
    context = await browser.new_context(
        locale=said.locale, viewport=PHONE, has_touch=True, timezone_id=story.installation.zone
    )
    page = await signed_in(context, said, url, ENGINEER)
    await page.goto(f"{url}/my-day")
    await expect(page.get_by_role("heading", level=1)).to_have_text(said.my_day)
    stop = page.locator(".fc-stop")
    await expect(stop).to_have_count(1)
    await keep_pictures(page, f"{story.language} my day")
    await stop.get_by_role("button", name=said.show_contact).click()
    await expect(stop.get_by_text(said.home)).to_be_visible()
    await stop.get_by_text(said.finish).click()
    await stop.get_by_label(said.fault_confirmed).check()
    await stop.get_by_label(said.note).fill("硬币卡住了" if story.language == "zh" else "a coin in the filter")
    shown = await page.inner_text("body")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it fits the phone"
    await keep_pictures(page, f"{story.language} my day finding")
    await stop.get_by_role("button", name=said.send_finding).click()
    await expect(stop.get_by_text(said.sent)).to_be_visible()
    await keep_pictures(page, f"{story.language} my day sent")
    if story.language == "zh":
        assert english_in(shown) == [], "the engineer was shown English"
    await context.close()


async def the_ticket_is_closed(story: Story, browser: Browser) -> None:
    said, url = story.said, story.installation.stack.console_url
    context = await browser.new_context(locale=said.locale, viewport={"width": 1440, "height": 900})
    page = await signed_in(context, said, url, AGENT)
    row = await (await story.connection.execute("SELECT ticket_no FROM ticket")).fetchall()
    await page.goto(f"{url}/tickets/{row[0][0]}")
    await expect(page.locator(".now-first").get_by_text(said.resolved).first).to_be_visible()
    await expect(page.get_by_text(said.fault_confirmed).first).to_be_visible()
    await context.close()
    await story.letter(said.closing)
    await story.phone.goto(story.installation.label)
    await expect(story.phone.get_by_role("heading", name=said.settled)).to_be_visible()
    await story.look("settled")
    steps = await story.connection.execute("SELECT to_state, person FROM ticket_step ORDER BY step_no")
    assert await steps.fetchall() == [
        ("proposed", "desk"),
        ("confirmed", "desk"),
        ("contacted", "outreach"),
        ("scheduled", "customer"),
        ("resolved", ENGINEER),
    ]


async def the_lesson(story: Story) -> None:
    await story.becomes(
        "the detector takes the finding",
        "SELECT count(*) FROM detector_lesson JOIN finding USING (finding_no)"
        " WHERE outcome = 'fault_confirmed' AND code = '5E' AND detector = 'champion'",
        1,
    )
    await story.becomes(
        "the detector counts it", "SELECT counters->>'lessons' FROM program_health WHERE program = 'detect'", "1"
    )
