"""A real mail server on loopback that keeps what it gets, and what programs are told to write through it."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from tests.support.service_desk import MASTER_TEXT

KEY_TEXT = base64.b64encode(b"k" * 32).decode()


@dataclass
class MailServer:
    """A real SMTP server; `answer` is what it says to a message ('250 …' takes it)."""

    answer: str = "250 taken"
    letters: list[EmailMessage] = field(default_factory=list)
    delay_s: float = 0.0
    port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        await asyncio.sleep(self.delay_s)
        if self.answer.startswith("250"):
            letter = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(letter, EmailMessage)
            letter["X-To"] = ",".join(envelope.rcpt_tos)
            with self._lock:
                self.letters.append(letter)
        return self.answer

    def keys(self) -> list[str]:
        """The Message-IDs of what arrived, as often as it did."""
        with self._lock:
            return [str(letter["Message-ID"]) for letter in self.letters]


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        server.port = probe.getsockname()[1]
    controller = Controller(server, hostname="127.0.0.1", port=server.port)
    controller.start()
    yield server
    controller.stop()


def outreach_environment(server: MailServer) -> dict[str, str]:
    """What programs are told, so that they write through this server and can sign and decrypt."""
    return {
        "FIRSTCALL_REGISTRY_MASTER_KEY": MASTER_TEXT,
        "FIRSTCALL_OUTREACH_KEY": KEY_TEXT,
        "FIRSTCALL_OUTREACH_COMPANY": "Acme Care",
        "FIRSTCALL_OUTREACH_SMTP_HOST": "127.0.0.1",
        "FIRSTCALL_OUTREACH_SMTP_PORT": str(server.port),
        "FIRSTCALL_OUTREACH_SMTP_SECURITY": "plain",
        "FIRSTCALL_OUTREACH_SMTP_SENDER": "Acme Care <care@example.test>",
        "FIRSTCALL_WEB_SESSION_SECRET": "s" * 32,
    }
