"""How far the service can be trusted: called before noticed, lead time, needless calls, calibration, labels awaited."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import Field

from cloud.db.pool import Pool
from cloud.web.reads.estimates import Estimate, median_survival, rate, share
from cloud.web.reads.rows import Shape, many, one
from cloud.web.reads.snapshots import Kept, kept


class Faults(Shape):
    """Real faults that ended within the span, known by what was found."""

    faults: int
    called_first: int = Field(description="The customer was called before noticing anything.")
    unforeseen: int = Field(description="Reported by the customer; no ticket foresaw them.")

    @property
    def rate(self) -> Estimate | None:
        """Called before noticed."""
        return share(self.called_first, self.faults)


class Lead(Shape):
    """How many faults were called so many whole hours ahead; censored: repaired before anybody noticed."""

    hours: int
    censored: bool
    faults: int


class Calls(Shape):
    """Calls whose tickets were closed within the span."""

    needless: int
    calls: int


class Exposure(Shape):
    """Appliance-years with an owner."""

    years: float


class Tenth(Shape):
    """Predictions with a stated probability in one tenth, against findings."""

    tenth: int
    stated: float
    findings: int
    confirmed: int

    @property
    def came_true(self) -> Estimate:
        """The share that was confirmed."""
        return share(self.confirmed, self.findings) or Estimate(0, 0, 1)


class Backlog(Shape):
    """Labels that the detector waits for."""

    awaited: int = Field(description="Tickets after the call whose finding is still to come.")
    oldest_at: datetime | None
    predictions: int = Field(description="Predictions of the span.")
    labelled: int
    overdue: int = Field(description="Their horizon is over, and nobody looked.")


class Trust(Shape):
    """All of it, over one span of desk time."""

    faults: Faults
    leads: list[Lead]
    calls: Calls
    years: float
    calibration: list[Tenth]
    backlog: Backlog

    @property
    def median_lead_h(self) -> float | None:
        """Median lead time in hours, with censoring; None when it is beyond what was seen."""
        return median_survival((lead.hours, lead.censored, lead.faults) for lead in self.leads)

    @property
    def needless(self) -> Estimate | None:
        """Needless calls per 1,000 appliance-years."""
        return rate(self.calls.needless, self.years / 1000)

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error: mean distance of stated from found, weighted by findings."""
        return calibration_error(self.calibration)


def calibration_error(tenths: Sequence[Tenth]) -> float | None:
    """Expected calibration error (Naeini et al. 2015), 0..1; None without findings."""
    findings = sum(t.findings for t in tenths)
    if not findings:
        return None
    return sum(t.findings * abs(t.stated - t.confirmed / t.findings) for t in tenths) / findings


async def read(pool: Pool, days: int) -> Kept[Trust]:
    """All of it, over so many days."""
    return await kept(pool, f"trust/{days}", Trust, lambda: _count(pool, days))


async def _count(pool: Pool, days: int) -> Trust:
    span = {"length": timedelta(days=days)}
    faults, calls = await one(pool, Faults, "trust_faults", span), await one(pool, Calls, "trust_false_calls", span)
    exposure = await one(pool, Exposure, "trust_exposure", span)
    backlog = await one(pool, Backlog, "trust_backlog", span)
    if faults is None or calls is None or exposure is None or backlog is None:
        raise LookupError("a count without a row; run `firstcall migrate`")
    return Trust(
        faults=faults,
        leads=await many(pool, Lead, "trust_leads", span),
        calls=calls,
        years=exposure.years,
        calibration=await many(pool, Tenth, "trust_calibration", span),
        backlog=backlog,
    )
