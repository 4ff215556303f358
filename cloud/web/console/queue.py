"""Queue: open tickets, the one most worth acting on first. Severity and priority stand apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from cloud.desk.dispatch.settings import DispatchSettings
from cloud.desk.dispatch.sla import Clock
from cloud.web.board import Picture
from cloud.web.console import bulk_steps
from cloud.web.console.frame import Visit, follow, framed
from cloud.web.console.live import LEVELS, chips
from cloud.web.console.parts import Cell, List, Row, box, severity_cell, text, time_cell
from cloud.web.console.words import N_, SAFETY, SEVERITY, STATE, _, duration, figure, percent, problem_name
from cloud.web.reads import clocks, tickets
from cloud.web.reads.clocks import Allowances
from cloud.web.reads.tickets import OPEN, Ticket, TicketFilter

ROWS = 100
CLOSED = ("resolved", "dismissed")
COLUMNS = [
    {"key": "rank", "label": N_("Priority"), "css": "aside"},
    {"key": "severity", "label": N_("Severity"), "css": "lead"},
    {"key": "problem", "label": N_("Problem"), "css": "wide"},
    {"key": "appliance", "label": N_("Appliance"), "css": "full roomy"},
    {"key": "probability", "label": N_("Probability"), "css": ""},
    {"key": "worth", "label": N_("Worth"), "css": "right hush"},
    {"key": "state", "label": N_("State"), "css": ""},
    {"key": "clock", "label": N_("Clock"), "css": ""},
    {"key": "since", "label": N_("Detected"), "css": ""},
]
CLOCK = {"contact": N_("to the call"), "visit": N_("to the end of the visit")}
EMPTY = {
    "title": N_("No open tickets"),
    "text": N_("A ticket opens by itself when a fault has all four codes. "),
    "href": "/?show=incomplete",
    "action": N_("Faults that lack a code"),
}
EMPTY_FILTERED = {
    "title": N_("None in this state"),
    "text": "",
    "href": "/queue",
    "action": N_("Show all open tickets"),
}


def ticket_row(ticket: Ticket, rank: int | None, clock: Clock | None = None) -> Row:
    """One ticket as a row; `rank` counts from 1 among the open ones."""
    under = SAFETY.get(ticket.safety, ticket.safety)
    problem: Cell = {"text": problem_name(ticket.problem, ticket.meaning), "link": True, "under": under}
    if ticket.problem != "anomaly":
        problem["code"] = ticket.problem
    css = {"proposed": "tag act", "resolved": "tag good"}.get(ticket.state, "tag")
    return {
        "key": str(ticket.ticket_no),
        "href": f"/tickets/{ticket.ticket_no}",
        "cells": {
            "rank": {"text": f"#{rank}" if rank else "–", "css": "main" if rank else "quiet"},
            "severity": severity_cell(ticket.severity),
            "problem": problem,
            "appliance": {"text": ticket.model_name, "under": ticket.device},
            "probability": _probability(ticket.probability),
            "worth": {"text": figure(ticket.expected_value)},
            "state": {"text": STATE[ticket.state], "css": css},
            "clock": clock_cell(clock),
            "since": time_cell(ticket.detected_at),
        },
    }


def _probability(share: float) -> Cell:
    if share >= 1:
        return {"text": _("reported"), "css": "quiet nowrap"}
    return {"kind": "share", "text": percent(share), "percent": round(share * 100)}


def clock_cell(clock: Clock | None) -> Cell:
    """What is left of a service clock."""
    if clock is None:
        return {"text": "–", "css": "quiet nothing"}
    name = _(CLOCK[clock.name])
    if clock.paused:
        return {"text": _("paused"), "css": "tag", "under": name}
    left = (clock.allowance - clock.elapsed).total_seconds()
    css = {None: "tag good", "warning": "tag warn"}.get(clock.level, "tag bad")
    words = _("{t} left") if left >= 0 else _("{t} over")
    return {"text": words.format(t=duration(abs(left))), "css": css, "under": name}


@dataclass(frozen=True, slots=True)
class Filters:
    """What of the queue is shown: it lives in the URL."""

    state: str = ""
    severity: str = ""
    late: bool = False

    def at(self, **changed: Any) -> str:
        """The address of this list with something changed."""
        wanted = replace(self, **changed)
        asked = {"state": wanted.state, "severity": wanted.severity, "late": "1" if wanted.late else ""}
        kept = {name: value for name, value in asked.items() if value}
        return "/queue" + (f"?{urlencode(kept)}" if kept else "")

    def keeps(self, ticket: Ticket, clock: Clock | None) -> bool:
        """Whether a ticket is shown."""
        return (
            (not self.state or ticket.state == self.state)
            and (not self.severity or ticket.severity == self.severity)
            and (not self.late or (clock is not None and clock.level in ("breach", "critical")))
        )


async def queue_page(visit: Visit, state: str, severity: str, late: bool) -> None:
    """Build the page, and keep it current."""
    chosen = Filters(
        state if state in (*OPEN, *CLOSED) else "", severity if severity in LEVELS else "", late and state not in CLOSED
    )
    rules = DispatchSettings()
    allowances: Allowances = {"contact": rules.contact_hours, "visit": rules.visit_hours}
    async with framed(visit, "queue", _("Queue")) as frame:
        frame.head(
            _("Queue"),
            _("Open tickets by what acting is worth: the damage it may save, less the price of a needless call"),
        )
        _filters(chosen)
        bulk = bulk_steps.Bulk(visit)
        empty = EMPTY_FILTERED if chosen != Filters() else EMPTY
        listing = List(_("Tickets"), COLUMNS, empty, selectable=chosen.state not in CLOSED)
        listing.on("select", lambda event: bulk.choose([int(key) for key in event.args]))
        bulk.listing = listing
        text(_("Keys: j and k move, x selects, Enter opens."), "quiet fc-note fc-keys", "p")

        async def draw(picture: Picture) -> None:
            ranks = {ticket.ticket_no: rank for rank, ticket in enumerate(picture.tickets, 1)}
            shown: Sequence[Ticket] = picture.tickets
            if chosen.state in CLOSED:
                shown = await tickets.by_time(visit.context.pool, TicketFilter(state=chosen.state), ROWS)
            running = await clocks.running(visit.context.pool, shown, allowances, picture.clocks.desk_at)
            kept = [t for t in shown if chosen.keeps(t, running.get(t.ticket_no))][:ROWS]
            bulk.known = {t.ticket_no: t for t in kept}
            listing.show([ticket_row(t, ranks.get(t.ticket_no), running.get(t.ticket_no)) for t in kept])

        await draw(visit.context.board.picture)
        follow(frame, draw)


def _filters(chosen: Filters) -> None:
    states = {"": N_("All open")} | {name: STATE[name] for name in (*OPEN, *CLOSED)}
    levels = {"": N_("Any severity")} | {name: SEVERITY[name] for name in LEVELS[:-1]}
    with box("fc-filters"):
        chips(chosen.state, states, lambda value: chosen.at(state=value))
        chips(chosen.severity, levels, lambda value: chosen.at(severity=value))
        chips(
            "1" if chosen.late else "", {"": N_("Any clock"), "1": N_("Out of time")}, lambda v: chosen.at(late=bool(v))
        )
