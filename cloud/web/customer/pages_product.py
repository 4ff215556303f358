"""The unit's own page, which the code on the appliance opens, and what hangs on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Request, Response

from cloud.desk.dispatch.booking import windows
from cloud.desk.dispatch.rounds import hold_round
from cloud.desk.errors import DeskError
from cloud.desk.outreach import checking
from cloud.desk.outreach.secrets import Tap
from cloud.registry import gs1, ownership
from cloud.registry.errors import BadProductCode
from cloud.registry.ownership import ProductCard
from cloud.registry.people import Connection, write_contacts
from cloud.web.customer import products, taking
from cloud.web.customer.asking import ask
from cloud.web.customer.guest import Guest, PageRoute, Refusal, product_path
from cloud.web.customer.reception import SQL

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/01/{rest:path}")
async def product_page(request: Request) -> Response:
    """What a scanned GS1 Digital Link opens."""
    guest = Guest(request)
    async with guest.reception.pool.connection() as connection:
        await guest.reception.count(connection, f"lookup {guest.client}", guest.reception.settings.lookups)
        card = await _card_of_link(connection, request)
        account = await guest.recognise(connection)
        found = await products.standing(connection, card.gtin, card.serial, account)
        begun = await products.warranty_begun(connection, card.gtin, card.serial) if found.mine else None
        tickets = []
        if found.mine and account is not None and found.device_no is not None:
            tickets = await products.own_tickets(connection, found.device_no, account)
        facts: dict[str, Any] = {
            "card": card,
            "standing": found,
            "begun": begun,
            "terms": await products.warranty(connection, card, begun),
            "guide": guest.words.pick(products.guide(card.family), []),
            "manual": guest.words.pick(await products.manuals(connection, card.model), ""),
            "tickets": tickets,
            "zone": await _zone(connection, account),
            "answers": await _answers(guest, connection, tickets),
            "lacks_address": await products.lacks_address(connection, [t.ticket_no for t in tickets]),
        }
    return guest.show("product.html", **facts)


@router.get("/c/manual/{gtin}/{serial:path}")
async def manual(request: Request, gtin: str, serial: str) -> Response:
    """What the appliance's codes mean, and what to do."""
    guest = Guest(request)
    async with guest.reception.pool.connection() as connection:
        card = await _card(guest, connection, gtin, serial)
        codes = await products.meanings(connection, card.model)
        link = guest.words.pick(await products.manuals(connection, card.model), "")
        await guest.recognise(connection)
    guide = guest.words.pick(products.guide(card.family), [])
    return guest.show("manual.html", card=card, codes=codes, guide=guide, manual=link)


@router.get("/c/check/{gtin}/{serial:path}")
async def check_form(request: Request, gtin: str, serial: str) -> Response:
    """Where a code from a call or message is typed."""
    guest = Guest(request)
    async with guest.reception.pool.connection() as connection:
        card = await _card(guest, connection, gtin, serial)
        await guest.recognise(connection)
    return guest.show("check.html", card=card, verdict="", genuine=None)


@router.post("/c/check/{gtin}/{serial:path}")
async def check_code(request: Request, gtin: str, serial: str) -> Response:
    """Whether a call or message is ours."""
    guest = Guest(request)
    form, parts = await guest.form(), guest.reception.parts
    async with guest.reception.pool.connection() as connection:
        card = await _card(guest, connection, gtin, serial)
        await guest.recognise(connection)
        if parts.outreach_key is None:
            return guest.show("check.html", 503, card=card, verdict="closed", genuine=None)
        try:
            genuine = await checking.check(
                connection, parts.outreach_key, parts.outreach, gtin=card.gtin, serial=card.serial,
                typed=form.get("code", ""), client=guest.client,
            )  # fmt: skip
        except checking.TooManyTries:
            return guest.show("check.html", 429, card=card, verdict="too_many", genuine=None)
    return guest.show("check.html", card=card, verdict="genuine" if genuine else "unknown", genuine=genuine)


@router.post("/c/ask")
async def ask_for_service(request: Request) -> Response:
    """One tap: a repair or an installation."""
    guest = Guest(request)
    form = await guest.form()
    wish = cast(Literal["repair", "installation"], form.get("wish", ""))
    if wish not in ("repair", "installation"):
        raise Refusal(400, "This did not work", "The form could not be read. Please go back and try again.")
    async with guest.reception.pool.connection() as connection:
        _, card, found = await own(guest, connection, form)
        try:
            await ask(connection, found.device_no or 0, card, wish, guest.reception.parts.costs)
            await hold_round(connection, guest.reception.parts.dispatch)  # so that the page offers times
        except DeskError as error:
            raise Refusal(
                409,
                "This did not work",
                "We cannot take this request here. Please call us: our number is on your receipt.",
            ) from error
    return guest.go(product_path(card.gtin, card.serial), f"asked_{wish}")


@router.post("/c/address")
async def put_address(request: Request) -> Response:
    """Where the visit goes: kept with the entry that has the unit, whose contact the engineer may see."""
    guest = Guest(request)
    form, master = await guest.form(), guest.reception.master
    async with guest.reception.pool.connection() as connection:
        account, card, found = await own(guest, connection, form)
        if master is not None and form.get("address"):
            owner = await ownership.owner(connection, found.device or "")
            entry = owner.user_id if owner else account
            await write_contacts(
                connection, master, entry, {"address": form["address"]}, person="customer", purpose="visit"
            )
    return guest.go(product_path(card.gtin, card.serial), "saved")


