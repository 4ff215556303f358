"""Pure: check codes and one-tap tokens, derived from one key so that neither is stored anywhere.

A code and a token are HMAC-SHA-256 under keys derived from the outreach key by purpose. Sent again after a crash, a
message carries the same code. Whoever has the database without the key can neither guess nor forge one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, get_args

CODE_LENGTH = 8
# Crockford's base 32 (https://www.crockford.com/base32.html): no I, L, O, U; what is misread is read kindly.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_KINDLY = str.maketrans({"I": "1", "L": "1", "O": "0", "U": "V", "-": None, " ": None})

Action = Literal["accept", "visit", "solved", "not_now", "stop", "call_me"]
ACTIONS: tuple[Action, ...] = get_args(Action)

_TOKEN = struct.Struct(">BBQQI")  # version, action, outreach, choice, expires (seconds since 1970)
_TOKEN_VERSION = 1
_MAC_BYTES = 16
_CHANNELS = ("push", "messaging", "sms", "email", "phone")


class BadToken(ValueError):
    """A one-tap link that is not ours, was altered, or is for something else."""


class ExpiredToken(BadToken):
    """A one-tap link that was ours, and is too old."""


@dataclass(frozen=True, slots=True)
class Tap:
    """What one tap says: this action, on this outreach, by a link sent on this channel."""

    outreach_no: int
    action: Action
    channel: str
    choice: int = 0  # accept: the number of the offered slot


@dataclass(frozen=True, slots=True)
class OutreachKey:
    """The secret that codes and links are derived from; at least 32 bytes."""

    _secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self._secret) < 32:
            raise ValueError("an outreach key has at least 32 bytes")

    def code(self, message_key: str) -> str:
        """The check code of a message: 8 characters of 32, 40 bits."""
        digest = self._mac(b"check code", message_key.encode())
        number = int.from_bytes(digest[:5])
        return "".join(_ALPHABET[(number >> (5 * place)) & 31] for place in reversed(range(CODE_LENGTH)))

    def code_hash(self, code: str) -> bytes:
        """What is stored of a code, and compared."""
        return self._mac(b"code hash", code.encode())

    def subject_hash(self, subject: str) -> str:
        """What is stored of whoever tries codes: an address is personal, its keyed hash is not readable."""
        return self._mac(b"subject", subject.encode()).hex()[:32]

    def token(self, tap: Tap, expires_at: datetime) -> str:
        """A signed link part for one action; letters that a URL takes as they are."""
        packed = _TOKEN.pack(
            _TOKEN_VERSION * 16 + _CHANNELS.index(tap.channel),
            ACTIONS.index(tap.action),
            tap.outreach_no,
            tap.choice,
            int(expires_at.timestamp()),
        )
        return base64.urlsafe_b64encode(packed + self._mac(b"one tap", packed)[:_MAC_BYTES]).decode().rstrip("=")

    def read_token(self, token: str, now: datetime) -> Tap:
        """What a link says.

        Raises:
            BadToken: not ours, or altered. ExpiredToken: ours, and too old.
        """
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise BadToken("this link is damaged: please open it again from the message") from None
        packed, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(b"one tap", packed)[:_MAC_BYTES]) or len(packed) != _TOKEN.size:
            raise BadToken("this link did not come from us, or was altered")
        head, action, outreach_no, choice, expires = _TOKEN.unpack(packed)
        if head // 16 != _TOKEN_VERSION:
            raise BadToken("this link is of another version")
        if now >= datetime.fromtimestamp(expires, UTC):
            raise ExpiredToken("this link is too old: please see the state of your ticket on the product's page")
        return Tap(outreach_no, ACTIONS[action], _CHANNELS[head % 16], choice)

    def _mac(self, purpose: bytes, text: bytes) -> bytes:
        derived = hmac.new(self._secret, b"firstcall outreach " + purpose, hashlib.sha256).digest()
        return hmac.new(derived, text, hashlib.sha256).digest()


def written(code: str) -> str:
    """A code as a person reads it: 7KQM-2XWP."""
    return f"{code[:4]}-{code[4:]}"


def normal_code(typed: str) -> str:
    """A code as typed, brought to the form that is compared: case, dashes, blanks and look-alikes do not matter."""
    return typed.strip().upper().translate(_KINDLY)


def matches(candidate: bytes, held: Iterable[bytes]) -> int | None:
    """Which of the held hashes the candidate equals. Compares with every one, and with one at least, always in full."""
    found = None
    for place, one in enumerate([*held, bytes(32)]):
        if hmac.compare_digest(candidate, one):
            found = place
    return found
