"""The account: appliances, contacts, consent, and one's own data to take along or to have destroyed."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from fastapi import APIRouter, Request, Response

from cloud.desk.outreach.consent import consents, set_consent
from cloud.desk.outreach.ladder import CHANNELS, Channel
from cloud.registry import accounts
from cloud.registry.people import Connection, Kind, read_contacts, user, write_contacts
from cloud.web.customer import language, products, regions
from cloud.web.customer.export import export
from cloud.web.customer.guest import Guest, PageRoute, Refusal
from cloud.web.customer.reception import SQL

router = APIRouter(prefix="/c/account", route_class=PageRoute, include_in_schema=False)

DETAILS: tuple[Kind, ...] = ("name", "address")


@router.get("")
async def account_page(request: Request) -> Response:
    """Everything of one's own, on one page."""
    guest = Guest(request)
    async with guest.reception.pool.connection() as connection:
        account = await guest.recognise(connection)
        if account is None:
            return guest.go("/c/sign-in")
        facts: dict[str, Any] = {
            "me": await user(connection, account),
            "contacts": await _contacts(guest, connection, account, "shown to themselves on the account page"),
            "products": await products.own_products(connection, account),
            "consents": await _consents(connection, account),
            "region": await regions.region_of(connection, account),
            "regions": await regions.known_regions(connection),
            "merges": [m for m in await accounts.merges(connection, account) if m.undone_at is None],
        }
    return guest.show("account.html", channels=CHANNELS, zones=sorted(available_timezones()), **facts)


@router.post("/details")
async def details(request: Request) -> Response:
    """Name, address, language and time zone. An empty field leaves what is there."""
    guest = Guest(request)
    form = await guest.form()
    zone, locale = form.get("time_zone", ""), form.get("locale", "")
    if zone not in available_timezones() or not language.is_ours(locale):
        raise Refusal(422, "This did not work", "Please choose a time zone from the list, such as Europe/Berlin.")
    given: dict[Kind, str] = {kind: form[kind] for kind in DETAILS if form.get(kind)}
    async with guest.reception.pool.connection() as connection:
        account = await guest.require_account(connection)
        async with connection.transaction():
            await connection.execute(SQL["set_place"], {"account": account, "locale": locale, "time_zone": zone})
            if given and guest.reception.master is not None:
                await write_contacts(
                    connection, guest.reception.master, account, given, person="customer", purpose="account page"
                )
    return guest.go("/c/account", "saved")


@router.post("/consent")
async def consent(request: Request) -> Response:
    """Which channels we may use; every box says what holds from now on."""
    guest = Guest(request)
    form = await guest.form()
    granted: list[Channel] = [channel for channel in CHANNELS if form.get(channel) == "yes"]
    withdrawn = [channel for channel in CHANNELS if channel not in granted]
    async with guest.reception.pool.connection() as connection:
        account = await guest.require_account(connection)
        async with connection.transaction():
            for entry in await accounts.members(connection, account):
                now = await consents(connection, entry)
                await set_consent(connection, entry, [c for c in granted if not now[c]], "account page", granted=True)
                await set_consent(connection, entry, [c for c in withdrawn if now[c]], "account page", granted=False)
    return guest.go("/c/account", "saved")


@router.post("/region")
async def region(request: Request) -> Response:
    """Where the appliances stand, from the list; or rather not said."""
    guest = Guest(request)
    form = await guest.form()
    async with guest.reception.pool.connection() as connection:
        account = await guest.require_account(connection)
        wanted = regions.chosen(form.get("region", ""), await regions.known_regions(connection))
        await regions.set_region(connection, account, wanted)
    return guest.go("/c/account", "saved")


@router.post("/undo")
async def undo_merge(request: Request) -> Response:
    """An entry that was joined to this account is somebody else's."""
    guest = Guest(request)
    form = await guest.form()
    async with guest.reception.pool.connection() as connection:
        account = await guest.require_account(connection)
        mine = {str(m.merge_no): m.merge_no for m in await accounts.merges(connection, account) if m.undone_at is None}
        number = mine.get(form.get("merge", ""))
        if number is None:
            raise Refusal(404, "This did not work", "There is nothing of that kind any more.")
        await accounts.undo(connection, number, person="customer")
    return guest.go("/c/account", "separated")


@router.post("/export")
async def export_own(request: Request) -> Response:
    """All that is kept about this account, as JSON."""
    guest = Guest(request)
    await guest.form()
    async with guest.reception.pool.connection() as connection:
        account = await guest.require_account(connection)
        body = await export(connection, guest.reception.master, account)
    return guest.attach(body, "my-data.json")


@router.get("/erase")
async def erase_page(request: Request) -> Response:
    """What erasing means, before it is done."""
    guest = Guest(request)
    async with guest.reception.pool.connection() as connection:
        if await guest.recognise(connection) is None:
            return guest.go("/c/sign-in")
    return guest.show("erase.html", wrong=False)


@router.post("/erase")
async def erase_own(request: Request) -> Response:
    """Destroys the account's keys and contacts, and ends its registrations."""
    guest = Guest(request)
    form = await guest.form()
    async with guest.reception.pool.connection() as connection:
        account = await guest.require_account(connection)
        if form.get("sure") != "yes":
            return guest.show("erase.html", 422, wrong=True)
        await accounts.erase(connection, account, person="customer", purpose="erased by themselves on the account page")
    guest.sign_out()
    guest.wait_for_code(None)
    return guest.show("erased.html")


async def _contacts(guest: Guest, connection: Connection, account: str, purpose: str) -> dict[Kind, list[str]]:
    """The contacts of all entries by kind, each once."""
    found: dict[Kind, list[str]] = {}
    if guest.reception.master is None:
        return found
    for entry in await accounts.members(connection, account):
        kept = await read_contacts(connection, guest.reception.master, entry, person="customer", purpose=purpose)
        for kind, text in kept.items():
            if text not in found.setdefault(kind, []):
                found[kind].append(text)
    return found


async def _consents(connection: Connection, account: str) -> dict[Channel, bool]:
    """A channel is allowed where every entry allows it."""
    each = [await consents(connection, entry) for entry in await accounts.members(connection, account)]
    return {channel: all(one[channel] for one in each) for channel in CHANNELS}
