"""Keys of personal data: one a user, wrapped by a master key; what is written is bound to its user and kind.

AES-256-GCM throughout (NIST SP 800-38D), a fresh random nonce of 96 bits before each ciphertext; the user and the
purpose are authenticated with it, so that a ciphertext moved to another row does not open. Looking a user up by
phone or e-mail goes by HMAC-SHA-256 under a key derived from the master key, so that the database alone cannot be
searched with guessed numbers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloud.registry.errors import NoMasterKey

KEY_BYTES = 32
NONCE_BYTES = 12

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class MasterKey:
    """The key that wraps every user's key. Never printed, never stored in the database."""

    _secret: bytes = field(repr=False)

    @classmethod
    def from_text(cls, text: str) -> MasterKey:
        """Read base64 of 32 bytes.

        Raises:
            NoMasterKey: it is anything else.
        """
        try:
            secret = base64.b64decode(text.strip(), validate=True)
        except binascii.Error:
            secret = b""
        if len(secret) != KEY_BYTES:
            raise NoMasterKey(f"a master key is {KEY_BYTES} bytes in base64 (44 characters); this one is not")
        return cls(secret)

    @classmethod
    def from_file(cls, path: Path) -> MasterKey:
        """Read a key file as `from_text` does."""
        return cls.from_text(path.read_text(encoding="ascii", errors="replace"))

    @classmethod
    def make_file(cls, path: Path) -> MasterKey:
        """Make a new key in a new file that only its owner can read. FileExistsError if there is one already."""
        secret = os.urandom(KEY_BYTES)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secret) + b"\n")
        return cls(secret)

    @property
    def fingerprint(self) -> str:
        """Names this key without giving it away: kept beside what it wrapped."""
        return hmac.new(self._secret, b"fingerprint", hashlib.sha256).hexdigest()[:16]

    def new_user_key(self, user_id: str, random: RandomBytes = os.urandom) -> tuple[UserKey, bytes]:
        """A key for a user, and the same wrapped, to be stored."""
        secret = random(KEY_BYTES)
        return UserKey(user_id, secret), _seal(self._derived(b"wrap"), secret, f"key of {user_id}", random)

    def unwrap(self, user_id: str, wrapped: bytes) -> UserKey:
        """The user's key.

        Raises:
            NoMasterKey: another master key wrapped it, or it is another user's.
        """
        try:
            return UserKey(user_id, _open(self._derived(b"wrap"), wrapped, f"key of {user_id}"))
        except InvalidTag:
            raise NoMasterKey(f"this master key ({self.fingerprint}) does not open the key of {user_id}") from None

    def lookup(self, kind: str, text: str) -> bytes:
        """A keyed hash by which a contact is found again; `text` as `normal_contact` gives it."""
        return hmac.new(self._derived(b"lookup"), f"{kind}:{text}".encode(), hashlib.sha256).digest()

    def _derived(self, purpose: bytes) -> bytes:
        return hmac.new(self._secret, b"firstcall " + purpose, hashlib.sha256).digest()


@dataclass(frozen=True, slots=True)
class UserKey:
    """One user's key. Destroying its wrapped form makes everything that it sealed unreadable for good."""

    user_id: str
    _secret: bytes = field(repr=False)

    def seal(self, kind: str, text: str, random: RandomBytes = os.urandom) -> bytes:
        """Encrypt one contact."""
        return _seal(self._secret, text.encode(), f"{kind} of {self.user_id}", random)

    def open(self, kind: str, ciphertext: bytes) -> str:
        """Decrypt one contact. cryptography.exceptions.InvalidTag: it was altered, or belongs elsewhere."""
        return _open(self._secret, ciphertext, f"{kind} of {self.user_id}").decode()


def normal_contact(kind: str, text: str) -> str:
    """A contact in the form that is compared: e-mail without case, phone as digits with a leading plus kept."""
    stripped = text.strip()
    if kind == "email":
        return stripped.casefold()
    if kind == "phone":
        return ("+" if stripped.startswith(("+", "00")) else "") + "".join(
            c for c in stripped.removeprefix("00") if c.isdigit()
        )
    return stripped


def _seal(secret: bytes, plain: bytes, bound_to: str, random: RandomBytes) -> bytes:
    nonce = random(NONCE_BYTES)
    return nonce + AESGCM(secret).encrypt(nonce, plain, bound_to.encode())


def _open(secret: bytes, sealed: bytes, bound_to: str) -> bytes:
    return AESGCM(secret).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to.encode())
