"""Shelving on the live list: a person hides a fault for a reason and a time, and brings it back."""

from __future__ import annotations

from datetime import timedelta

from nicegui import ui

from cloud.web import shelving
from cloud.web.console.dialogs import end, form
from cloud.web.console.frame import Visit
from cloud.web.console.parts import Row, text, time_cell
from cloud.web.console.words import N_, _, problem_name
from cloud.web.reads.faults import Fault
from cloud.web.reads.shelves import Shelf

SPANS = {1: N_("1 hour"), 4: N_("4 hours"), 8: N_("8 hours, a shift"), 24: N_("1 day"), 168: N_("7 days")}
COLUMNS = [
    {"key": "problem", "label": N_("Fault"), "css": "wide"},
    {"key": "reason", "label": N_("Why it may wait"), "css": "full"},
    {"key": "person", "label": N_("Shelved by"), "css": ""},
    {"key": "until", "label": N_("Comes back"), "css": "aside"},
    {"key": "act", "label": N_("Shelf"), "css": ""},
]
EMPTY = {
    "title": N_("The shelf is empty"),
    "text": N_("Shelve a fault from the live list when it may wait. "),
    "href": "/",
    "action": N_("Show all"),
}


def ask(visit: Visit, fault: Fault) -> None:
    """The form that shelves a fault."""
    dialog, card = form(_("Shelve"))
    with card:
        text(f"{problem_name(fault.problem, fault.meaning)} · {fault.device}", "quiet", "div")
        reason = ui.input(_("Why may it wait?")).props("outlined autofocus")
        spans = {hours: _(words) for hours, words in SPANS.items()}
        hours = ui.select(spans, value=4, label=_("Until")).props("outlined")
        choices = {False: _("this device only")}
        if fault.model:
            choices[True] = _("all devices of {model}").format(model=fault.model_name or fault.model)
        scope = ui.radio(choices, value=False).props("dense").classes("fc-outcome")
        text(_("The case and its ticket go on; only this list hides it."), "quiet", "div")

        async def act() -> None:
            await shelving.shelve(
                visit.context.pool,
                fault.case_no,
                reason=str(reason.value or ""),
                lasts=timedelta(hours=int(hours.value or 0)),
                person=visit.operator,
                whole_model=bool(scope.value),
            )

        end(dialog, _("Shelve"), act)


def shelf_row(shelf: Shelf) -> Row:
    """One entry of the shelf."""
    return {
        "key": f"shelf/{shelf.shelf_no}",
        "cells": {
            "problem": {
                "text": shelf.device or _("all devices of {model}").format(model=shelf.model),
                "css": "main",
                "code": shelf.problem,
            },
            "reason": {"text": shelf.reason},
            "person": {"text": shelf.person},
            "until": time_cell(shelf.until),
            "act": {"kind": "button", "text": _("Show again")},
        },
    }
