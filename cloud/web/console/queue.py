"""Queue: open tickets, the one most worth acting on first. Severity and priority stand apart."""

from __future__ import annotations

from cloud.web.board import Picture
from cloud.web.console.frame import Visit, follow, framed
from cloud.web.console.live import LEVELS, chips
from cloud.web.console.parts import Cell, List, Row, severity_cell, time_cell
from cloud.web.console.words import N_, SAFETY, STATE, _, figure, percent, problem_name
from cloud.web.reads import tickets
from cloud.web.reads.tickets import OPEN, Ticket, TicketFilter

ROWS = 100
CLOSED = ("resolved", "dismissed")
COLUMNS = [
    {"key": "rank", "label": N_("Priority"), "css": "aside"},
    {"key": "severity", "label": N_("Severity"), "css": "lead"},
    {"key": "problem", "label": N_("Problem"), "css": "wide"},
    {"key": "appliance", "label": N_("Appliance"), "css": "full"},
    {"key": "probability", "label": N_("Probability"), "css": ""},
    {"key": "worth", "label": N_("Worth"), "css": "right hush"},
    {"key": "state", "label": N_("State"), "css": ""},
    {"key": "since", "label": N_("Detected"), "css": ""},
]
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


def ticket_row(ticket: Ticket, rank: int | None) -> Row:
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
            "since": time_cell(ticket.detected_at),
        },
    }


def _probability(share: float) -> Cell:
    if share >= 1:
        return {"text": _("reported"), "css": "quiet nowrap"}
    return {"kind": "share", "text": percent(share), "percent": round(share * 100)}


async def queue_page(visit: Visit, state: str, severity: str) -> None:
    """Build the page, and keep it current."""
    chosen = state if state in (*OPEN, *CLOSED) else ""
    level = severity if severity in LEVELS else None
    async with framed(visit, "queue", _("Queue")) as frame:
        frame.head(
            _("Queue"),
            _("Open tickets by what acting is worth: the damage it may save, less the price of a needless call"),
        )
        choices = {"": _("All open")} | {name: STATE[name] for name in (*OPEN, *CLOSED)}
        chips(chosen, choices, "/queue?state=")
        listing = List(_("Tickets"), COLUMNS, EMPTY_FILTERED if chosen or level else EMPTY)

        async def draw(picture: Picture) -> None:
            ranks = {ticket.ticket_no: rank for rank, ticket in enumerate(picture.tickets, 1)}
            shown = list(picture.tickets)
            if chosen in CLOSED:
                wanted = TicketFilter(state=chosen)
                shown = await tickets.by_time(visit.context.pool, wanted, ROWS)
            kept = [t for t in shown if (not chosen or t.state == chosen) and (not level or t.severity == level)]
            listing.show([ticket_row(ticket, ranks.get(ticket.ticket_no)) for ticket in kept[:ROWS]])

        await draw(visit.context.board.picture)
        follow(frame, draw)
