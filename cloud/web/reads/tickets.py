"""Tickets: the queue, one ticket with all that stands behind it, and findings."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from cloud.db.pool import Pool
from cloud.web.cursors import Key
from cloud.web.reads.faults import Severity, Texts
from cloud.web.reads.rows import Shape, many, one, values

State = Literal["proposed", "confirmed", "contacted", "scheduled", "resolved", "dismissed"]
Outcome = Literal["fault_confirmed", "other_fault", "no_fault_found", "caused_by_use"]
OPEN: tuple[State, ...] = ("proposed", "confirmed", "contacted", "scheduled")


class Ticket(Shape):
    """One problem of one device, as the queue shows it."""

    ticket_no: int
    device: str = Field(description="Device code.")
    problem: str = Field(description="The fault code, or `anomaly`.")
    state: State
    severity: Severity = Field(description="How bad the fault is for the customer.")
    safety: str = Field(description="What it may endanger: none, water, electric, heat or gas.")
    probability: float = Field(description="1 for a code that the appliance reported itself.")
    expected_value: float = Field(description="What acting is worth, when it was raised or changed.")
    place: int | None = Field(description="Priority: the place in the order of the day, while it waits for a call.")
    today: bool | None = Field(description="Whether that place is within the calls and visits of the day.")
    place_reason: Texts | None = Field(description="Why it stands there, by language.")
    place_probability: float | None = Field(description="That the fault is real, by verdict and findings too.")
    place_value: float | None = Field(description="What a call is worth with that probability.")
    turn: float = Field(default=0.0, exclude=True)
    user_id: str = Field(description="User code, pseudonymous.")
    gtin: str = Field(description="Product code: GTIN-14, with `serial`.")
    serial: str
    model: str
    model_name: str
    family: str
    meaning: Texts | None
    detected_at: datetime = Field(description="Event time of the first evidence.")
    raised_at: datetime
    confirmed_at: datetime | None
    contacted_at: datetime | None
    scheduled_for: datetime | None
    noticed_at: datetime | None = Field(description="When the customer noticed, if they did.")
    failed_at: datetime | None = Field(description="When the appliance stopped doing its work, if it did.")
    closed_at: datetime | None
    closing_reason: str | None
    version: int = Field(description="Counts changes: give it back with a step, and nobody is overwritten.")


class Step(Shape):
    """One step of a ticket: who moved it, when and why."""

    step_no: int
    from_state: str | None
    to_state: str
    person: str
    at: datetime
    reason: str


class Evidence(Shape):
    """What a ticket rests on."""

    case_no: int
    kind: Literal["reported", "predicted", "cleared"]
    problem: str
    first_seen_at: datetime
    last_seen_at: datetime
    times: int
    probability: float
    reason: dict[str, Any] | None = Field(description="The detector's reason: channels, codes and plain sentences.")
    horizon_hours: float | None

    @property
    def sentences(self) -> list[str]:
        """The reason in plain words, as the detector wrote them."""
        found = (self.reason or {}).get("sentences", [])
        return [str(s) for s in found] if isinstance(found, list) else []

    @property
    def channels(self) -> list[str]:
        """The channels that carried the evidence, the strongest first."""
        found = (self.reason or {}).get("channels", [])
        return [str(c["channel"]) for c in found if isinstance(c, dict) and "channel" in c]


class Finding(Shape):
    """What was found at the end: the detector's delayed label."""

    finding_no: int
    ticket_no: int | None
    device: str
    outcome: Outcome
    code: str | None
    part: str | None
    note: str
    person: str
    failed_at: datetime | None
    found_at: datetime
    recorded_at: datetime


class TicketDetail(Ticket):
    """One ticket with its product, its dictionary entry and its words."""

    device_no: int = Field(exclude=True)
    price_band: str
    produced_on: date | None
    lot: str | None
    definition_version: int | None
    self_help: dict[str, Any] | None = Field(description="Steps that a customer can safely do, by language.")
    source: str | None = Field(description="Where the code's meaning was read.")
    stops: bool | None = Field(description="Whether the appliance does its work while the code stands.")
    likely_parts: list[str] | None
    confirmation_rule: dict[str, Any] | None
    rank_reason: Any = Field(description="Why it ranks where it does.")
    customer_words: dict[str, Any] = Field(description="What to say to the customer, by language.")
    likely_part: str | None


