"""Ticket: the four codes, why the system believes it, what to say, and the next step."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from nicegui.element import Element

from cloud.web.board import Picture
from cloud.web.console import clock_card, ticket_steps
from cloud.web.console.chart_card import channel_card
from cloud.web.console.clock_card import Standing
from cloud.web.console.customer_card import CHANNEL, customer_card
from cloud.web.console.frame import Frame, Visit, follow, framed
from cloud.web.console.parts import FaultTime, box, card_title, facts, severity, text
from cloud.web.console.reasons import sentences, verdict_sentences
from cloud.web.console.words import (
    ANSWER,
    BAND,
    GENTLE,
    OUTCOME,
    PURPOSE,
    SAFETY,
    SENDING,
    STATE,
    VERDICT,
    _,
    in_language,
    language,
    lines_in_language,
    percent,
    problem_name,
)
from cloud.web.reads import customers, series, service, tickets
from cloud.web.reads.series import Series
from cloud.web.reads.service import Message, Verdict
from cloud.web.reads.tickets import OPEN, Evidence, GentleRun, TicketDetail, TicketFile

BEFORE, AFTER, MARGIN, POINTS = timedelta(hours=18), timedelta(hours=6), timedelta(minutes=20), 320
PATH = (*OPEN, "resolved")


async def ticket_page(visit: Visit, ticket_no: int) -> bool:
    """Build the page, and keep it current; False when there is no such ticket."""
    pool = visit.context.pool
    found = await tickets.get(pool, ticket_no)
    if found is None:
        return False
    ticket = found.ticket
    parts = await tickets.part_names(pool, ticket.likely_parts or [])
    profile = await customers.profile(pool, ticket.user_id)
    verdict = await service.verdict(pool, ticket_no)
    messages = await service.messages(pool, ticket_no)
    spoken = profile.customer.locale if profile else ""
    at = ticket.detected_at
    newest = await series.newest(pool, ticket.device_no)
    clock = await clock_card.read(pool, ticket)
    until = min(at + AFTER, max(newest or at, at) + MARGIN)
    shown = await series.read(pool, ticket.device_no, ticket.device, since=at - BEFORE, until=until, points=POINTS)
    name = problem_name(ticket.problem, ticket.meaning)
    async with framed(visit, "queue", name) as frame:
        _head(frame, ticket, name)
        with box("fc-two"):
            left = box("fc-stack")
            right = box("fc-stack")
        with right:
            changing = box("fc-stack now-first")
            with box("fc-stack later"):
                if profile:
                    customer_card(visit, profile, f"ticket {ticket.ticket_no}: {ticket.state}")
                _four_codes(ticket)
        with left:
            _say(ticket, spoken)
            _why(found.evidence, ticket, verdict)
            _charts(found, shown)
            _service(ticket, parts)
            if messages:
                messages_card(messages)
            history = box()
        _keep_current(frame, (found, clock), changing, history)
    return True


def _head(frame: Frame, ticket: TicketDetail, name: str) -> None:
    with frame.head(name):
        with box("fc-crumb") as crumb:
            with box(tag="a").props('href="/queue"'):
                text(_("Queue"))
            text(" / " + _("Ticket {n}").format(n=ticket.ticket_no))
        crumb.move(target_index=0)
        with box("fc-sub fc-line"):
            severity(ticket.severity, big=True)
            if ticket.problem != "anomaly":
                text(ticket.problem, "tag code")
            text(ticket.model_name)


def _keep_current(frame: Frame, found: tuple[TicketFile, Standing | None], changing: Element, history: Element) -> None:
    drawn: list[tuple[TicketFile, Standing | None]] = []

    def draw(fresh: TicketFile, clock: Standing | None) -> None:
        if drawn and drawn[-1] == (fresh, clock):
            return
        drawn[:] = [(fresh, clock)]
        changing.clear()
        with changing:
            _state(fresh.ticket, fresh.gentle_run)
            ticket_steps.next_step_card(frame.visit, fresh)
            clock_card.clock_card(frame.visit, fresh.ticket.ticket_no, clock)
        history.clear()
        with history:
            _history(fresh)

    async def again(_picture: Picture) -> None:
        pool = frame.visit.context.pool
        fresh = await tickets.get(pool, found[0].ticket.ticket_no)
        if fresh is not None:
            draw(fresh, await clock_card.read(pool, fresh.ticket))

    draw(*found)
    follow(frame, again)


def _state(ticket: TicketDetail, gentle: GentleRun | None) -> None:
    with box("fc-card", "section"):
        card_title(STATE[ticket.state], _("ticket {n}").format(n=ticket.ticket_no))
        pairs: list[tuple[str, str | datetime | None]] = [
            (_("Detected"), ticket.detected_at),
            (_("Visit"), ticket.scheduled_for if ticket.state == "scheduled" else None),
            *([_gently(gentle)] if gentle else []),
            (_("Closed"), ticket.closed_at),
            (_("Because"), ticket.closing_reason),
        ]
        facts(pairs)
        if ticket.state != "dismissed":
            place = PATH.index(ticket.state)
            with box("fc-path", "ol"):
                for number, state in enumerate(PATH):
                    css = "now" if number == place else "done" if number < place else ""
                    text(STATE[state], css, "li")


def _gently(gentle: GentleRun) -> tuple[str, str | datetime]:
    """Whether the appliance runs gently until the visit, in one line."""
    if gentle.state in ("asked", "accepted"):
        return GENTLE[gentle.state], gentle.until
    said = gentle.detail if gentle.state in ("refused", "failed") else ""
    return _("Gentle running"), ": ".join(w for w in (GENTLE[gentle.state], said) if w)


def _say(ticket: TicketDetail, spoken: str) -> None:
    """In the customer's language; where the agent reads another one, in that too."""
    theirs = spoken[:2] or language()
    words = in_language(ticket.customer_words, theirs)
    with box("fc-card", "section"):
        note = _("in the customer's language") if theirs != language() else ""
        card_title(_("What to say"), note)
        none = _("The dictionary has no words for this yet: say what was seen, and ask what the customer sees.")
        text(words or none, "fc-say", "p").props(f'lang="{theirs if words else language()}"')
        if words and in_language(ticket.customer_words) != words:
            text(in_language(ticket.customer_words), "quiet fc-after", "p")
        hazard = SAFETY.get(ticket.safety, ticket.safety)
        if hazard:
            with box("fc-after"):
                text(hazard, "tag bad")
        tries = lines_in_language(ticket.self_help, theirs)
        if tries:
            with box("fc-after"):
                text(_("The customer can safely try:"), "quiet")
                with box("fc-try", "ol").props(f'lang="{theirs}"'):
                    for line in tries:
                        text(line, tag="li")


