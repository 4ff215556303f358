"""The service clocks of tickets on a screen: counted by dispatch's own rules, for the tickets that are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from cloud.db.pool import Pool
from cloud.desk.dispatch.settings import DispatchSettings
from cloud.desk.dispatch.sla import Clock, ClockName, Milestones, Pause, clocks
from cloud.web.reads.rows import Shape, one, values
from cloud.web.reads.tickets import Ticket

Allowances = Mapping[ClockName, Mapping[str, float]]


class PauseNow(Shape):
    """What stops a ticket's clocks now. `until` None: until somebody lets them run on."""

    reason: str
    person: str
    since: datetime
    until: datetime | None


async def pause_now(pool: Pool, ticket_no: int) -> PauseNow | None:
    """The pause that a ticket's clocks are in; None while they run."""
    return await one(pool, PauseNow, "sla_pause_now", {"ticket_no": ticket_no})


def service_hours() -> Allowances:
    """Hours that the service allows itself, by clock and severity: dispatch's settings."""
    rules = DispatchSettings()
    return {"contact": rules.contact_hours, "visit": rules.visit_hours}


class Running(NamedTuple):
    """A clock that runs or is paused; `because`: why it is paused now, else empty."""

    clock: Clock
    because: str


async def running(pool: Pool, shown: Sequence[Ticket], allowances: Allowances, now: datetime) -> dict[int, Running]:
    """The clock that runs for each of these tickets, at most one: contact first, then visit."""
    pauses: dict[int, list[Pause]] = {}
    because: dict[int, str] = {}
    for row in await values(pool, "sla_pauses", {"tickets": [t.ticket_no for t in shown]}):
        pauses.setdefault(row["ticket_no"], []).append((row["since"], row["until"]))
        if row["since"] <= now and (row["until"] is None or now < row["until"]):
            because[row["ticket_no"]] = row["reason"]
    found: dict[int, Running] = {}
    for ticket in shown:
        passed = Milestones(ticket.confirmed_at, ticket.contacted_at, ticket.closed_at)
        for clock in clocks(ticket.severity, passed, pauses.get(ticket.ticket_no, ()), now, allowances):
            if not clock.stopped:
                found[ticket.ticket_no] = Running(clock, because.get(ticket.ticket_no, ""))
                break
    return found
