"""Registering and signing in: a contact, a code, done. There is no password to forget."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import Literal, cast

import structlog
from fastapi import APIRouter, Request, Response

from cloud.desk.outreach.consent import set_consent
from cloud.desk.outreach.ladder import Channel
from cloud.registry import accounts
from cloud.registry.people import Connection, write_contacts
from cloud.web.customer import codes, regions, taking
from cloud.web.customer.guest import Guest, PageRoute, Refusal, product_path
from cloud.web.customer.visits import Pending

router = APIRouter(prefix="/c", route_class=PageRoute, include_in_schema=False)
log = structlog.get_logger(__name__)

CONSENTED_BY: dict[str, tuple[Channel, ...]] = {"email": ("email",), "phone": ("sms", "phone")}
Then = Literal["register", "sign_in", "add"]


@router.get("/sign-in")
async def sign_in_page(request: Request) -> Response:
    """Where a customer comes back."""
    return Guest(request).show("sign_in.html", wrong="", contact="", then="sign_in", form={})


@router.post("/start")
async def start(request: Request) -> Response:
    """A contact was typed: send it a code. Whether we know the contact makes no difference to what is answered."""
    guest = Guest(request)
    form = await guest.form()
    then = cast(Then, form.get("then", ""))
    if then not in ("register", "sign_in", "add") or not guest.reception.verifies:
        raise Refusal(409, "Not possible here just now", "We cannot send codes at the moment. Please try again later.")
    typed = form.get("contact", "")
    try:
        kind, contact = codes.read_contact(typed, guest.reception.settings.country_code, guest.reception.verifies)
    except codes.NoContact:
        return guest.show("sign_in.html", 422, wrong="contact", contact=typed, then=then, form=form)
    async with guest.reception.pool.connection() as connection:
        if then == "add":
            await guest.require_account(connection)
        try:
            number = await codes.send_code(
                guest.reception, connection, kind, contact, client=guest.client, words=guest.words
            )
        except codes.NotSent:
            return guest.show("sign_in.html", 502, wrong="not_sent", contact=typed, then=then, form=form)
    until = time.time() + guest.reception.settings.code_minutes * 60
    guest.wait_for_code(
        Pending(
            number, kind, contact, then, until, form.get("gtin", ""), form.get("serial", ""),
            form.get("bought_on", ""), form.get("handover", ""),
        )
    )  # fmt: skip
    return guest.go("/c/code")


@router.get("/code")
async def code_page(request: Request) -> Response:
    """Where the code is typed."""
    guest = Guest(request)
    pending = guest.pending()
    if pending is None:
        return guest.go("/c/sign-in")
    async with guest.reception.pool.connection() as connection:
        named = await _regions_asked(connection, pending)
    return guest.show("code.html", pending=pending, wrong=False, regions=named, region="")


@router.post("/code")
async def enter(request: Request) -> Response:
    """The code was typed: the account is found or made, and the appliance registered, in one go."""
    guest = Guest(request)
    form, pending, reception = await guest.form(), guest.pending(), guest.reception
    if pending is None or reception.master is None:
        raise Refusal(403, "This code is too old", "Please ask for a new one.")
    async with reception.pool.connection() as connection:
        named = await _regions_asked(connection, pending)
        region = regions.chosen(form.get("region", ""), named)
        await reception.count(connection, f"enter {guest.client}", reception.settings.entries_by_client)
        right = await codes.enter_code(
            reception,
            connection,
            pending.challenge_no,
            kind=pending.kind,
            contact=pending.contact,
            typed=form.get("code", ""),
        )
        if not right:
            return guest.show("code.html", 422, pending=pending, wrong=True, regions=named, region=region)
        async with connection.transaction():
            account = await _admit(guest, connection, pending)
            await _note(guest, connection, account, pending, form)
            if region:
                await regions.set_region(connection, account, region)
        outcome = ""
        if pending.gtin:
            outcome = await taking.take(
                reception, connection, account, pending.gtin, pending.serial,
                code=pending.handover, bought_on=_day(pending.bought_on),
            )  # fmt: skip
    guest.sign_in(account)
    guest.wait_for_code(None)
    if pending.gtin:
        return guest.go(product_path(pending.gtin, pending.serial), outcome)
    return guest.go("/c/account", "added" if pending.then == "add" else "signed_in")


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """The visit ends."""
    guest = Guest(request)
    await guest.form()
    guest.sign_out()
    return guest.go("/c/sign-in", "signed_out")


async def _admit(guest: Guest, connection: Connection, pending: Pending) -> str:
    if guest.reception.master is None:
        raise Refusal(409, "Not possible here just now", "We cannot send codes at the moment. Please try again later.")
    signed_in = await guest.require_account(connection) if pending.then == "add" else None
    admission = await accounts.admit(
        connection,
        guest.reception.master,
        pending.kind,
        pending.contact,
        signed_in=signed_in,
        locale=guest.language,
        time_zone=guest.reception.settings.time_zone,
    )
    log.info("admitted", account=admission.account, new=admission.is_new, merged=len(admission.merged))
    return admission.account


async def _note(guest: Guest, connection: Connection, account: str, pending: Pending, form: dict[str, str]) -> None:
    """What was said beside the code: a name, and consent to be told of faults on this contact's channels."""
    if form.get("name") and guest.reception.master is not None:
        await write_contacts(
            connection,
            guest.reception.master,
            account,
            {"name": form["name"]},
            person="customer",
            purpose="registering",
        )
    if form.get("consent") == "yes":
        for entry in await accounts.members(connection, account):
            await set_consent(connection, entry, CONSENTED_BY[pending.kind], "product page", granted=True)


async def _regions_asked(connection: Connection, pending: Pending) -> list[str]:
    """What to choose from when an appliance is registered; else nothing is asked."""
    return await regions.known_regions(connection) if pending.gtin else []


def _day(text: str) -> date | None:
    """A day of purchase that can be true: not in the future; anything else counts as not given."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if date(2000, 1, 1) <= day <= datetime.now(UTC).date() else None
