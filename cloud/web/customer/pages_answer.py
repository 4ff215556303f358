"""The links in our letters: opening one shows what it would do, a tap on the page does it.

The link itself is the proof of who answers: it is signed and was sent to the customer alone. So that the answer needs
no sign-in and no cookie, and a mail program's one-click unsubscribe (RFC 8058) works.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Request, Response

from cloud.desk.dispatch.booking import SlotTaken, windows
from cloud.desk.errors import DeskError
from cloud.desk.outreach import answers
from cloud.desk.outreach.secrets import BadToken, ExpiredToken, OutreachKey
from cloud.registry.people import Connection
from cloud.web.customer import language
from cloud.web.customer.guest import Guest, PageRoute, Refusal

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
    return guest.show("answered.html", action=said.action, gtin=opened.gtin, serial=opened.serial)


async def _show(guest: Guest, connection: Connection, token: str, *, taken: bool = False) -> Response:
    opened = await _opened(guest, connection, token)
    until = datetime.now(UTC) + timedelta(days=guest.reception.parts.outreach.link_days)
    offered = [] if opened.ticket_no is None else await windows(connection, opened.ticket_no)
    free = [w for w in offered if w.state != "booked"]
    others = answers.other_taps(_key(guest), opened, until, tuple(w.slot_no for w in free))
    if opened.tap.action == "accept":
        others[f"accept:{opened.tap.choice}"] = token
    zone = _zone(opened.time_zone)
    choices = [
        (guest.words.window(w.starts_at, w.ends_at, zone), others[f"accept:{w.slot_no}"], w.slot_no) for w in free
    ]
    chosen = next((label for label, _, slot in choices if slot == opened.tap.choice), "")
    lost = taken or (opened.tap.action == "accept" and not chosen)
    return guest.show(
        "answer.html", 409 if taken else 200, opened=opened, action=opened.tap.action, link=token, chosen=chosen,
        lost=lost, choices=choices, others=others, settled=opened.ticket_state in ("resolved", "dismissed"),
    )  # fmt: skip


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
