"""A desk, a mail server and an HTTP receiver of the test's own; all real, on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from psycopg import AsyncConnection

from cloud.desk.outreach.delivery import Courier
from cloud.desk.outreach.http import signature_holds
from cloud.desk.outreach.service import providers_of
from cloud.desk.outreach.settings import OutreachSettings
from tests.support.mail_server import KEY_TEXT, MailServer, mail
from tests.support.service_desk import MASTER, ServiceDesk

__all__ = ["KEY_TEXT", "MailServer", "mail"]

SECRET = "shared secret of the provider"


@dataclass
class Receiver:
    """A real HTTP receiver that checks signatures and delivers one key once, as a provider should."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    delivered: dict[str, dict[str, Any]] = field(default_factory=dict)
    bad_signatures: int = 0
    delay_s: float = 0.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not signature_holds(SECRET.encode(), self.headers["FirstCall-Signature"], body, time.time()):
                state.bad_signatures += 1
            message = json.loads(body)
            time.sleep(state.delay_s)
            message["idempotency_key"] = self.headers["Idempotency-Key"]
            state.requests.append(message)
            if state.status == 200:
                state.delivered.setdefault(message["idempotency_key"], message)
            self.send_response(state.status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(json.dumps({"reference": f"r{len(state.requests)}"}).encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/send"
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
async def desk(migrated_url: str) -> AsyncIterator[ServiceDesk]:
    async with await AsyncConnection.connect(migrated_url, autocommit=True, options="-c timezone=UTC") as connection:
        yield ServiceDesk(connection)


@pytest.fixture
def settings(mail: MailServer, receiver: Receiver) -> OutreachSettings:
    return make_settings(mail, receiver)


def make_settings(mail: MailServer, receiver: Receiver, **changes: Any) -> OutreachSettings:
    given: dict[str, Any] = {
        "key": KEY_TEXT,
        "public_address": "https://care.example.test",
        "company": "Acme Care",
        "smtp_host": "127.0.0.1",
        "smtp_port": mail.port,
        "smtp_security": "plain",
        "smtp_sender": "Acme Care <care@example.test>",
        "sms_url": receiver.url,
        "sms_secret": SECRET,
        "push_url": receiver.url,
        "push_secret": SECRET,
        "provider_timeout_s": 5.0,
        "lease_s": 10.0,
    }
    return OutreachSettings(**given | changes)


@pytest.fixture
def make_courier() -> Callable[[OutreachSettings], Courier]:
    def make(settings: OutreachSettings) -> Courier:
        key = settings.load_key()
        assert key is not None
        return Courier(settings, key, MASTER, providers_of(settings), "test")

    return make
