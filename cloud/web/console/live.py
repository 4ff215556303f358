"""Live: faults as they are written down."""

from __future__ import annotations

from collections.abc import Callable

from nicegui.element import Element

from cloud.web.board import Picture
from cloud.web.console.frame import Visit, follow, framed
from cloud.web.console.parts import Cell, List, Row, box, severity_cell, text, time_cell
from cloud.web.console.words import SEVERITY, STATE, _, figure, missing_words, percent, problem_name
from cloud.web.reads.faults import Fault

LEVELS = ("critical", "high", "medium", "low", "unknown")
ROWS = 80
COLUMNS = [
    {"key": "severity", "label": _("Severity"), "css": "lead"},
    {"key": "fault", "label": _("Fault"), "css": "wide"},
    {"key": "appliance", "label": _("Appliance"), "css": "full"},
    {"key": "at", "label": _("Began"), "css": "aside"},
    {"key": "user", "label": _("User"), "css": "hush"},
    {"key": "next", "label": _("Ticket"), "css": "full"},
]
EMPTY = {
    "title": _("No faults"),
    "text": _("Faults appear here by themselves, within a second of being stored. "),
    "href": "/ingest",
    "action": _("Are readings arriving?"),
}
EMPTY_FILTERED = {
    "title": _("None of these among the newest"),
    "text": _("Other faults are there. "),
    "href": "/",
    "action": _("Show all"),
}
FILTERS: dict[str, tuple[str, Callable[[Fault], bool]]] = {
    "": (_("All"), lambda fault: True),
    "standing": (_("Standing"), lambda fault: fault.cleared_at is None),
    "predicted": (_("Predicted"), lambda fault: fault.source == "predicted"),
    "incomplete": (_("Something missing"), lambda fault: bool(fault.missing)),
}


def fault_row(fault: Fault, *, on_device_page: bool = False) -> Row:
    """One fault as a row of a list."""
    name = problem_name(fault.problem, fault.meaning)
    cleared = _("cleared") if fault.cleared_at else ""
    under = (
        cleared
        if fault.raises < 2
        else _("raised {n} times").format(n=fault.raises) + (f", {cleared}" if cleared else "")
    )
    cell: Cell = {"text": name, "link": True, "under": under}
    if fault.problem != "anomaly":
        cell["code"] = fault.problem
    if fault.source == "predicted":
        cell["mark"] = _("predicted {p}").format(p=percent(fault.probability))
    target = f"/tickets/{fault.ticket_no}" if fault.ticket_no else f"/devices/{fault.device}?fault={fault.case_no}"
    return {
        "key": str(fault.case_no),
        "href": target,
        "cells": {
            "severity": severity_cell(fault.severity),
            "fault": cell,
            "appliance": {"text": fault.model_name or _("Unknown model"), "under": fault.device},
            "at": time_cell(fault.occurred_at),
            "user": {"text": fault.user_id or "–", "css": "mono"},
            "next": _next_cell(fault),
        },
    }


def _next_cell(fault: Fault) -> Cell:
    if fault.ticket_no:
        css = {"proposed": "tag act", "resolved": "tag good"}.get(fault.ticket_state or "", "tag")
        return {
            "text": STATE.get(fault.ticket_state or "", ""),
            "css": css,
            "under": _("ticket {n}").format(n=fault.ticket_no),
        }
    if fault.missing:
        return {"text": _("Waiting"), "css": "tag warn", "under": missing_words(fault.missing)}
    if fault.withheld:
        return {"text": _("No ticket"), "css": "tag", "under": fault.withheld.replace("_", " ")}
    return {"text": "–", "css": "quiet"}


class Figures:
    """How many faults stand, by severity; each figure filters the list."""

    def __init__(self, chosen: str) -> None:
        self._numbers: dict[str, Element] = {}
        self._boxes: dict[str, Element] = {}
        with box("fc-figures"):
            for level in LEVELS:
                link = box("fc-figure", "a").props(f'href="/?severity={level}"')
                if chosen == level:
                    link.props('aria-current="true"')
                with link:
                    self._numbers[level] = text("", "n")
                    with box("t", "span"), box(f"sev {level}", "span"):
                        box(tag="i").props('aria-hidden="true"')
                        text(SEVERITY[level])
                self._boxes[level] = link
            with box("fc-figure", "a").props('href="/queue?state=proposed"') as self._waiting_box:
                self._waiting = text("", "n")
                text(_("Tickets to confirm"), "t")

    def show(self, picture: Picture) -> None:
        """Show the counts of a picture."""
        for level in LEVELS:
            count = picture.standing.get(level, 0)
            _set(self._numbers[level], self._boxes[level], count)
        _set(self._waiting, self._waiting_box, picture.ticket_counts.get("proposed", 0))


def _set(number: Element, around: Element, count: int) -> None:
    if number._text != figure(count):
        number._text = figure(count)
        number.update()
    around.classes(add=None if count else "zero", remove="zero" if count else None)


def chips(chosen: str, choices: dict[str, str], target: str) -> None:
    """Filters that live in the URL."""
    with box("fc-chips", "nav").props(f'aria-label="{_("Filter")}"'):
        for value, label in choices.items():
            link = box(tag="a")
            link._props["href"] = target + value if value else target.removesuffix("&").partition("?")[0]
            if value == chosen:
                link.props('aria-current="true"')
            with link:
                text(label)


async def live_page(visit: Visit, show: str, severity: str) -> None:
    """Build the page, and keep it current."""
    chosen = show if show in FILTERS else ""
    level = severity if severity in LEVELS else ""
    keeps = FILTERS[chosen][1]
    async with framed(visit, "live", _("Live")) as frame:
        frame.head(_("Live"), _("Faults as they are reported and predicted, the newest entry first"))
        figures = Figures(level)
        chips("" if level else chosen, {name: label for name, (label, _keeps) in FILTERS.items()}, "/?show=")
        listing = List(_("Faults"), COLUMNS, EMPTY_FILTERED if chosen or level else EMPTY)

        def draw(picture: Picture) -> None:
            figures.show(picture)
            kept = [f for f in picture.faults if keeps(f) and (not level or (f.severity or "unknown") == level)]
            listing.show([fault_row(fault) for fault in kept[:ROWS]])

        draw(visit.context.board.picture)
        follow(frame, draw)
