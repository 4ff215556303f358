"""The service clock of a ticket: what is left of it, why it rests, and the buttons that stop it and let it run on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import get_args

from nicegui import ui

from cloud.db.pool import Pool
from cloud.web import steps
from cloud.web.console.dialogs import end, form
from cloud.web.console.frame import Visit
from cloud.web.console.parts import Cell, FaultTime, box, card_title, text
from cloud.web.console.queue import clock_cell
from cloud.web.console.words import N_, PAUSE, _
from cloud.web.problems import Problem
from cloud.web.reads import clocks, devices
from cloud.web.reads.clocks import PauseNow
from cloud.web.reads.tickets import OPEN, Ticket

SPANS = {0: N_("I let it run on"), 4: N_("4 hours"), 24: N_("1 day"), 72: N_("3 days"), 168: N_("7 days")}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the card shows: the clock that runs, as a cell of a list, and the pause that stops it."""

    cell: Cell
    pause: PauseNow | None


async def read(pool: Pool, ticket: Ticket) -> Standing | None:
    """How a ticket's clock stands; None where none runs."""
    if ticket.state not in OPEN:
        return None
    now = (await devices.clocks(pool)).desk_at
    running = (await clocks.running(pool, [ticket], clocks.service_hours(), now)).get(ticket.ticket_no)
    if running is None:
        return None
    return Standing(clock_cell(running), await clocks.pause_now(pool, ticket.ticket_no))


def clock_card(visit: Visit, ticket_no: int, standing: Standing | None) -> None:
    """The card; nothing where no clock runs."""
    if standing is None:
        return
    with box("fc-card", "section"):
        card_title(_("Service clock"), str(standing.cell.get("under", "")))
        with box("fc-line"):
            text(str(standing.cell["text"]), str(standing.cell.get("css", "")))
        pause = standing.pause
        if pause:
            with box("quiet"):
                text(pause.person + (" · " + _("until") + " " if pause.until else ""))
                if pause.until:
                    FaultTime(pause.until, inline=True)
        with box("fc-actions fc-after"):
            act = (lambda: _run_on(visit, ticket_no)) if pause else (lambda: _stop(visit, ticket_no))
            words = _("Let the clock run on") if pause else _("Stop the clock …")
            ui.button(words, on_click=act, color=None).props("unelevated no-caps").classes("fc-also")


async def _run_on(visit: Visit, ticket_no: int) -> None:
    try:
        await steps.run_clock(visit.context.pool, ticket_no)
    except Problem as problem:
        ui.notify(problem.detail, type="negative", multi_line=True)


def _stop(visit: Visit, ticket_no: int) -> None:
    dialog, card = form(_("Stop the service clock"))
    with card:
        text(_("For a delay that is not ours. Everything else goes on."), "quiet", "div")
        chosen = list(get_args(steps.Delay))
        reason = ui.radio({name: PAUSE[name] for name in chosen}, value=chosen[0]).props("dense").classes("fc-outcome")
        hours = ui.select({h: _(words) for h, words in SPANS.items()}, value=24, label=_("Until")).props("outlined")

        async def act() -> None:
            lasts = timedelta(hours=int(hours.value)) if hours.value else None
            await steps.stop_clock(visit.context.pool, ticket_no, reason.value, lasts, visit.operator)

        end(dialog, _("Stop the clock"), act)
