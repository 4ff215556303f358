"""Live: faults as they are written down."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from nicegui import ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from cloud.web.board import Picture
from cloud.web.console import shelf
from cloud.web.console.frame import Frame, Visit, follow, framed
from cloud.web.console.parts import Cell, List, Row, box, severity_cell, text, time_cell
from cloud.web.console.words import (
    N_,
    SEVERITY,
    STATE,
    WITHHELD,
    _,
    figure,
    in_language,
    missing_words,
    percent,
    problem_name,
)
from cloud.web.problems import Problem
from cloud.web.reads.faults import Fault
from cloud.web.reads.service import Incident
from cloud.web.reads.shelves import holding
from cloud.web.shelving import unshelve

LEVELS = ("critical", "high", "medium", "low", "unknown")
ROWS = 80
COLUMNS = [
    {"key": "severity", "label": N_("Severity"), "css": "lead"},
    {"key": "priority", "label": N_("Priority"), "css": "right hush"},
    {"key": "fault", "label": N_("Fault"), "css": "wide"},
    {"key": "appliance", "label": N_("Appliance"), "css": "full roomy"},
    {"key": "at", "label": N_("Began"), "css": "aside"},
    {"key": "user", "label": N_("User"), "css": "hush"},
    {"key": "next", "label": N_("Ticket"), "css": "full"},
]
SHELVE = {"key": "act", "label": N_("Shelf"), "css": "hush"}
EMPTY = {
    "title": N_("No faults"),
    "text": N_("Faults appear here by themselves, within a second of being stored. "),
    "href": "/ingest",
    "action": N_("Are readings arriving?"),
}
EMPTY_FILTERED = {
    "title": N_("None of these among the newest"),
    "text": N_("Other faults are there. "),
    "href": "/",
    "action": N_("Show all"),
}
FILTERS: dict[str, tuple[str, Callable[[Fault], bool]]] = {
    "": (N_("All"), lambda fault: True),
    "standing": (N_("Standing"), lambda fault: fault.cleared_at is None),
    "predicted": (N_("Predicted"), lambda fault: fault.source == "predicted"),
    "incomplete": (N_("Something missing"), lambda fault: bool(fault.missing)),
}


def fault_row(fault: Fault, rank: int | None = None) -> Row:
    """One fault as a row of a list; `rank` is its ticket's place in the queue, from 1."""
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
            "priority": {"text": f"#{rank}" if rank else "–", "css": "main" if rank else "quiet"},
            "fault": cell,
            "appliance": {"text": fault.model_name or _("Unknown model"), "under": fault.device},
            "at": time_cell(fault.occurred_at),
            "user": {"text": fault.user_id or "–", "css": "mono"},
            "next": _next_cell(fault),
            "act": {"kind": "button", "text": _("Shelve"), "name": _("Shelve {device}").format(device=fault.device)},
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
        return {"text": _("No ticket"), "css": "tag", "under": WITHHELD.get(fault.withheld, fault.withheld)}
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


def chips(chosen: str, choices: dict[str, str], target: str | Callable[[str], str]) -> None:
    """Filters that live in the URL; `target` is its beginning, or makes it from a choice."""
    with box("fc-chips", "nav").props(f'aria-label="{_("Filter")}"'):
        for value, label in choices.items():
            link = box(tag="a")
            if callable(target):
                link._props["href"] = target(value)
            else:
                link._props["href"] = target + value if value else target.removesuffix("&").partition("?")[0]
            if value == chosen:
                link.props('aria-current="true"')
            with link:
                text(_(label))


def storm_row(incident: Incident) -> Row:
    """A storm as one row: many devices of a region, one trouble."""
    told = _("{told} of {n} customers told").format(told=figure(incident.told), n=figure(incident.customers))
    if incident.unreachable:
        told += ", " + _("{n} not reachable").format(n=figure(incident.unreachable))
    return {
        "key": f"storm/{incident.incident_no}",
        "css": "storm",
        "cells": {
            "severity": {"text": _("Storm"), "css": "tag bad"},
            "priority": {"text": "–", "css": "quiet"},
            "fault": {
                "text": _("{n} devices in {region}: {cause}").format(
                    n=figure(incident.devices), region=incident.region, cause=incident.cause
                ),
                "css": "main",
                "under": in_language(incident.sentence),
            },
            "appliance": {"text": _("{n} still stand").format(n=figure(incident.standing))},
            "at": time_cell(incident.began_at),
            "user": {"text": "–", "css": "quiet"},
            "next": {"text": _("Nobody is sent"), "css": "tag", "under": told},
            "act": {},
        },
    }


def shown_rows(picture: Picture, keeps: Callable[[Fault], bool]) -> list[Row]:
    """The rows of the live list: what is kept and not on the shelf, with each ticket's place in the queue. What belongs
    to a storm is told by the storm's one row, above."""
    ranks = {ticket.ticket_no: ticket.place for ticket in picture.tickets}
    kept = (
        f for f in picture.faults if keeps(f) and f.case_no not in picture.in_storms and not holding(picture.shelves, f)
    )
    return [fault_row(fault, ranks.get(fault.ticket_no or 0)) for fault in islice(kept, ROWS)]


async def live_page(visit: Visit, show: str, severity: str) -> None:
    """Build the page, and keep it current."""
    if show == "shelved":
        await _shelf_page(visit)
        return
    chosen = show if show in FILTERS else ""
    level = severity if severity in LEVELS else ""
    keeps = FILTERS[chosen][1]

    def wanted(fault: Fault) -> bool:
        return keeps(fault) and (not level or (fault.severity or "unknown") == level)

    async with framed(visit, "live", _("Live")) as frame:
        figures = _head(frame, "" if level else chosen, level)
        listing = List(_("Faults"), [*COLUMNS, SHELVE], EMPTY_FILTERED if chosen or level else EMPTY)
        listing.on("act", lambda event: _shelve(visit, int(event.args)))

        def draw(picture: Picture) -> None:
            figures.show(picture)
            storms = [] if level or chosen else [storm_row(i) for i in picture.incidents]
            listing.show(storms + shown_rows(picture, wanted))

        draw(visit.context.board.picture)
        follow(frame, draw)


def _head(frame: Frame, chosen: str, level: str) -> Figures:
    frame.head(_("Live"), _("Faults as they are reported and predicted, the newest entry first"))
    figures = Figures(level)
    shelved = len(frame.visit.context.board.picture.shelves)
    choices = {name: label for name, (label, _keeps) in FILTERS.items()}
    chips(chosen, choices | {"shelved": _("On the shelf ({n})").format(n=shelved)}, "/?show=")
    return figures


def _shelve(visit: Visit, case_no: int) -> None:
    fault = next((f for f in visit.context.board.picture.faults if f.case_no == case_no), None)
    if fault is not None:
        shelf.ask(visit, fault)


async def _shelf_page(visit: Visit) -> None:
    async with framed(visit, "live", _("On the shelf")) as frame:
        figures = _head(frame, "shelved", "")
        listing = List(_("On the shelf"), shelf.COLUMNS, shelf.EMPTY)

        async def show_again(event: GenericEventArguments) -> None:
            try:
                await unshelve(visit.context.pool, int(str(event.args).rpartition("/")[2]), visit.operator)
            except Problem as problem:
                ui.notify(problem.detail, type="negative")

        listing.on("act", show_again)

        def draw(picture: Picture) -> None:
            figures.show(picture)
            listing.show([shelf.shelf_row(s) for s in picture.shelves])

        draw(visit.context.board.picture)
        follow(frame, draw)