@router.post("/c/take")
async def take(request: Request) -> Response:
    """Whoever is signed in registers the unit, or takes it over with a transfer code."""
    guest = Guest(request)
    form = await guest.form()
    async with guest.reception.pool.connection() as connection:
        account = await guest.require_account(connection)
        card = await _card(guest, connection, form.get("gtin", ""), form.get("serial", ""))
        outcome = await taking.take(
            guest.reception, connection, account, card.gtin, card.serial, code=form.get("handover", "")
        )
    return guest.go(product_path(card.gtin, card.serial), outcome)


@router.get("/c/transfer/{gtin}/{serial:path}")
async def transfer_page(request: Request, gtin: str, serial: str) -> Response:
    """How an owner hands the unit on."""
    guest = Guest(request)
    async with guest.reception.pool.connection() as connection:
        _, card, _ = await own(guest, connection, {"gtin": gtin, "serial": serial})
    return guest.show("transfer.html", card=card, code="")


@router.post("/c/transfer/{gtin}/{serial:path}")
async def make_transfer_code(request: Request, gtin: str, serial: str) -> Response:
    """The code for the new owner; shown once, and not kept readable."""
    guest = Guest(request)
    await guest.form()
    async with guest.reception.pool.connection() as connection:
        account, card, found = await own(guest, connection, {"gtin": gtin, "serial": serial})
        code = await taking.hand_on(guest.reception, connection, account, found.device or "", found.device_no or 0)
    days = f"{guest.reception.settings.handover_days:.0f}"
    return guest.show("transfer.html", card=card, code=code, days=days)


@router.post("/c/give-up")
async def give_up(request: Request) -> Response:
    """The owner has the unit no longer."""
    guest = Guest(request)
    form = await guest.form()
    async with guest.reception.pool.connection() as connection:
        _, _, found = await own(guest, connection, form)
        await taking.give_up(connection, found.device or "", found.device_no or 0)
    return guest.go("/c/account", "given_up")


async def own(guest: Guest, connection: Connection, form: dict[str, str]) -> tuple[str, ProductCard, products.Standing]:
    """The account, the unit and how it stands. Refusal: nobody is signed in, or the unit is not theirs now."""
    account = await guest.require_account(connection)
    card = await _card(guest, connection, form.get("gtin", ""), form.get("serial", ""))
    found = await products.standing(connection, card.gtin, card.serial, account)
    if not found.mine:
        raise Refusal(
            403,
            "This appliance is not registered to you",
            "Only who has it registered can do this. Please scan its code.",
        )
    return account, card, found


async def _card(guest: Guest, connection: Connection, gtin: str, serial: str) -> ProductCard:
    await guest.reception.count(connection, f"lookup {guest.client}", guest.reception.settings.lookups)
    card = await ownership.product(connection, gtin.replace("\0", ""), serial.replace("\0", ""))
    if card is None:
        raise _unknown()
    return card


async def _card_of_link(connection: Connection, request: Request) -> ProductCard:
    """The unit that the address names; its attributes (lot, date) are not needed to find it."""
    attributes = [(k, v) for k, v in parse_qsl(request.url.query) if k.isascii() and k.isdigit()]
    path = request.scope.get("raw_path", b"").decode("ascii", "replace").partition("?")[0]
    try:
        code = gs1.parse(f"https://appliance.invalid{path}?{urlencode(attributes)}".removesuffix("?"))
    except BadProductCode:
        raise Refusal(
            404,
            "This code cannot be read",
            "It names no single appliance. Please scan the code on the appliance itself, not the one on its packaging.",
        ) from None
    card = await ownership.product(connection, code.gtin, code.serial)
    if card is None:
        raise _unknown()
    return card


async def _answers(guest: Guest, connection: Connection, tickets: list[products.OwnTicket]) -> dict[int, str]:
    """For tickets that wait for the customer's word: the page of answers, with the next free window first.

    Where a visit was asked for and no window is free yet, nothing can be answered: the link is empty.
    """
    key, links = guest.reception.parts.outreach_key, {}
    until = datetime.now(UTC) + timedelta(days=guest.reception.parts.outreach.link_days)
    for ticket in tickets if key is not None else ():
        row = await (await connection.execute(SQL["waits_for_answer"], {"ticket_no": ticket.ticket_no})).fetchone()
        if row is None or key is None:
            continue
        free = [w for w in await windows(connection, ticket.ticket_no) if w.state != "booked"]
        tap = Tap(row[0], "accept", row[1], free[0].slot_no) if free else Tap(row[0], "visit", row[1])
        links[ticket.ticket_no] = f"/a/{key.token(tap, until)}" if free or not row[2] else ""
    return links


async def _zone(connection: Connection, account: str | None) -> str:
    if account is None:
        return "UTC"
    row = await (await connection.execute(SQL["time_zone_of"], {"user_id": account})).fetchone()
    return "UTC" if row is None else str(row[0])


def _unknown() -> Refusal:
    return Refusal(
        404,
        "We do not know this appliance",
        "Please compare the number with the one on its label. "
        "If it is right, please call us: our number is on your receipt.",
    )
