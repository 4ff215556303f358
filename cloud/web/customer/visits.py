"""A customer's visit: a signed cookie, the token of each form, and a contact on its way to being verified. Pure.

The cookie is `payload.signature`, the signature HMAC-SHA-256 under a key of this purpose alone, so that it can never
pass for an operator's session. A form's token follows from the cookie's nonce: another site cannot know it. The contact
that a code was sent to is kept at the customer's, encrypted, and not in the database before it is verified.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VISIT_COOKIE = "firstcall_customer"
PENDING_COOKIE = "firstcall_pending"
NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Visit:
    """Who is visiting: `user_id` is None until somebody signs in; `until` in epoch seconds."""

    nonce: str
    until: float
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """A code was sent: which challenge, to what contact, and what shall happen when it is entered.

    `then`: register and sign_in make or find an account, add puts the contact to the account that is signed in.
    """

    challenge_no: int
    kind: Literal["phone", "email"]
    contact: str = field(repr=False)
    then: Literal["register", "sign_in", "add"]
    until: float
    gtin: str = ""
    serial: str = ""
    bought_on: str = ""
    handover: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class VisitKey:
    """The keys of customers' cookies, derived from the program's session key."""

    _secret: bytes = field(repr=False)

    def begin(self, until: float, user_id: str | None = None) -> Visit:
        """A fresh visit; signing in always begins one, so that a planted cookie is worth nothing."""
        return Visit(secrets.token_urlsafe(16), until, user_id)

    def write(self, visit: Visit) -> str:
        """The cookie."""
        payload = base64.urlsafe_b64encode(json.dumps(asdict(visit)).encode()).decode()
        return f"{payload}.{self._mac(b'visit', payload)}"

    def read(self, cookie: str, now: float) -> Visit | None:
        """The visit; None when the cookie is forged, damaged or over."""
        payload, _, signature = cookie.partition(".")
        if not hmac.compare_digest(self._mac(b"visit", payload).encode(), signature.encode()):
            return None
        visit = Visit(**json.loads(base64.urlsafe_b64decode(payload)))
        return visit if now < visit.until else None

    def form_token(self, visit: Visit) -> str:
        """What every form of this visit carries."""
        return self._mac(b"form", visit.nonce)

    def is_form_token(self, visit: Visit, given: str) -> bool:
        """Whether a form came from a page of this visit."""
        return hmac.compare_digest(self.form_token(visit).encode(), given.encode())

    def seal(self, pending: Pending, visit: Visit) -> str:
        """The cookie of a contact that waits for its code; it opens in this visit only."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        text = json.dumps(asdict(pending)).encode()
        sealed = AESGCM(self._derived(b"pending")).encrypt(nonce, text, visit.nonce.encode())
        return base64.urlsafe_b64encode(nonce + sealed).decode()

    def open(self, cookie: str, visit: Visit, now: float) -> Pending | None:
        """What is pending; None when the cookie is forged, of another visit, or over."""
        try:
            raw = base64.urlsafe_b64decode(cookie)
            text = AESGCM(self._derived(b"pending")).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], visit.nonce.encode())
        except (InvalidTag, binascii.Error, ValueError):
            return None
        known: dict[str, Any] = json.loads(text)
        pending = Pending(**known)
        return pending if now < pending.until else None

    def subject(self, text: str) -> str:
        """What is kept of whoever is counted: a keyed hash of at most 32 characters."""
        return self._mac(b"subject", text)[:32]

    def code_hash(self, text: str) -> bytes:
        """What is kept of a one-time or transfer code, with what it is for."""
        return bytes.fromhex(self._mac(b"code", text))

    def _mac(self, purpose: bytes, text: str) -> str:
        return hmac.new(self._derived(purpose), text.encode(), hashlib.sha256).hexdigest()

    def _derived(self, purpose: bytes) -> bytes:
        return hmac.new(self._secret, b"firstcall customer " + purpose, hashlib.sha256).digest()
