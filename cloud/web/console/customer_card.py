"""The person behind a ticket or a device: who they are to the service, and their contacts on demand."""

from __future__ import annotations

from nicegui import ui

from cloud.web import personal
from cloud.web.console.frame import Visit
from cloud.web.console.parts import box, card_title, facts, text
from cloud.web.console.words import N_, _, figure
from cloud.web.problems import Problem
from cloud.web.reads.customers import HomeProduct, Profile

KINDS = {"name": N_("Name"), "phone": N_("Phone"), "email": N_("E-mail"), "address": N_("Address")}
STAGE = {
    "new": N_("new to the appliance"),
    "in_warranty": N_("in warranty"),
    "out_of_warranty": N_("out of warranty"),
    "former": N_("has no appliance any more"),
    "erased": N_("erased"),
}
CHANNEL = {
    "phone": N_("phone"),
    "sms": N_("SMS"),
    "email": N_("e-mail"),
    "push": N_("push"),
    "messaging": N_("messaging app"),
}
LOCALE = {"zh": N_("Chinese"), "en": N_("English")}


def customer_card(visit: Visit, profile: Profile, purpose: str) -> None:
    """Tier, stage, complaints and products at home; contacts only when asked for, for `purpose`, which is logged."""
    customer = profile.customer
    spoken = LOCALE.get(customer.locale[:2])
    with box("fc-card", "section"):
        card_title(_("Customer"), customer.user_id)
        if customer.tier == "high" or customer.tags:
            with box("fc-line fc-tags"):
                if customer.tier == "high":
                    text(_("high tier"), "tag act")
                for tag in customer.tags:
                    text(tag, "tag")
        consents = ", ".join(_(CHANNEL.get(c, c)) for c in customer.consents)
        facts(
            [
                (_("Speaks"), _(spoken) if spoken else customer.locale),
                (_("Stage"), _(STAGE[profile.stage])),
                (_("Complaints in a year"), figure(customer.noticed)),
                (_("Tickets in a year"), figure(customer.tickets)),
                (_("May be reached by"), consents or _("nothing: no consent is known")),
                (_("Region"), customer.region),
            ]
        )
        _products([p for p in profile.products if p.until is None])
        _contacts(visit, customer.user_id, purpose)


def _products(held: list[HomeProduct]) -> None:
    if not held:
        return
    with box("fc-after"):
        text(_("At home"), "quiet", "div")
        with box("fc-home", "ul"):
            for product in held[:6]:
                with box(tag="li"), box(tag="a").props(f'href="/devices/{product.device}"'):
                    text(product.model_name or product.device)


def _contacts(visit: Visit, user_id: str, purpose: str) -> None:
    shown = box("fc-after")

    async def show() -> None:
        try:
            contacts = await personal.look(visit.context, user_id, visit.operator, purpose)
        except Problem as problem:
            ui.notify(problem.detail, type="negative", multi_line=True)
            return
        shown.clear()
        with shown:
            if contacts:
                facts([(_(KINDS[kind]), words) for kind, words in contacts.items()])
            else:
                text(_("No contacts are stored for this user."), "quiet")
            text(_("Logged under your name, for this purpose."), "quiet fc-after", "p")

    with shown:
        text(_("Contacts are hidden. Each look is logged with your name and its purpose."), "quiet", "p")
        with box("fc-actions"):
            ui.button(_("Show contacts"), on_click=show, color=None).props("unelevated no-caps").classes("fc-also")
