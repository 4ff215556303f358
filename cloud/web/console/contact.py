"""The customer's contacts: hidden until asked for, and each look logged with its purpose."""

from __future__ import annotations

from nicegui import ui

from cloud.web import personal
from cloud.web.console.frame import Visit
from cloud.web.console.parts import box, card_title, facts, text
from cloud.web.console.words import N_, _
from cloud.web.problems import Problem
from cloud.web.reads.tickets import TicketDetail

KINDS = {"name": N_("Name"), "phone": N_("Phone"), "email": N_("E-mail"), "address": N_("Address")}


def contact_card(visit: Visit, ticket: TicketDetail) -> None:
    """A button that shows the contacts for the purpose of this ticket."""
    with box("fc-card", "section"):
        card_title(_("Customer"), ticket.user_id)
        shown = box()

        async def show() -> None:
            purpose = f"ticket {ticket.ticket_no}: {ticket.state}"
            try:
                contacts = await personal.look(visit.context, ticket.user_id, visit.operator, purpose)
            except Problem as problem:
                ui.notify(problem.detail, type="negative", multi_line=True)
                return
            shown.clear()
            with shown:
                if contacts:
                    facts([(_(KINDS[kind]), words) for kind, words in contacts.items()])
                else:
                    text(_("No contacts are stored for this user."), "quiet")
                text(_("Logged under your name, for this ticket."), "quiet fc-after", "p")

        with shown:
            text(_("Contacts are hidden. Each look is logged with your name and this ticket."), "quiet", "p")
            with box("fc-actions"):
                ui.button(_("Show contacts"), on_click=show, color=None).props("unelevated no-caps").classes("fc-also")
