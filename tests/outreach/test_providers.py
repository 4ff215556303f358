"""Providers against a real mail server and a real HTTP receiver: what is taken, refused, tried later."""

from __future__ import annotations

import datetime as dt
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from cloud.desk.outreach.http import HttpProvider, sign, signature_holds
from cloud.desk.outreach.providers import BackOff, Envelope, Provider, Refused, Unavailable
from cloud.desk.outreach.service import providers_of
from cloud.desk.outreach.smtp import SmtpProvider
from tests.outreach.conftest import SECRET, MailServer, Receiver, make_settings

LETTER = Envelope(
    "t1-s2-email",
    "email",
    "ann@example.test",
    "zh",
    "关于您的洗衣机",
    "你好 <b> https://x.test/a/1\n",
    "https://x.test/stop",
)
SMS = Envelope("t1-s2-sms", "sms", "+49301", "en", "About", "It drains slowly.")


async def test_a_letter_carries_its_key_its_language_and_a_way_to_stop(mail: MailServer, receiver: Receiver) -> None:
    accepted = await SmtpProvider(make_settings(mail, receiver)).send(LETTER)
    [letter] = mail.letters
    assert accepted.reference == letter["Message-ID"] == "<t1-s2-email@example.test>"
    assert str(letter["Subject"]) == "关于您的洗衣机"
    assert letter["Content-Language"] == "zh"
    assert letter["List-Unsubscribe"] == "<https://x.test/stop>"
    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    html = str(letter.get_body(("html",)).get_content())  # type: ignore[union-attr]
    assert '<a href="https://x.test/a/1">https://x.test/a/1</a>' in html
    assert "&lt;b&gt;" in html, "words are never markup"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("550 no such user", Refused),
        ("451 try later", Unavailable),
        ("535 who are you", Unavailable),
    ],
)
async def test_what_a_mail_server_says(
    mail: MailServer, receiver: Receiver, answer: str, kind: type[Exception]
) -> None:
    mail.answer = answer
    with pytest.raises(kind):
        await SmtpProvider(make_settings(mail, receiver)).send(LETTER)


async def test_no_mail_server_is_unavailable_and_the_text_names_nobody(mail: MailServer, receiver: Receiver) -> None:
    with pytest.raises(Unavailable) as caught:
        await SmtpProvider(make_settings(mail, receiver, smtp_port=1)).send(LETTER)
    assert "ann@example.test" not in str(caught.value)
    assert "ann@example.test" not in repr(LETTER)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    public.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


@pytest.fixture
def tls_mail(mail: MailServer, certificate: tuple[Path, ssl.SSLContext]) -> Iterator[tuple[MailServer, Path]]:
    server = MailServer(port=mail.port + 1 if mail.port < 65535 else mail.port - 1)
    controller = Controller(
        server, hostname="localhost", port=server.port, tls_context=certificate[1], require_starttls=True
    )
    controller.start()
    yield server, certificate[0]
    controller.stop()


async def test_starttls_is_taken_and_a_stranger_s_certificate_is_not(
    tls_mail: tuple[MailServer, Path], receiver: Receiver
) -> None:
    server, certificate = tls_mail
    changes: dict[str, Any] = {"smtp_host": "localhost", "smtp_security": "starttls"}
    with pytest.raises(Unavailable, match="SSL"):
        await SmtpProvider(make_settings(server, receiver, **changes)).send(LETTER)
    await SmtpProvider(make_settings(server, receiver, **changes, smtp_ca_file=certificate)).send(LETTER)
    assert len(server.letters) == 1


async def test_starttls_is_refused_by_a_server_without_it(mail: MailServer, receiver: Receiver) -> None:
    with pytest.raises(Unavailable):
        await SmtpProvider(make_settings(mail, receiver, smtp_security="starttls")).send(LETTER)
    assert mail.letters == []


async def test_a_signed_request_is_taken_once_by_its_key(receiver: Receiver) -> None:
    provider = HttpProvider("sms", receiver.url, SECRET.encode(), 5.0)
    assert (await provider.send(SMS)).reference == "r1"
    assert (await provider.send(SMS)).reference == "r2"
    assert receiver.bad_signatures == 0
    assert [m["idempotency_key"] for m in receiver.requests] == ["t1-s2-sms"] * 2
    assert list(receiver.delivered) == ["t1-s2-sms"]


@pytest.mark.parametrize(
    ("status", "headers", "kind", "after"),
    [
        (400, {}, Refused, None),
        (422, {}, Refused, None),
        (401, {}, Unavailable, None),
        (429, {"Retry-After": "120"}, Unavailable, 120.0),
        (503, {"Retry-After": "soon"}, Unavailable, None),
        (302, {"Location": "http://elsewhere.test/"}, Unavailable, None),
    ],
)
async def test_what_an_http_provider_says(
    receiver: Receiver, status: int, headers: dict[str, str], kind: type[Exception], after: float | None
) -> None:
    receiver.status, receiver.headers = status, headers
    with pytest.raises(kind) as caught:
        await HttpProvider("sms", receiver.url, SECRET.encode(), 5.0).send(SMS)
    assert getattr(caught.value, "retry_after_s", None) == after
    assert len(receiver.requests) == 1, "no redirect is followed"


def test_a_signature_is_of_this_body_by_this_secret_and_recent() -> None:
    now = time.time()
    header = sign(b"secret", int(now), b"body")
    assert signature_holds(b"secret", header, b"body", now)
    for secret, text, body, at in (
        (b"other", header, b"body", now),
        (b"secret", header, b"bodY", now),
        (b"secret", header, b"body", now + 301),
        (b"secret", header.replace("t=", "t=1"), b"body", now),
        (b"secret", "", b"body", now),
        (b"secret", "t=x,v1=y", b"body", now),
    ):
        assert not signature_holds(secret, text, body, at)


def test_contacts_are_not_sent_in_the_clear() -> None:
    with pytest.raises(ValueError, match="https"):
        HttpProvider("sms", "http://sms.example.test/", b"s", 5.0)


@pytest.mark.parametrize("changes", [{"sms_secret": None}, {"smtp_sender": ""}, {"lease_s": 9.0}])
def test_settings_that_cannot_work_are_refused(mail: MailServer, receiver: Receiver, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make_settings(mail, receiver, **changes)


def test_a_dead_provider_is_spared_longer_and_longer_and_probed_by_one() -> None:
    back_off = BackOff(timedelta(seconds=10), timedelta(seconds=100), Random(1))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    pauses = [(back_off.failed(now) - now).total_seconds() for _ in range(6)]
    for pause, least in zip(pauses, (10, 20, 40, 80, 100, 100), strict=True):
        assert least <= pause <= least * 1.25
    assert back_off.open_at is not None
    assert back_off.blocked_until(now) == back_off.open_at
    later = now + timedelta(seconds=130)
    assert back_off.blocked_until(later) is None, "one may try"
    assert back_off.blocked_until(later) == later + timedelta(seconds=10), "the others wait for it"
    back_off.succeeded()
    assert back_off.blocked_until(later) is None


def test_one_provider_a_channel_that_is_set(mail: MailServer, receiver: Receiver) -> None:
    providers: dict[Any, Provider] = dict(providers_of(make_settings(mail, receiver)))
    assert {channel: provider.channel for channel, provider in providers.items()} == {
        "email": "email",
        "sms": "sms",
        "push": "push",
    }
