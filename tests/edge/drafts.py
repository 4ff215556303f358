"""Drafts for tests of the spool."""

from __future__ import annotations

from edge_agent.draft import Draft, Rank
from protocols.topics import Kind

KINDS = {Rank.EVENT: Kind.FAULT, Rank.FREEZE: Kind.TELEMETRY, Rank.TELEMETRY: Kind.TELEMETRY}


def draft(rank: Rank = Rank.TELEMETRY, device: str = "dev", at_ms: int = 1_700_000_000_000, length: int = 300) -> Draft:
    """A draft whose payload tells its device, boot and seq and has about `length` bytes."""

    def compose(boot: int, seq: int) -> bytes:
        return f"{device}|{boot}|{seq}|".encode().ljust(length, b"x")

    return Draft(device, KINDS[rank], rank, at_ms, compose)
