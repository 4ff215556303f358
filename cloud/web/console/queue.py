"""Queue: open tickets in the order of the day, with the line that today's calls reach to. Severity stands apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from cloud.db.pool import Pool
from cloud.web import cursors
from cloud.web.board import Picture
from cloud.web.console import bulk_steps
from cloud.web.console.frame import Visit, follow, framed
from cloud.web.console.live import LEVELS, chips
from cloud.web.console.parts import Cell, List, Row, box, severity_cell, text, time_cell
from cloud.web.console.words import (
    CLOCK,
    N_,
    PAUSE,
    SAFETY,
    SEVERITY,
    STATE,
    _,
    duration,
    figure,
    in_language,
    percent,
    problem_name,
)
from cloud.web.cursors import K
from cloud.web.reads import clocks, tickets
from cloud.web.reads.clocks import Running, service_hours
from cloud.web.reads.tickets import OPEN, Ticket, TicketFilter

ROWS = 100
WAITING = ("proposed", "confirmed")
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
LINES = {
    "today": N_("Within today's calls and visits"),
    "beyond": N_("Beyond today's calls and visits"),
    "waiting": N_("Waiting for a call"),
    "contacted": N_("Called: an answer or a time is awaited"),
    "scheduled": N_("A visit is agreed"),
}
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


def ticket_row(ticket: Ticket, running: Running | None = None) -> Row:
    """One ticket as a row, with the sentence that explains its place."""
    under = SAFETY.get(ticket.safety, ticket.safety)
    problem: Cell = {"text": problem_name(ticket.problem, ticket.meaning), "link": True, "under": under}
    if ticket.problem != "anomaly":
        problem["code"] = ticket.problem
    css = {"proposed": "tag act", "resolved": "tag good"}.get(ticket.state, "tag")
    return {
        "key": str(ticket.ticket_no),
        "href": f"/tickets/{ticket.ticket_no}",
        "cells": {
            "rank": _rank(ticket),
            "severity": severity_cell(ticket.severity),
            "problem": problem,
            "appliance": {"text": ticket.model_name, "under": ticket.device},
            "probability": _probability(ticket),
            "worth": {"text": figure(ticket.expected_value if ticket.place_value is None else ticket.place_value)},
            "state": {"text": STATE[ticket.state], "css": css},
            "clock": clock_cell(running),
            "since": time_cell(ticket.detected_at),
        },
        "why": _why(ticket),
    }


def _rank(ticket: Ticket) -> Cell:
    if ticket.place is not None:
        return {"text": f"#{ticket.place}", "css": "main"}
    return {"text": _("new"), "css": "tag act"} if ticket.state in WAITING else {"text": "–", "css": "quiet nothing"}


def _why(ticket: Ticket) -> str:
    if ticket.place_reason:
        return in_language(ticket.place_reason)
    if ticket.state in WAITING:
        return _("Just raised: it stands by its worth until the desk makes the order anew.")
    return ""


def in_parts(listed: Sequence[Ticket], rows: Sequence[Row]) -> list[Row]:
    """The rows of open tickets, which are in the queue's order, with a line above each part of it.

    A ticket that has no place yet belongs to the part in which it stands.
    """
    parts: list[Row] = []
    part, ranked = "", any(t.place is not None for t in listed)
    for ticket, row in zip(listed, rows, strict=True):
        here = ticket.state if ticket.state not in WAITING else _part(ticket, part) if ranked else "waiting"
        if here != part:
            parts.append({"key": f"line/{here}", "divider": _(LINES[here])})
            part = here
        parts.append(row)
    return parts


def _part(ticket: Ticket, before: str) -> str:
    if ticket.place is None:
        return before or "today"
    return "today" if ticket.today else "beyond"


def _probability(ticket: Ticket) -> Cell:
    """That the fault is real, as the order of the day has it; without a place, as it was reported or predicted."""
    reported = _("reported") if ticket.probability >= 1 else ""
    share = ticket.place_probability
    if share is None:
        if reported:
            return {"text": reported, "css": "quiet nowrap"}
        share = ticket.probability
    return {"kind": "share", "text": percent(share), "percent": round(share * 100), "under": reported}


def clock_cell(running: Running | None) -> Cell:
    """What is left of a service clock, or why it is paused."""
    if running is None:
        return {"text": "–", "css": "quiet nothing"}
    clock = running.clock
    if clock.paused:
        return {"text": _("paused"), "css": "tag", "under": PAUSE.get(running.because, running.because)}
    left = (clock.allowance - clock.elapsed).total_seconds()
    css = {None: "tag good", "warning": "tag warn"}.get(clock.level, "tag bad")
    words = _("{t} left") if left >= 0 else _("{t} over")
    return {"text": words.format(t=duration(abs(left))), "css": css, "under": CLOCK[clock.name]}


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

    def keeps(self, ticket: Ticket, running: Running | None) -> bool:
        """Whether a ticket is shown."""
        return (
            (not self.state or ticket.state == self.state)
            and (not self.severity or ticket.severity == self.severity)
            and (not self.late or (running is not None and running.clock.level in ("breach", "critical")))
        )


async def queue_page(visit: Visit, state: str, severity: str, late: bool, after: str = "") -> None:
    """Build the page, and keep it current. `after`: the cursor behind which the list begins."""
    chosen = Filters(
        state if state in (*OPEN, *CLOSED) else "", severity if severity in LEVELS else "", late and state not in CLOSED
    )
    allowances, pool = service_hours(), visit.context.pool
    async with framed(visit, "queue", _("Queue")) as frame:
        frame.head(_("Queue"), _("Whom to call first: what a call is worth, within the calls and visits of today"))
        _filters(chosen)
        bulk = bulk_steps.Bulk(visit)
        empty = EMPTY_FILTERED if chosen != Filters() else EMPTY
        listing = List(_("Tickets"), COLUMNS, empty, selectable=chosen.state not in CLOSED)
        listing.on("select", lambda event: bulk.choose([int(key) for key in event.args]))
        bulk.listing = listing
        more = _More()
        text(_("Keys: j and k move, x selects, Enter opens."), "quiet fc-note fc-keys", "p")

        async def draw(picture: Picture) -> None:
            found, following = await _read(pool, picture, chosen, after)
            running = await clocks.running(pool, found, allowances, picture.clocks.desk_at)
            kept = [t for t in found if chosen.keeps(t, running.get(t.ticket_no))][:ROWS]
            bulk.known = {t.ticket_no: t for t in kept}
            rows = [ticket_row(t, running.get(t.ticket_no)) for t in kept]
            listing.show(rows if chosen.state in CLOSED else in_parts(kept, rows))
            more.show(chosen, following)

        await draw(visit.context.board.picture)
        follow(frame, draw)


async def _read(pool: Pool, picture: Picture, chosen: Filters, after: str) -> tuple[list[Ticket], str | None]:
    """The tickets that may be shown, and the cursor behind the last of them, if there are more."""
    wanted = TicketFilter.model_validate({"state": chosen.state or None, "severity": chosen.severity or None})
    if chosen.state in CLOSED:
        rows = await tickets.by_time(pool, wanted, ROWS + 1, _start("closed", after, datetime))
        return cursors.page("closed", rows, ROWS, lambda t: (t.raised_at, t.ticket_no))
    if chosen.late:  # which clocks have run out is not the database's to say: look at all that the picture holds
        return list(picture.tickets), None
    if chosen == Filters() and not after:
        rows = list(picture.tickets)
    else:
        rows = await tickets.in_order(pool, wanted, ROWS + 1, _start("queue", after, float))
    return cursors.page("queue", rows, ROWS, lambda t: (t.turn, t.ticket_no))


def _start(kind: str, after: str, shape: type[K]) -> tuple[K, int] | None:
    """Where the list begins; an address that was cut short begins at the top."""
    try:
        return cursors.decode(kind, after, shape) if after else None
    except cursors.BadCursor:
        return None


class _More:
    """The link to the tickets behind the last one."""

    def __init__(self) -> None:
        with box("fc-more") as self._line, box(tag="a") as self._link:
            text(_("More tickets"))

    def show(self, chosen: Filters, following: str | None) -> None:
        target = chosen.at() + ("&" if "?" in chosen.at() else "?") + urlencode({"after": following or ""})
        if self._link._props.get("href") != target:
            self._link._props["href"] = target
            self._link.update()
        self._line.set_visibility(following is not None)


def _filters(chosen: Filters) -> None:
    states = {"": N_("All open")} | {name: STATE[name] for name in (*OPEN, *CLOSED)}
    levels = {"": N_("Any severity")} | {name: SEVERITY[name] for name in LEVELS[:-1]}
    with box("fc-filters"):
        chips(chosen.state, states, lambda value: chosen.at(state=value))
        chips(chosen.severity, levels, lambda value: chosen.at(severity=value))
        chips(
            "1" if chosen.late else "", {"": N_("Any clock"), "1": N_("Out of time")}, lambda v: chosen.at(late=bool(v))
        )
