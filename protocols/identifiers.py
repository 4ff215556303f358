"""Identifiers that are MQTT levels and NATS tokens alike, and the partition that a gateway belongs to."""

from __future__ import annotations

import re

from protocols.errors import BadIdentifier

PARTITIONS = 64
"""How many partitions the fleet is divided into, for good: changing it moves every gateway."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def identifier(text: str, role: str = "identifier") -> str:
    """Return `text` if it is a well-formed identifier; `role` names it in the error.

    Raises:
        BadIdentifier: `text` is empty, longer than 64 characters, is the lone placeholder "-", or has other
            characters than letters, digits, '_' and '-'.
    """
    if text == "-" or _IDENTIFIER.fullmatch(text) is None:
        raise BadIdentifier(f"{role} {text[:80]!r}: expected 1-64 letters, digits, '_' or '-', and not '-' alone")
    return text


def partition(gateway: str, partitions: int = PARTITIONS) -> int:
    """The partition of a gateway, 0 <= p < partitions.

    FNV-1a, 32 bit, modulo the number of partitions: the hash of NATS' `partition()` subject transform, so
    that a stream sorts messages as this function does. Source: Fowler, Noll, Vo, RFC 9923.
    """
    digest = 0x811C9DC5
    for byte in gateway.encode():
        digest = ((digest ^ byte) * 0x01000193) & 0xFFFFFFFF
    return digest % partitions
