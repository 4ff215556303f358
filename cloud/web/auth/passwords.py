"""Passwords of local accounts: argon2id, in a thread, few at a time (each takes 64 MiB for a moment)."""

from __future__ import annotations

import asyncio
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

SHORTEST = 12
LONGEST = 1024  # longer ones only cost time
AT_ONCE = 2
_hasher = PasswordHasher()  # argon2-cffi's defaults: RFC 9106's second recommendation, t=3, m=64 MiB, p=4


class WeakPassword(ValueError):
    """This password is too short or too long; the message says what is wanted."""


def hash_password(password: str) -> str:
    """The argon2id hash to keep. WeakPassword: length alone is asked for, as NIST SP 800-63B advises."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise WeakPassword(f"a password has {SHORTEST} to {LONGEST} characters")
    return _hasher.hash(password)


@cache
def _nobodys() -> str:
    return _hasher.hash("the password of no account")


class PasswordCheck:
    """Compares passwords; a name without an account takes as long as one with."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def matches(self, password: str, kept: str | None) -> bool:
        """Whether this is the password of `kept` (None: there is no account, or none with a password)."""
        async with self._slots:
            right = await asyncio.to_thread(_verify, kept or _nobodys(), password[:LONGEST])
        return right and kept is not None


def _verify(kept: str, password: str) -> bool:
    try:
        return _hasher.verify(kept, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
