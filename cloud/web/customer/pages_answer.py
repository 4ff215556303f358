"""The links in our letters: opening one shows what it would do, a tap on the page does it.

The link itself is the proof of who answers: it is signed and was sent to the customer alone. So that the answer needs
no sign-in and no cookie, and a mail program's one-click unsubscribe (RFC 8058) works.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Request, Response

from cloud.desk.dispatch.booking import SlotTaken, windows
from cloud.desk.dispatch.rounds import hold_round
from cloud.desk.errors import DeskError
from cloud.desk.outreach import answers
from cloud.desk.outreach.secrets import BadToken, ExpiredToken, OutreachKey
from cloud.registry.people import Connection
from cloud.web.customer import language, products
from cloud.web.customer.guest import Guest, PageRoute, Refusal

Choice = tuple[str, str, int]
"""A window as it is shown, the token of the tap that takes it, its number."""

router = APIRouter(prefix="/a", route_class=PageRoute, include_in_schema=False)


@router.get("/{token}")
async def open_link(request: Request, token: str) -> Response:
    """What the link would do, and the other answers beside it. Changes nothing: mail scanners open links, too."""
    guest = Guest(request)
    async with guest.reception.pool.connection() as connection:
        return await _show(guest, connection, token)


@router.post("/{token}")
async def answer(request: Request, token: str) -> Response:
    """The tap: does what the link says; twice is once."""
    guest = Guest(request)
    parts = guest.reception.parts
    async with guest.reception.pool.connection() as connection:
        opened = await _opened(guest, connection, token)
        try:
            said = await answers.answer(connection, opened.tap, parts.outreach, parts.dispatch)
        except SlotTaken:
            return await _show(guest, connection, token, taken=True)
        except DeskError:
            raise _settled() from None
        choices: list[Choice] = []
        booked = ""
        if said.action == "visit":  # planned now, or a round under way waited for: the next tap chooses the time
            await hold_round(connection, parts.dispatch)
            choices = await _choices(guest, connection, opened)
        elif said.action == "accept" and opened.ticket_no is not None:
            taken = [w for w in await windows(connection, opened.ticket_no) if w.state == "booked"]
            booked = guest.words.window(taken[0].starts_at, taken[0].ends_at, _zone(opened.time_zone)) if taken else ""
        tickets = [] if opened.ticket_no is None else [opened.ticket_no]
        nowhere = await products.lacks_address(connection, tickets)
    return guest.show(
        "answered.html", action=said.action, opened=opened, choices=choices, booked=booked, lacks_address=nowhere
    )


async def _show(guest: Guest, connection: Connection, token: str, *, taken: bool = False) -> Response:
    opened = await _opened(guest, connection, token)
    choices = await _choices(guest, connection, opened)
    others = answers.other_taps(_key(guest), opened, _until(guest))
    chosen = next((label for label, _, slot in choices if slot == opened.tap.choice), "")
    lost = taken or (opened.tap.action == "accept" and not chosen)
    return guest.show(
        "answer.html", 409 if taken else 200, opened=opened, action=opened.tap.action, link=token, chosen=chosen,
        lost=lost, choices=choices, others=others, settled=opened.ticket_state in ("resolved", "dismissed"),
    )  # fmt: skip


async def _choices(guest: Guest, connection: Connection, opened: answers.Opened) -> list[Choice]:
    """The windows that are free now, each with the token of the tap that takes it."""
    if opened.ticket_no is None:  # a storm's notice: nobody comes
        return []
    free = [w for w in await windows(connection, opened.ticket_no) if w.state != "booked"]
    taps = answers.other_taps(_key(guest), opened, _until(guest), tuple(w.slot_no for w in free))
    zone = _zone(opened.time_zone)
    return [(guest.words.window(w.starts_at, w.ends_at, zone), taps[f"accept:{w.slot_no}"], w.slot_no) for w in free]


def _until(guest: Guest) -> datetime:
    return datetime.now(UTC) + timedelta(days=guest.reception.parts.outreach.link_days)


async def _opened(guest: Guest, connection: Connection, token: str) -> answers.Opened:
    try:
        opened = await answers.open_link(connection, _key(guest), guest.reception.parts.outreach, token[:200])
    except ExpiredToken:
        raise Refusal(
            410, "This link is too old", "Please scan the code on your appliance to see how things stand."
        ) from None
    except BadToken:
        raise _bad() from None
    except answers.TooLate:
        raise _settled() from None
    guest.words = language.words_of(opened.locale)
    return opened


def _key(guest: Guest) -> OutreachKey:
    key = guest.reception.parts.outreach_key
    if key is None:
        raise _bad()
    return key


def _bad() -> Refusal:
    return Refusal(
        404, "This link does not work", "It is damaged or did not come from us. Please open it from the message."
    )


def _settled() -> Refusal:
    return Refusal(410, "This has been settled", "There is nothing left to answer. Thank you.")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
