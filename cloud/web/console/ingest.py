"""Ingest: whether readings arrive, what was lost, what could not be read."""

from __future__ import annotations

from datetime import datetime

import structlog
from nicegui import ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from cloud.web.board import Picture
from cloud.web.console.frame import Visit, follow, framed
from cloud.web.console.parts import List, Row, box, text, time_cell
from cloud.web.console.trust import tabs
from cloud.web.console.words import N_, _, duration, figure, size
from cloud.web.problems import Problem
from cloud.web.reads import ingest
from cloud.web.reads.ingest import DeadLetter, Loss, Program
from cloud.web.replaying import replay_letters

log = structlog.get_logger()

LETTER_COLUMNS = [
    {"key": "reason", "label": N_("Reason"), "css": "lead"},
    {"key": "detail", "label": N_("What was found"), "css": "wide"},
    {"key": "size", "label": N_("Size"), "css": "right hush"},
    {"key": "times", "label": N_("Times"), "css": "right"},
    {"key": "replayed", "label": N_("Replayed"), "css": "hush"},
    {"key": "at", "label": N_("Received"), "css": "aside"},
    {"key": "act", "label": N_("Again"), "css": ""},
]
LOSS_COLUMNS = [
    {"key": "device", "label": N_("Device"), "css": "lead named"},
    {"key": "dropped", "label": N_("Messages"), "css": "right"},
    {"key": "size", "label": N_("Size"), "css": "right"},
    {"key": "gap", "label": N_("Gap"), "css": ""},
    {"key": "at", "label": N_("Reported"), "css": "aside"},
]
PROGRAM_COLUMNS = [
    {"key": "program", "label": N_("Program"), "css": "lead"},
    {"key": "counters", "label": N_("Counters"), "css": "wide"},
    {"key": "at", "label": N_("Written"), "css": "aside"},
]
NO_LETTERS = {"title": N_("No dead letters"), "text": N_("Everything that came could be read.")}
NO_LOSSES = {"title": N_("Nothing lost"), "text": N_("No gateway had to drop a message.")}
NO_PROGRAMS = {
    "title": N_("No program reports"),
    "text": N_("Start them with `firstcall up`, or `firstcall ingest` alone."),
}


def _letter_row(letter: DeadLetter) -> Row:
    return {
        "key": str(letter.dead_letter_no),
        "cells": {
            "reason": {"text": letter.reason, "css": "tag warn"},
            "detail": {"text": letter.detail, "under": letter.topic},
            "size": {"text": size(letter.payload_bytes), "css": "nowrap"},
            "times": {"text": f"{figure(letter.times)} ×"},
            "replayed": time_cell(letter.replayed_at),
            "at": time_cell(letter.last_received_at),
            "act": {} if letter.replayed_at else {"kind": "button", "text": _("Replay")},
        },
    }


def _loss_row(loss: Loss) -> Row:
    return {
        "key": f"{loss.device}/{loss.boot}/{loss.seq}",
        "href": f"/devices/{loss.device}",
        "cells": {
            "device": {"text": loss.device, "link": True, "under": _("behind {gateway}").format(gateway=loss.gateway)},
            "dropped": {"text": _("{n} {kind}").format(n=figure(loss.dropped), kind=loss.kind)},
            "size": {"text": size(loss.bytes), "css": "nowrap"},
            "gap": {"text": duration((loss.last_at - loss.first_at).total_seconds())},
            "at": time_cell(loss.reported_at),
        },
    }


def _program_row(program: Program) -> Row:
    shown = [f"{name} {_counter(value)}" for name, value in program.counters.items() if not isinstance(value, dict)]
    return {
        "key": f"{program.program}/{program.instance}",
        "cells": {
            "program": {"text": program.program, "css": "main"},
            "counters": {
                "text": " · ".join(shown[:12]).replace("_", " ") or "–",
                "css": "quiet",
                "under": program.instance,
            },
            "at": time_cell(program.at),
        },
    }


def _counter(value: object) -> str:
    return figure(value, 0 if float(value).is_integer() else 2) if isinstance(value, int | float) else str(value)


class _Figures:
    """The figures at the top."""

    NAMES = (
        ("lag", N_("since the last commit")),
        ("frames", N_("frames in a minute")),
        ("gateways", N_("gateways online")),
        ("devices", N_("devices")),
        ("dropped", N_("messages lost")),
        ("letters", N_("dead letters waiting")),
    )

    def __init__(self) -> None:
        self._numbers: dict[str, Element] = {}
        with box("fc-figures"):
            for key, label in self.NAMES:
                with box("fc-figure"):
                    self._numbers[key] = text("", "n")
                    text(_(label), "t")

    def show(self, picture: Picture) -> None:
        health = picture.health
        lag = health.lag_s(picture.clocks.wall_at)
        words = {
            "lag": "–" if lag is None else duration(lag),
            "frames": figure(health.frames_last_minute),
            "gateways": f"{figure(health.gateways_online)} / {figure(health.gateways)}",
            "devices": figure(health.devices),
            "dropped": figure(health.dropped),
            "letters": figure(sum(d.waiting for d in health.dead_letters)),
        }
        for key, shown in words.items():
            if self._numbers[key]._text != shown:
                self._numbers[key]._text = shown
                self._numbers[key].update()


def _section(title: str, label: str, columns: list[dict[str, str]], empty: dict[str, str]) -> List:
    with box():
        text(title, "fc fc-gap", "h2")
        return List(label, columns, empty)


def _replaying(visit: Visit, letters: List) -> None:
    async def again(event: GenericEventArguments) -> None:
        number = int(str(event.args))
        try:
            outcome = await replay_letters(visit.context.pool, [number])
        except Problem as problem:
            ui.notify(problem.detail, type="negative")
            return
        if outcome.stored:
            ui.notify(_("Read and stored."), type="positive")
        else:
            ui.notify(_("Still refused: it stays a dead letter."), type="warning")
        log.info("dead_letter.replayed", number=number, stored=bool(outcome.stored), person=visit.operator)
        letters.show([_letter_row(d) for d in await ingest.dead_letters(visit.context.pool, 50)])

    letters.on("act", again)


async def ingest_page(visit: Visit) -> None:
    """Build the page, and keep it current."""
    async with framed(visit, "trust", _("Ingest")) as frame:
        frame.head(_("Ingest"), _("Whether readings arrive, what was lost on the way, and what could not be read"))
        tabs("/ingest")
        figures = _Figures()
        with box("fc-stack"):
            letters = _section(_("Dead letters"), _("Dead letters"), LETTER_COLUMNS, NO_LETTERS)
            _replaying(visit, letters)
            losses = _section(_("Loss ledger"), _("Losses"), LOSS_COLUMNS, NO_LOSSES)
            programs = _section(_("Programs"), _("Programs"), PROGRAM_COLUMNS, NO_PROGRAMS)
        drawn_at: list[datetime] = []

        async def draw(picture: Picture) -> None:
            figures.show(picture)
            programs.show([_program_row(p) for p in picture.health.programs])
            now = picture.clocks.wall_at
            if drawn_at and (now - drawn_at[-1]).total_seconds() < 2:
                return
            drawn_at[:] = [now]
            letters.show([_letter_row(d) for d in await ingest.dead_letters(visit.context.pool, 50)])
            losses.show([_loss_row(loss) for loss in await ingest.losses(visit.context.pool, 50)])

        await draw(visit.context.board.picture)
        follow(frame, draw)