def _why(evidence: Sequence[Evidence], ticket: TicketDetail, verdict: Verdict | None) -> None:
    with box("fc-card", "section"):
        card_title(_("Why we believe it"), "" if ticket.probability >= 1 else percent(ticket.probability))
        if verdict:
            _verdict(verdict)
        if not evidence:
            text(_("Nothing is written down for this ticket."), "quiet", "p")
        with box("fc-why", "ul"):
            for piece in evidence:
                with box(tag="li"):
                    text(_evidence_words(piece), "what", "div")
                    for sentence in sentences(piece.reason):
                        text(sentence, "", "div")
                    with box("when"):
                        FaultTime(piece.first_seen_at, inline=True)
        reason = in_language(ticket.place_reason) or rank_words(ticket.rank_reason)
        if reason:
            text(_("Priority: {reason}").format(reason=reason), "quiet fc-after", "p")


def _verdict(verdict: Verdict) -> None:
    css = {"confirmed": "tag good", "refuted": "tag", "needs_person": "tag warn", "waiting": "tag act"}
    with box("fc-verdict"):
        with box("fc-line"):
            text(VERDICT[verdict.verdict], css[verdict.verdict])
            if verdict.person != "desk":
                text(_("by {person}: {note}").format(person=verdict.person, note=verdict.note), "quiet")
        for sentence in verdict_sentences(verdict.reasons):
            text(sentence, "quiet", "div")


