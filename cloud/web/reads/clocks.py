"""The service clocks of tickets on a screen: counted by dispatch's own rules, for the tickets that are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from cloud.db.pool import Pool
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


async def running(pool: Pool, shown: Sequence[Ticket], allowances: Allowances, now: datetime) -> dict[int, Clock]:
    """The clock that runs for each of these tickets, at most one: contact first, then visit."""
    pauses: dict[int, list[Pause]] = {}
    for row in await values(pool, "sla_pauses", {"tickets": [t.ticket_no for t in shown]}):
        pauses.setdefault(row["ticket_no"], []).append((row["since"], row["until"]))
    found: dict[int, Clock] = {}
    for ticket in shown:
        passed = Milestones(ticket.confirmed_at, ticket.contacted_at, ticket.closed_at)
        for clock in clocks(ticket.severity, passed, pauses.get(ticket.ticket_no, ()), now, allowances):
            if not clock.stopped:
                found[ticket.ticket_no] = clock
                break
    return found