class GentleRun(Shape):
    """The wish that the appliance run gently until a visit that comes after the predicted failure."""

    state: Literal["asked", "accepted", "refused", "failed", "expired", "over", "ended"] = Field(
        description="What the appliance answered, or `expired` where it has not; `ended` before its time, or `over`."
    )
    until: datetime
    detail: str = Field(description="What the appliance said with its answer.")
    reason: Texts = Field(description="Why, by language.")


class TicketFile(Shape):
    """A ticket with its evidence, its history and, at the end, its finding."""

    ticket: TicketDetail
    evidence: list[Evidence]
    steps: list[Step]
    finding: Finding | None
    gentle_run: GentleRun | None


class TicketFilter(Shape):
    """Which tickets; a field that is None filters nothing."""

    state: State | None = None
    severity: Severity | None = None
    device: str | None = None


async def in_order(pool: Pool, wanted: TicketFilter, limit: int, after: tuple[Key, int] | None = None) -> list[Ticket]:
    """Open tickets in the queue's order: by place where they wait for a call, then those called, then agreed visits.
    `after`: `turn` and number of the last one that was read."""
    key, number = after or (None, None)
    parameters = wanted.model_dump() | {"key": key, "number": number, "limit": limit}
    return await many(pool, Ticket, "tickets_in_order", parameters)


async def by_time(
    pool: Pool, wanted: TicketFilter, limit: int, after: tuple[Key, int] | None = None, *, is_open: bool | None = None
) -> list[Ticket]:
    """Tickets, the one raised last first; with `is_open` only the open or only the closed ones."""
    key, number = after or (None, None)
    parameters = wanted.model_dump() | {"key": key, "number": number, "limit": limit, "open": is_open}
    return await many(pool, Ticket, "tickets_by_time", parameters)


async def moved(pool: Pool, limit: int) -> list[Ticket]:
    """The tickets that took the newest steps, the newest first; closed ones too."""
    return await many(pool, Ticket, "moved_tickets", {"limit": limit})


async def counts(pool: Pool) -> dict[str, int]:
    """How many tickets are in each state."""
    return {row["state"]: row["tickets"] for row in await values(pool, "ticket_counts")}


async def get(pool: Pool, ticket_no: int) -> TicketFile | None:
    """One ticket with all that stands behind it."""
    which = {"ticket_no": ticket_no}
    ticket = await one(pool, TicketDetail, "ticket", which)
    if ticket is None:
        return None
    found = await findings(pool, 1, ticket_no=ticket_no)
    return TicketFile(
        ticket=ticket,
        evidence=await many(pool, Evidence, "ticket_evidence", which),
        steps=await many(pool, Step, "ticket_steps", which),
        finding=found[0] if found else None,
        gentle_run=await one(pool, GentleRun, "gentle_run_of_ticket", which),
    )


async def findings(
    pool: Pool,
    limit: int,
    after: tuple[Key, int] | None = None,
    *,
    ticket_no: int | None = None,
    device: str | None = None,
) -> list[Finding]:
    """Findings, the newest first."""
    key, number = after or (None, None)
    parameters = {"key": key, "number": number, "limit": limit, "ticket_no": ticket_no, "device": device}
    return await many(pool, Finding, "findings", parameters)


async def finding(pool: Pool, finding_no: int) -> Finding | None:
    """One finding."""
    return await one(pool, Finding, "finding", {"finding_no": finding_no})


async def part_names(pool: Pool, parts: list[str]) -> dict[str, Texts]:
    """Names of parts, by language."""
    return {row["part"]: row["name"] for row in await values(pool, "part_names", {"parts": parts})}


async def finding_choices(pool: Pool, model: str) -> tuple[dict[str, Texts], dict[str, Texts]]:
    """What a finding may name: the model's fault codes with their meanings, and all parts with their names."""
    codes = {row["code"]: row["meaning"] for row in await values(pool, "model_codes", {"model": model})}
    return codes, {row["part"]: row["name"] for row in await values(pool, "part_choices")}
