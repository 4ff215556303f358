"""The next step of a ticket: buttons and short forms, each asking only for what that step needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nicegui import ui

from cloud.desk.tickets import Finding, Outcome
from cloud.desk.triage.overrule import REFUTED
from cloud.web import steps
from cloud.web.console.dialogs import Act, end, form
from cloud.web.console.frame import Visit
from cloud.web.console.parts import box, card_title, text
from cloud.web.console.words import OUTCOME, _, in_language
from cloud.web.problems import Problem
from cloud.web.reads import tickets
from cloud.web.reads.tickets import TicketFile
from cloud.web.steps import Actor


def next_step_card(visit: Visit, found: TicketFile) -> None:
    """What can be done now, the likeliest first; a closed ticket leaves nothing, unless the rule alone refuted it."""
    state = found.ticket.state
    if state == "dismissed" and found.ticket.closing_reason == REFUTED:
        _overrule_card(visit, found)
    if state in ("resolved", "dismissed"):
        return
    with box("fc-card", "section"):
        card_title(_("Next step"))
        with box("fc-actions"):
            if state == "proposed":
                _button(_("Confirm the fault"), lambda: _step(visit, found, "confirmed"), first=True)
            if state == "confirmed":
                _button(_("Customer contacted"), lambda: _step(visit, found, "contacted"), first=True)
            if state == "contacted":
                _button(_("Schedule a visit …"), lambda: _schedule(visit, found), first=True)
            if state in ("contacted", "scheduled"):
                _button(_("Resolve with a finding …"), lambda: _resolve(visit, found), first=state == "scheduled")
            if state == "scheduled":
                _button(_("Visit fell through, call again"), lambda: _step(visit, found, "contacted"))
            _button(_("Dismiss …"), lambda: _dismiss(visit, found))


def _overrule_card(visit: Visit, found: TicketFile) -> None:
    with box("fc-card", "section"):
        card_title(_("Next step"))
        text(_("The rule refuted this fault and nobody was called. If you know better, say so."), "quiet", "p")
        with box("fc-actions"):
            _button(_("The fault is real …"), lambda: _overrule(visit, found))


def _button(words: str, act: Act, *, first: bool = False) -> None:
    ui.button(words, on_click=act, color=None).props("unelevated no-caps").classes("fc-do" if first else "fc-also")


def _actor(visit: Visit, found: TicketFile) -> Actor:
    return Actor(visit.operator, found.ticket.version)


async def _step(visit: Visit, found: TicketFile, to_state: steps.Move) -> None:
    try:
        await steps.move(visit.context.pool, found.ticket.ticket_no, to_state, _actor(visit, found))
    except Problem as problem:
        ui.notify(problem.detail, type="negative", multi_line=True)


async def _dismiss(visit: Visit, found: TicketFile) -> None:
    dialog, card = form(_("Dismiss the ticket"))
    with card:
        reason = ui.input(_("Why?"), placeholder=_("What shows that there is nothing to do")).props(
            "outlined autofocus"
        )

        async def act() -> None:
            number = found.ticket.ticket_no
            await steps.dismiss(visit.context.pool, number, str(reason.value or ""), _actor(visit, found))

        end(dialog, _("Dismiss"), act)


async def _overrule(visit: Visit, found: TicketFile) -> None:
    dialog, card = form(_("The fault is real"))
    with card:
        reason = ui.input(_("Why?"), placeholder=_("What you heard, saw or know")).props("outlined autofocus")

        async def act() -> None:
            number = found.ticket.ticket_no
            new = await steps.reopen(visit.context.pool, number, str(reason.value or ""), visit.operator)
            ui.navigate.to(f"/tickets/{new}")

        end(dialog, _("Open a new ticket"), act)


async def _schedule(visit: Visit, found: TicketFile) -> None:
    zone = await ui.run_javascript("-new Date().getTimezoneOffset()", timeout=3.0)
    local = datetime.now(UTC) + timedelta(minutes=int(zone))
    start = (local + timedelta(days=1)).replace(hour=10, minute=0)
    dialog, card = form(_("Schedule a visit"))
    with card:
        day = ui.input(_("Day"), value=start.strftime("%Y-%m-%d")).props('outlined type="date" stack-label')
        hour = ui.input(_("Time"), value=start.strftime("%H:%M")).props('outlined type="time" stack-label')

        async def act() -> None:
            try:
                wall = datetime.fromisoformat(f"{day.value}T{hour.value}").replace(tzinfo=UTC)
            except ValueError as error:
                raise Problem(422, "invalid", _("Give a day and a time.")) from error
            at = wall - timedelta(minutes=int(zone))
            await steps.schedule(visit.context.pool, found.ticket.ticket_no, at, _actor(visit, found))

        end(dialog, _("Schedule"), act)


async def _resolve(visit: Visit, found: TicketFile) -> None:
    ticket = found.ticket
    codes, parts = await tickets.finding_choices(visit.context.pool, ticket.model)
    known = {code: f"{code} · {in_language(meaning)}" for code, meaning in codes.items()}
    if ticket.problem not in known and ticket.problem != "anomaly":
        known[ticket.problem] = ticket.problem
    dialog, card = form(_("What was found?"))
    with card:
        outcome = ui.radio(dict(OUTCOME), value="fault_confirmed").props("dense").classes("fc-outcome")
        code = ui.select(
            known, label=_("Fault code"), value=ticket.problem if ticket.problem in known else None, clearable=True
        )
        names = {part: in_language(name) for part, name in parts.items()}
        part = ui.select(names, label=_("Part used"), clearable=True, with_input=True)
        code.props("outlined"), part.props("outlined")
        note = ui.input(_("Note")).props("outlined")

        async def act() -> None:
            finding = Finding(
                Outcome(outcome.value), code=code.value or None, part=part.value or None, note=str(note.value or "")
            )
            await steps.resolve(visit.context.pool, ticket.ticket_no, finding, _actor(visit, found))

        end(dialog, _("Resolve"), act)