def _evidence_words(piece: Evidence) -> str:
    if piece.kind == "reported":
        times = _("once") if piece.times == 1 else _("{n} times").format(n=piece.times)
        return _("The appliance reported {code} {times}").format(code=piece.problem, times=times)
    if piece.kind == "cleared":
        return _("The appliance took {code} back").format(code=piece.problem)
    within = _(" within {h:.0f} hours").format(h=piece.horizon_hours) if piece.horizon_hours else ""
    return _("The detector expects a fault{within}: {p}").format(within=within, p=percent(piece.probability))


def rank_words(reason: Any) -> str:
    """Why a ticket ranks where it does, as the desk wrote it."""
    if isinstance(reason, dict):
        found = reason.get("sentence") or reason.get("text") or in_language(reason)
        return str(found) if isinstance(found, str) else ""
    return reason if isinstance(reason, str) else ""


def messages_card(messages: Sequence[Message]) -> None:
    """What was said to the customer, and what came back."""
    with box("fc-card", "section"):
        card_title(_("Said to the customer"))
        with box("fc-steps", "ul"):
            for message in messages:
                with box(tag="li"):
                    channel = _(CHANNEL[message.channel]) if message.channel in CHANNEL else ""
                    words = [PURPOSE.get(message.purpose, message.purpose), channel]
                    text(" · ".join(w for w in words if w), "main", "div")
                    with box("quiet"):
                        state = message.message_state or message.state
                        text(SENDING.get(state, state) + " · ")
                        FaultTime(message.delivered_at or message.created_at, inline=True)
                    if message.subject:
                        text(message.subject, "", "div")
                    for answer in message.answers:
                        text(_("answered: {answer}").format(answer=ANSWER.get(answer, answer)), "tag act", "div")


def _charts(found: TicketFile, shown: Series) -> None:
    carried = [channel for piece in found.evidence for channel in piece.channels]
    marks = [(found.ticket.detected_at, found.ticket.problem)]
    channel_card(_("Channels around the first evidence"), shown, list(dict.fromkeys(carried)), marks)


def _four_codes(ticket: TicketDetail) -> None:
    with box("fc-card", "section"):
        card_title(_("The four codes"))
        with box("fc-codes"):
            _code(_("User"), ticket.user_id, "")
            _code(_("Device"), ticket.device, "", f"/devices/{ticket.device}")
            made = _("made {date}").format(date=ticket.produced_on) if ticket.produced_on else ""
            lot = _("lot {lot}").format(lot=ticket.lot) if ticket.lot else ""
            words = ", ".join(w for w in (ticket.model_name, BAND.get(ticket.price_band, ""), made, lot) if w)
            _code(_("Product"), f"{ticket.gtin} · {ticket.serial}", words)
            version = (
                _("dictionary version {n}").format(n=ticket.definition_version) if ticket.definition_version else ""
            )
            _code(_("Fault"), ticket.problem, version)


def _code(kind: str, code: str, words: str, target: str = "") -> None:
    with box():
        text(kind, "k")
        if target:
            with box("v", "a").props(f'href="{target}"'):
                text(code)
        else:
            text(code, "v")
        if words:
            text(words, "d")


def _service(ticket: TicketDetail, names: dict[str, dict[str, str]]) -> None:
    likely = ticket.likely_parts or ([ticket.likely_part] if ticket.likely_part else [])
    with box("fc-card", "section"):
        card_title(_("For the visit"))
        stops = None if ticket.stops is None else (_("no") if ticket.stops else _("yes"))
        facts(
            [
                (_("Likely parts"), ", ".join(in_language(names.get(p)) or p for p in likely) or _("not known")),
                (_("Still works"), stops),
                (_("Source of the meaning"), ticket.source),
            ]
        )


def _history(found: TicketFile) -> None:
    with box("fc-card", "section"):
        card_title(_("History"))
        with box("fc-steps", "ul"):
            for step in reversed(found.steps):
                with box(tag="li"):
                    text(STATE.get(step.to_state, step.to_state), "main", "div")
                    with box("quiet"):
                        text(step.person + " · ")
                        FaultTime(step.at, inline=True)
                    if step.reason:
                        text(step.reason, "", "div")
                    if found.finding and step.to_state == "resolved":
                        finding = found.finding
                        words = [OUTCOME[finding.outcome], finding.code or "", finding.part or "", finding.note]
                        text(" · ".join(w for w in words if w), "", "div")
