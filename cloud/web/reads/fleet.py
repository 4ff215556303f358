"""The fleet by family, model, lot, firmware and region: fault rates with their uncertainty, and what is rising."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from cloud.db.pool import Pool
from cloud.web.reads.estimates import Estimate, chance_of_rise, discoveries, rate
from cloud.web.reads.faults import Severity, Texts
from cloud.web.reads.rows import Shape, many
from cloud.web.reads.snapshots import Kept, kept

By = Literal["family", "model", "lot", "firmware", "region"]
LEAST_FAULTS = 3  # [K] a rise of one or two faults is no news, whatever its chance
YEARS = 100  # rates are told per so many appliance-years


class Member(Shape):
    """The appliances that share a property. A fault that a device reports again within a span counts once."""

    member: str | None = Field(description="The family, model, lot, firmware or region; null where it is not known.")
    name: str | None
    devices: int
    faults: int = Field(description="In the span.")
    affected: int = Field(description="Devices with at least one.")
    faults_before: int = Field(description="In the span before it.")
    years: float = Field(description="Appliance-years with an owner, in the span.")
    years_before: float

    @property
    def rate(self) -> Estimate | None:
        """Faults per 100 appliance-years in the span."""
        return rate(self.faults, self.years / YEARS)

    @property
    def rate_before(self) -> Estimate | None:
        """The same in the span before."""
        return rate(self.faults_before, self.years_before / YEARS)


class Place(Shape):
    """Where a region is, in degrees (WGS 84)."""

    region: str
    latitude: float
    longitude: float


class ProblemCount(Shape):
    """How many devices had a fault in the span, and in the span before it."""

    problem: str
    meaning: Texts | None
    severity: Severity | None
    devices: int
    devices_before: int


class Defective(Shape):
    """A lot, model or firmware whose fault rate stands out against the rest, as the desk found it."""

    quality_finding_no: int
    kind: Literal["lot", "model", "firmware"]
    scope: str
    member: str
    problem: str
    devices: int
    affected: int
    rest_devices: int
    rest_affected: int
    q_value: float
    sentence: Texts
    state: Literal["open", "faded", "closed"]
    found_at: datetime


async def defective(pool: Pool, limit: int = 50) -> list[Defective]:
    """Quality findings, the open ones first, the newest first."""
    return await many(pool, Defective, "quality_findings", {"limit": limit})


async def members(
    pool: Pool, by: By, days: int, problem: str | None = None, region: str | None = None
) -> Kept[list[Member]]:
    """The fleet, or that of a region, by a property, most faults first; of one kind of fault, if it is named."""

    async def count() -> list[Member]:
        asked = {"by": by, "length": timedelta(days=days), "problem": problem, "region": region}
        return await many(pool, Member, "fleet_rates", asked)

    return await kept(pool, f"fleet/{by}/{days}/{problem or ''}{_of(region)}", list[Member], count)


async def problems(pool: Pool, days: int, region: str | None = None) -> Kept[list[ProblemCount]]:
    """The kinds of faults, of the fleet or of a region, the most frequent first."""

    async def count() -> list[ProblemCount]:
        asked = {"length": timedelta(days=days), "region": region}
        return await many(pool, ProblemCount, "fleet_problems", asked)

    return await kept(pool, f"problems/{days}{_of(region)}", list[ProblemCount], count)


def _of(region: str | None) -> str:
    return "" if region is None else f"/of {region}"


async def places(pool: Pool) -> list[Place]:
    """Where regions are; those of which nobody has said it are left out."""
    return await many(pool, Place, "places")


def rising(found: Sequence[Member]) -> set[int]:
    """Places of the members whose rate is higher than in the span before, at a false-discovery rate of 5 %."""
    chances = [chance_of_rise(m.faults, m.years, m.faults_before, m.years_before) for m in found]
    return {place for place in discoveries(chances) if found[place].faults >= LEAST_FAULTS}
