"""Comparing secrets. Sessions themselves: cloud/web/auth/session_store.py."""

from __future__ import annotations

import hashlib
import hmac


def same_secret(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing about where they differ."""
    return hmac.compare_digest(hashlib.sha256(given.encode()).digest(), hashlib.sha256(expected.encode()).digest())
