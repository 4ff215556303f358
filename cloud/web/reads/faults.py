"""Faults as the desk sees them: one case an episode, with its four codes and what is missing of them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from cloud.db.pool import Pool
from cloud.web.cursors import Key
from cloud.web.reads.rows import Shape, many, one, values

Severity = Literal["low", "medium", "high", "critical"]
Source = Literal["reported", "predicted"]
Texts = dict[str, str]  # by language


class Fault(Shape):
    """One episode of a fault: reported by the appliance, or predicted by the detector."""

    case_no: int
    source: Source
    problem: str = Field(description="The fault code, or `anomaly`.")
    device: str = Field(description="Device code.")
    occurred_at: datetime = Field(description="Event time; the four codes are those of this moment.")
    last_at: datetime
    cleared_at: datetime | None = Field(description="Null while the fault stands.")
    raises: int = Field(description="How often it was raised within this episode.")
    probability: float
    horizon_hours: float | None
    user_id: str | None = Field(description="User code, pseudonymous.")
    gtin: str | None = Field(description="Product code: GTIN-14, with `serial`.")
    serial: str | None
    model: str | None
    model_name: str | None
    family: str | None
    missing: list[str] = Field(description="Which of device, user, product, model, code are still unknown.")
    withheld: str | None = Field(description="Why a complete case has no open ticket.")
    ticket_no: int | None
    ticket_state: str | None
    severity: Severity | None = Field(description="Null while the code's meaning is unknown.")
    meaning: Texts | None = Field(description="What the code means on this model, by language.")
    recorded_at: datetime = Field(description="When the desk wrote it down.")


class FaultFilter(Shape):
    """Which faults; a field that is None filters nothing."""

    device: str | None = None
    model: str | None = None
    source: Source | None = None
    severity: Severity | None = None
    standing: bool | None = None
    complete: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


async def listed(pool: Pool, wanted: FaultFilter, limit: int, after: tuple[Key, int] | None = None) -> list[Fault]:
    """Faults by event time, the newest first, behind a position of the list."""
    key, number = after or (None, None)
    return await many(pool, Fault, "faults", wanted.model_dump() | {"key": key, "number": number, "limit": limit})


async def newest(pool: Pool, limit: int) -> list[Fault]:
    """The cases written down last, the newest first."""
    return await many(pool, Fault, "newest_faults", {"limit": limit})


async def get(pool: Pool, case_no: int) -> Fault | None:
    """One fault."""
    return await one(pool, Fault, "fault", {"case_no": case_no})


async def standing_by_severity(pool: Pool) -> dict[str, int]:
    """How many faults stand now, by severity; `unknown` for codes without a meaning."""
    return {row["severity"]: row["faults"] for row in await values(pool, "standing_by_severity")}
