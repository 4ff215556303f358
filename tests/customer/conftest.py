"""The whole web application over a real database and a real mail server; a customer is an HTTP client with cookies."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection

from cloud.db.settings import DatabaseSettings
from cloud.web.app import create_app
from cloud.web.settings import WebSettings
from tests.support.mail_server import MailServer, mail, outreach_environment
from tests.support.service_desk import GTIN, MODEL, ServiceDesk

__all__ = ["mail", "outreach_environment"]

STEPS = {"en": ["Clean the filter.", "Run it empty."], "zh": ["清洗过滤器。", "空载运行一次。"]}


@pytest.fixture
async def desk(migrated_url: str) -> AsyncIterator[ServiceDesk]:
    async with await AsyncConnection.connect(migrated_url, autocommit=True, options="-c timezone=UTC") as connection:
        made = ServiceDesk(connection)
        await made.catalogue(self_help=STEPS)
        await connection.execute(
            "INSERT INTO warranty_term VALUES (%s, 'pump', 60), (%s, 'main_parts', 36)", [MODEL] * 2
        )
        yield made


async def make_unit(desk: ServiceDesk, serial: str = "A1") -> str:
    """A unit with a device in it that nobody has; its page."""
    run = desk.connection.execute
    row = await (await run("INSERT INTO device (device) VALUES (%s) RETURNING device_no", [f"dev-{serial}"])).fetchone()
    assert row
    await run("INSERT INTO registered_device (device_no, registered_by) VALUES (%s, 'test')", [row[0]])
    await run("INSERT INTO product (gtin, serial, lot) VALUES (%s, %s, 'L7')", [GTIN, serial])
    await run("SELECT registry_fit(%s, %s, %s, NULL, NULL, now(), 'test')", [row[0], GTIN, serial])
    return f"/01/{GTIN}/21/{serial}"


@dataclass
class Customer:
    """A browser without scripts: it follows redirects, keeps cookies, and sends the forms that pages hold."""

    http: httpx.AsyncClient
    letters: MailServer
    requests: list[str] = field(default_factory=list)
    page: httpx.Response = field(default_factory=lambda: httpx.Response(200))

    async def open(self, path: str) -> httpx.Response:
        return await self._go("GET", path)

    async def send(self, action: str, **fields: str) -> httpx.Response:
        """Send the form of the page at hand that goes to `action` ('' is the page's own address)."""
        found = re.findall(r"<form ([^>]*)>(.*?)</form>", self.page.text, re.DOTALL)
        bodies = [body for head, body in found if self._action(head) == (action or self.page.url.path)]
        assert bodies, f"no form to {action} on {self.page.url.path}: {text_of(self.page)}"
        wanted = {name: value for name, value in fields.items() if name == "wish"}
        bodies = [b for b in bodies if all(f'name="{n}" value="{v}"' in b for n, v in wanted.items())]
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', bodies[0]))
        names = set(re.findall(r'name="(\w+)"', bodies[0]))
        assert set(fields) <= names, f"the form has {sorted(names)}"
        return await self._go(
            "POST", action or self.page.url.path, {k: html.unescape(v) for k, v in hidden.items()} | fields
        )

    async def register(self, path: str, contact: str, **beside: str) -> httpx.Response:
        """Scan, type a contact, type the code."""
        await self.open(path)
        await self.send("/c/start", contact=contact, **beside)
        return await self.send("/c/code", code=self.code())

    def code(self) -> str:
        """The newest one-time code in the mailbox."""
        match = re.search(r"\b\d{6}\b", str(self.letters.letters[-1]["Subject"]))
        assert match
        return match[0]

    def _action(self, head: str) -> str:
        match = re.search(r'action="([^"]*)"', head)
        return html.unescape(match[1]) if match else self.page.url.path

    async def _go(self, method: str, path: str, form: dict[str, str] | None = None) -> httpx.Response:
        for _ in range(5):
            self.requests.append(f"{method} {path}")
            self.page = await self.http.request(method, path, data=form)
            if self.page.status_code != 303:
                return self.page
            method, path, form = "GET", self.page.headers["location"], None
        raise AssertionError("redirects without end")


def text_of(page: httpx.Response) -> str:
    """What a person reads on a page."""
    body = re.sub(r"<(script|style|head)\b.*?</\1>", " ", page.text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body))).strip()


NewCustomer = Callable[..., Awaitable[Customer]]


@pytest.fixture
async def new_customer(
    desk: ServiceDesk, migrated_url: str, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[NewCustomer]:
    """Customers of one running application; settings can be given before the first one comes."""
    async with AsyncExitStack() as stack:
        apps: list[Any] = []

        async def come(language: str = "en", address: str = "10.0.0.1", **environment: str) -> Customer:
            if not apps:
                for name, value in {**outreach_environment(mail), **environment}.items():
                    monkeypatch.setenv(name, value)
                app = create_app(WebSettings(), DatabaseSettings(url=migrated_url), console=False)  # type: ignore[arg-type]
                await stack.enter_async_context(app.router.lifespan_context(app))
                apps.append(app)
            transport = httpx.ASGITransport(app=apps[0], raise_app_exceptions=True, client=(address, 4711))
            client = httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1:8080", headers={"Accept-Language": language}
            )
            return Customer(await stack.enter_async_context(client), mail)

        yield come
