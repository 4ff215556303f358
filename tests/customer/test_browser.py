"""The whole story on a phone without scripts: scan, register, ask for a repair, hand on. In English and in Chinese."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from cloud.db.settings import DatabaseSettings
from cloud.web.server import serve
from cloud.web.settings import WebSettings
from tests.customer.conftest import MailServer, make_unit, outreach_environment
from tests.support.pictures import keep_pictures
from tests.support.service_desk import GTIN, ServiceDesk

pytestmark = pytest.mark.browser

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "contact": "E-mail", "send": "Send me a code", "digits": "Six digits", "name": "Your name (optional)",
        "consent": "Tell me by e-mail", "register": "Register", "done": "Done: the appliance is registered to you.",
        "repair": "Book a repair", "asked": "We have your request for a repair.", "check": "Is a call or message",
        "code": "Code from the call", "check_it": "Check it", "no": "No, we do not know this code.",
        "sold": "Sold it, or given it away?", "make": "Make a transfer code", "account": "My account",
        "manual": "Codes on the display, and what to do", "erase": "Erase my account", "unknown": "We do not know this",
        "where": "Where does it stand?",
    },
    "zh": {
        "contact": "电子邮箱", "send": "获取验证码", "digits": "六位数字", "name": "您的姓名（可不填）",
        "consent": "发现故障隐患时", "register": "登记", "done": "登记成功",
        "repair": "申请维修", "asked": "已收到您的维修申请",
        "check": "来电或消息真的是我们吗", "code": "来电或消息中的核实码", "check_it": "核实", "no": "没有这个核实码",
        "sold": "已转卖或送人", "make": "生成过户码", "account": "我的账户", "manual": "屏幕代码与处理方法",
        "erase": "注销账户", "unknown": "未找到这台电器", "where": "电器所在地区",
    },
}  # fmt: skip


@pytest.fixture
async def served(
    desk: ServiceDesk, migrated_url: str, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[str]:
    for name, value in outreach_environment(mail).items():
        monkeypatch.setenv(name, value)
    settings = WebSettings(port=0)
    async with serve(settings, DatabaseSettings(url=migrated_url), console=False) as serving:  # type: ignore[arg-type]
        yield serving.url


async def seen(page: Page, name: str) -> None:
    """The page fits a narrow and a usual phone, and stays on this server."""
    await page.wait_for_load_state("load")
    for width in (320, 390):
        await page.set_viewport_size({"width": width, "height": 844})
        too_wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert too_wide <= 0, f"{name} is {too_wide} px too wide at {width} px"
        small = await page.evaluate(
            "[...document.querySelectorAll('button, input:not([type=hidden]), select, summary, nav a, a.row')]"
            ".filter(e => e.checkVisibility() && e.type !== 'checkbox' && e.getBoundingClientRect().height < 43.5)"
            ".map(e => e.outerHTML.slice(0, 60))"
        )
        assert small == [], f"{name}: targets that a thumb misses"
        unnamed = await page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]), select')].filter(e => !e.labels.length).length"
        )
        assert unnamed == 0, f"{name}: fields without a label"
    await keep_pictures(page, name)


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_a_phone_without_scripts_is_enough(
    browser: Browser, served: str, desk: ServiceDesk, mail: MailServer, language: str
) -> None:
    w, path = WORDS[language], await make_unit(desk)
    await desk.engineer()  # of region north: so that there is one to choose
    context = await browser.new_context(
        java_script_enabled=False, locale={"en": "en-GB", "zh": "zh-CN"}[language],
        viewport={"width": 390, "height": 844}, device_scale_factor=2,
    )  # fmt: skip
    page, wrong = await context.new_page(), list[str]()
    page.on("request", lambda r: None if r.url.startswith((served, "data:")) else wrong.append(r.url))
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" and "404" not in m.text else None)

    await page.goto(f"{served}/01/{GTIN}/21/NOPE")
    await expect(page.get_by_role("heading", level=1)).to_contain_text(w["unknown"])
    await page.goto(served + path)
    await seen(page, f"1-scan-{language}")
    await page.get_by_label(w["contact"]).fill("li@example.test")
    await page.get_by_role("button", name=w["send"]).click()
    await seen(page, f"2-code-{language}")
    match = re.search(r"\d{6}", str(mail.letters[-1]["Subject"]))
    assert match
    await page.get_by_label(w["digits"]).fill(match[0])
    await page.get_by_label(w["name"]).fill("李雷" if language == "zh" else "Li Lei")
    await page.get_by_label(w["where"]).select_option("north")
    await page.get_by_label(w["consent"]).check()
    await page.get_by_role("button", name=w["register"], exact=True).click()
    await expect(page.get_by_role("status")).to_contain_text(w["done"])
    assert await desk.rows("SELECT region, region_by FROM customer_profile") == [("north", "customer")]
    await page.get_by_role("button", name=w["repair"]).click()
    await expect(page.get_by_role("status")).to_contain_text(w["asked"])
    await seen(page, f"3-own-{language}")

    await page.get_by_role("link", name=w["check"]).click()
    await page.get_by_label(w["code"]).fill("ABCD-EFGH")
    await page.get_by_role("button", name=w["check_it"], exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text(w["no"])
    await seen(page, f"4-check-{language}")
    await page.goto(served + path)
    await page.get_by_role("link", name=w["sold"]).click()
    await page.get_by_role("button", name=w["make"]).click()
    await expect(page.get_by_role("status")).to_have_text(re.compile(r"^[0-9A-Z]{4}-[0-9A-Z]{4}$"))
    await seen(page, f"5-transfer-{language}")
    await page.goto(served + path)
    await page.get_by_role("link", name=w["manual"]).click()
    await page.locator("summary").first.click()
    await seen(page, f"6-manual-{language}")
    await page.get_by_role("link", name=w["account"]).click()
    await seen(page, f"7-account-{language}")
    await page.get_by_role("link", name=w["erase"]).click()
    await seen(page, f"8-erase-{language}")
    assert wrong == []
    assert await desk.rows("SELECT problem, state FROM ticket") == [("repair_asked", "confirmed")]


async def test_one_tap_from_the_letter(
    browser: Browser, served: str, desk: ServiceDesk, mail: MailServer, migrated_url: str
) -> None:
    from cloud.db.pool import open_pool
    from cloud.desk.dispatch.settings import DispatchSettings
    from cloud.desk.outreach.delivery import Courier
    from cloud.desk.outreach.service import providers_of, turn
    from cloud.desk.outreach.settings import OutreachSettings
    from tests.support.service_desk import MASTER

    await desk.connection.execute("UPDATE fault_definition SET self_help = '{}'")
    await desk.engineer()
    user, device = await desk.customer(locale="zh", time_zone="Asia/Shanghai")
    await desk.ticket(user, device)
    settings = OutreachSettings()
    key = settings.load_key()
    assert key
    async with open_pool(DatabaseSettings(url=migrated_url), "test") as pool:  # type: ignore[arg-type]
        await turn(pool, Courier(settings, key, MASTER, providers_of(settings), "test"), DispatchSettings())
    letter: Any = mail.letters[-1].get_body(("plain",))
    links = re.findall(r"/a/\S+", letter.get_content())
    page = await (await browser.new_context(java_script_enabled=False, device_scale_factor=2)).new_page()
    await page.goto(served + links[0])
    await seen(page, "9-answer-zh")
    assert await desk.value("SELECT count(*) FROM visit_slot WHERE state = 'booked'") == 0
    await page.locator("main button").first.click()
    await expect(page.get_by_role("status")).to_contain_text("时间已预约")
    assert await desk.value("SELECT state FROM ticket") == "scheduled"
