"""How well readings arrive: lag, rate, what was lost, what could not be read, and how each program is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from cloud.db.pool import Pool
from cloud.web.reads.rows import Shape, many, values


class DeadLetter(Shape):
    """A message that could not be stored."""

    dead_letter_no: int
    received_at: datetime
    last_received_at: datetime
    topic: str
    reason: str
    detail: str = Field(description="What was found and what was expected.")
    times: int = Field(description="How often the same bytes came.")
    payload_bytes: int
    replayed_at: datetime | None = Field(description="When it was given to ingest again and was stored.")


class DeadLetterCount(Shape):
    """Dead letters of one reason."""

    reason: str
    letters: int
    times: int
    waiting: int = Field(description="Of them not yet replayed.")


class Loss(Shape):
    """A gap that a full spool had to leave."""

    gateway: str
    device: str
    boot: int
    seq: int
    kind: str
    dropped: int = Field(description="Messages.")
    bytes: int
    first_at: datetime
    last_at: datetime
    reported_at: datetime


class Program(Shape):
    """One running program's own counters."""

    program: str
    instance: str
    at: datetime
    counters: dict[str, Any]


class IngestHealth(Shape):
    """The whole of it, at one instant of the database."""

    last_commit_at: datetime | None = Field(description="When the newest batch was committed; null before the first.")
    newest_event_at: datetime | None = Field(description="The newest event time in it.")
    batches_last_minute: int
    frames_last_minute: int
    fault_reports_last_minute: int
    gateways: int
    gateways_online: int
    devices: int
    devices_with_faults: int
    gaps: int = Field(description="Gaps in the loss ledger.")
    dropped: int = Field(description="Messages that full spools had to drop, in all.")
    dropped_bytes: int
    dead_letters: list[DeadLetterCount]
    programs: list[Program]

    def lag_s(self, now: datetime) -> float | None:
        """Seconds since the newest commit, None before the first."""
        return None if self.last_commit_at is None else max(0.0, (now - self.last_commit_at).total_seconds())


async def health(pool: Pool) -> IngestHealth:
    """Read it."""
    newest = await values(pool, "newest_batch")
    (recent,) = await values(pool, "recent_batches")
    (fleet,) = await values(pool, "fleet_counts")
    (loss,) = await values(pool, "loss_totals")
    return IngestHealth(
        last_commit_at=newest[0]["committed_at"] if newest else None,
        newest_event_at=newest[0]["last_at"] if newest else None,
        batches_last_minute=recent["batches"],
        frames_last_minute=recent["frames"],
        fault_reports_last_minute=recent["fault_reports"],
        **fleet,
        gaps=loss["gaps"],
        dropped=loss["dropped"],
        dropped_bytes=loss["bytes"],
        dead_letters=await many(pool, DeadLetterCount, "dead_letter_totals"),
        programs=await many(pool, Program, "programs"),
    )


async def dead_letters(pool: Pool, limit: int, after: tuple[datetime, int] | None = None) -> list[DeadLetter]:
    """Dead letters, the newest first, behind a position of the list."""
    at, number = after or (None, None)
    return await many(pool, DeadLetter, "dead_letters", {"key": at, "number": number, "limit": limit})


async def losses(pool: Pool, limit: int) -> list[Loss]:
    """The newest gaps of the loss ledger."""
    return await many(pool, Loss, "losses", {"limit": limit})
