"""What the desk did about a ticket or a device: verdicts, messages, visits; and storms that stand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from cloud.db.pool import Pool
from cloud.web.reads.faults import Texts
from cloud.web.reads.rows import Shape, many, one, values
from cloud.web.reads.tickets import Outcome


class Verdict(Shape):
    """Whether a fault is real, by the dictionary's confirmation rule or by a person's word."""

    verdict: Literal["waiting", "confirmed", "refuted", "needs_person"]
    reasons: list[dict[str, Any]]
    judged_at: datetime | None
    person: str
    note: str


class Message(Shape):
    """Something that was to be said to the customer, and what became of it; no contact in it."""

    purpose: str
    state: str
    reason: str
    created_at: datetime
    channel: str | None
    message_state: str | None
    delivered_at: datetime | None
    subject: str | None
    body: str | None
    answers: list[str]


class DeviceVisit(Shape):
    """A visit at a device, past or to come."""

    work_order_no: int
    ticket_no: int
    state: str
    engineer_name: str | None
    starts_at: datetime | None
    ends_at: datetime | None
    problem: str
    outcome: Outcome | None
    code: str | None
    part: str | None
    note: str | None
    found_at: datetime | None


class Incident(Shape):
    """A storm: many devices of one region report the same."""

    incident_no: int
    region: str
    cause: str
    began_at: datetime
    last_at: datetime
    devices: int
    region_devices: int
    words: Texts
    sentence: Texts
    standing: int
    customers: int
    told: int
    unreachable: int


async def verdict(pool: Pool, ticket_no: int) -> Verdict | None:
    """The verdict on a ticket; None while triage has not looked."""
    return await one(pool, Verdict, "verdict_of_ticket", {"ticket_no": ticket_no})


async def messages(pool: Pool, ticket_no: int) -> list[Message]:
    """What was said about a ticket, the newest first."""
    return await many(pool, Message, "messages_of_ticket", {"ticket_no": ticket_no})


async def visits(pool: Pool, device_no: int) -> list[DeviceVisit]:
    """Visits at a device, the newest first."""
    return await many(pool, DeviceVisit, "visits_of_device", {"device_no": device_no})


async def incidents(pool: Pool) -> list[Incident]:
    """Storms that stand, the newest first."""
    return await many(pool, Incident, "open_incidents")


async def members(pool: Pool, incidents: Sequence[int], cases: Sequence[int]) -> dict[int, int]:
    """Which of these cases belong to which of these storms."""
    if not incidents or not cases:
        return {}
    asked = {"incidents": list(incidents), "cases": list(cases)}
    return {row["case_no"]: row["incident_no"] for row in await values(pool, "incident_cases", asked)}
