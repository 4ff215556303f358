"""One-time codes: who can read what was sent to a phone or e-mail holds it.

A code is bound to its contact, works once, for minutes, and for a few entries. Sending and entering are limited by
contact and by client. The message goes out by outreach's providers, at once: somebody is waiting for it.
"""

from __future__ import annotations

import hmac
import re
import secrets
from datetime import timedelta

import structlog

from cloud.desk.outreach.ladder import Channel
from cloud.desk.outreach.providers import Envelope, Refused, Unavailable
from cloud.locale.catalogues import Words
from cloud.registry.accounts import ContactKind
from cloud.registry.keys import normal_contact
from cloud.registry.people import Connection
from cloud.web.customer.reception import SQL, Reception

log = structlog.get_logger(__name__)

DIGITS = 6
_EMAIL = re.compile(r"[^@\s<>\"',;:\\()\[\]]{1,64}@[^@\s<>\"',;:\\()\[\]]{1,189}\.[^@\s<>\"',;:\\()\[\].]{2,63}")
_CHANNEL: dict[ContactKind, Channel] = {"email": "email", "phone": "sms"}


class NoContact(ValueError):
    """What was typed is neither an e-mail address nor a phone number that can be reached."""


class NotSent(Exception):
    """The code could not be sent: the provider refused it, or cannot be reached now."""


def read_contact(
    typed: str, country_code: str = "", kinds: tuple[str, ...] = ("email", "phone")
) -> tuple[ContactKind, str]:
    """Pure: a typed e-mail address, or phone number in international form, of the `kinds` that can be reached.

    Raises:
        NoContact: see there.
    """
    text = typed.strip()
    if _EMAIL.fullmatch(text) and "email" in kinds:
        return "email", text
    if not re.fullmatch(r"\+?[0-9 ()./-]{5,30}", text) or "phone" not in kinds:
        raise NoContact(text)
    number = normal_contact("phone", text)
    if not number.startswith("+") and country_code:
        number = country_code + number.removeprefix("0")
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", number):  # ITU-T E.164: at most 15 digits
        raise NoContact(text)
    return "phone", number


async def send_code(
    reception: Reception, connection: Connection, kind: ContactKind, contact: str, *, client: str, words: Words
) -> int:
    """Send a fresh code to a contact; returns the challenge's number.

    Raises:
        TooOften: too many codes for this contact or by this client. NotSent: see there.
    """
    settings, subject = reception.settings, f"{kind}:{normal_contact(kind, contact)}"
    await reception.count(connection, f"ask {client}", settings.codes_by_client)
    await reception.count(connection, f"code-to {subject}", settings.codes_to_contact)
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
    kept = {
        "code_hash": reception.parts.key.code_hash(f"{subject} {code}"),
        "valid_for": timedelta(minutes=settings.code_minutes),
        "tries": settings.code_tries,
    }
    row = await (await connection.execute(SQL["put_challenge"], kept)).fetchone()
    if row is None:
        raise NotSent("the code was not kept")
    await _deliver(reception, _CHANNEL[kind], contact, key=f"code-{row[0]}", code=code, words=words)
    return int(row[0])


async def enter_code(
    reception: Reception, connection: Connection, challenge_no: int, *, kind: ContactKind, contact: str, typed: str
) -> bool:
    """Whether this is the code that was sent. Each entry counts before it is compared; the right one works once."""
    row = await (await connection.execute(SQL["try_challenge"], {"challenge_no": challenge_no})).fetchone()
    digits = "".join(c for c in typed if c.isdecimal())[: DIGITS + 1]
    expected = reception.parts.key.code_hash(f"{kind}:{normal_contact(kind, contact)} {digits}")
    if row is None or not hmac.compare_digest(bytes(row[0]), expected):
        return False
    used = await connection.execute(SQL["use_challenge"], {"challenge_no": challenge_no})
    return used.rowcount == 1


async def _deliver(reception: Reception, channel: Channel, contact: str, *, key: str, code: str, words: Words) -> None:
    company = reception.parts.outreach.company
    minutes = f"{reception.settings.code_minutes:.0f}"
    body = [
        words.say("{code} is your code for {company}.", code=code, company=company),
        words.say("It works for {minutes} minutes. We never ask for it on the phone or in a message.", minutes=minutes),
        words.say("If you did not ask for it, you need not do anything."),
    ]
    subject = words.say("{code} is your code", code=code)
    joint = "\n" if channel == "email" else " "
    envelope = Envelope(key, channel, contact, str(words.locale), subject, joint.join(body))
    try:
        await reception.parts.providers[channel].send(envelope)
    except (Refused, Unavailable) as error:
        log.warning("code_not_sent", channel=channel, error=type(error).__name__, detail=str(error))
        raise NotSent(str(error)) from error
