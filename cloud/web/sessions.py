"""Signed sessions and the comparison of secrets. Pure: the time is an argument.

A session is `payload.signature`, payload = base64url(JSON [operator, expiry]), signature = HMAC-SHA-256. It holds a
name and no secret; whoever has no key cannot make one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import deque
from dataclasses import dataclass, field

COOKIE = "firstcall_session"


def issue(key: bytes, operator: str, expires: float) -> str:
    """A session for `operator` until `expires` (epoch seconds)."""
    payload = base64.urlsafe_b64encode(json.dumps([operator, expires]).encode()).decode()
    return f"{payload}.{_sign(key, payload)}"


def operator_of(key: bytes, session: str, now: float) -> str | None:
    """Whose session this is, or None when it is forged, damaged or over."""
    payload, _, signature = session.partition(".")
    if not hmac.compare_digest(_sign(key, payload).encode(), signature.encode()):
        return None
    operator, expires = json.loads(base64.urlsafe_b64decode(payload))
    return str(operator) if now < expires else None


def same_secret(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing about where they differ."""
    return hmac.compare_digest(hashlib.sha256(given.encode()).digest(), hashlib.sha256(expected.encode()).digest())


def _sign(key: bytes, payload: str) -> str:
    return hmac.new(key, payload.encode(), hashlib.sha256).hexdigest()


@dataclass(slots=True)
class Throttle:
    """Refuses further attempts after `limit` failures within `window_s`, whoever makes them."""

    limit: int = 10
    window_s: float = 60.0
    _failures: deque[float] = field(default_factory=deque)

    def allows(self, now: float) -> bool:
        """Whether an attempt may be made now (monotonic seconds)."""
        while self._failures and self._failures[0] <= now - self.window_s:
            self._failures.popleft()
        return len(self._failures) < self.limit

    def failed(self, now: float) -> None:
        """Count a failed attempt."""
        self._failures.append(now)
