"""What the pages show of a unit: public facts for everybody; its service for whoever has it now."""

from __future__ import annotations

import calendar
import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from psycopg.rows import class_row, dict_row

from cloud.registry import accounts, ownership
from cloud.registry.ownership import ProductCard
from cloud.registry.people import Connection
from cloud.web.customer.reception import SQL

Guide = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Term:
    """A part of the warranty: what it covers (None: the whole unit), for how long, until when (None: not begun)."""

    covers: dict[str, str] | None
    main_parts: bool
    months: int
    until: date | None


@dataclass(frozen=True, slots=True)
class CodeMeaning:
    """A code that the appliance may show, with what the customer can do."""

    code: str
    meaning: dict[str, str]
    severity: str
    safety: str
    self_help: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class OwnTicket:
    """A ticket as its customer sees it; `starts_at` to `ends_at`: the booked window."""

    ticket_no: int
    state: str
    problem: str
    safety: str
    customer_words: dict[str, str]
    raised_at: datetime
    closed_at: datetime | None
    starts_at: datetime | None
    ends_at: datetime | None
    watching: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How a unit stands to a visitor: the device in it, and whether they have it, somebody else has it, or nobody."""

    device: str | None
    device_no: int | None
    mine: bool
    taken: bool


async def standing(connection: Connection, gtin: str, serial: str, account: str | None) -> Standing:
    """Who has the unit, as far as this visitor may know: without an account nothing is looked up."""
    device = await ownership.device_in(connection, gtin, serial)
    if device is None:
        return Standing(None, None, mine=False, taken=False)
    number = await ownership.device_no(connection, device)
    if account is None:
        return Standing(device, number, mine=False, taken=False)
    owner = await ownership.owner(connection, device)
    mine = owner is not None and owner.user_id in await accounts.members(connection, account)
    return Standing(device, number, mine=mine, taken=owner is not None and not mine)


async def warranty(connection: Connection, card: ProductCard, begun: date | None) -> list[Term]:
    """The warranty's parts; with `begun`, also until when each holds."""
    if card.model is None or card.warranty_months is None:
        return []
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["warranty_terms"], {"model": card.model})
        rows: list[dict[str, Any]] = await cursor.fetchall()
    whole = [Term(None, False, card.warranty_months, begun and months_later(begun, card.warranty_months))]
    return whole + [
        Term(
            row["name"] or ({"en": row["covers"]} if row["covers"] != "main_parts" else None),
            row["covers"] == "main_parts",
            row["months"],
            begun and months_later(begun, row["months"]),
        )
        for row in rows
    ]


def months_later(start: date, months: int) -> date:
    """The same day that many months later, or the month's last where it has no such day."""
    month = start.month - 1 + months
    year, month = start.year + month // 12, month % 12 + 1
    return date(year, month, min(start.day, calendar.monthrange(year, month)[1]))


async def warranty_begun(connection: Connection, gtin: str, serial: str) -> date | None:
    """The day on which the unit's warranty began; None before it was registered."""
    row = await (await connection.execute(SQL["warranty_begun"], {"gtin": gtin, "serial": serial})).fetchone()
    return None if row is None else row[0]


async def meanings(connection: Connection, model: str | None) -> list[CodeMeaning]:
    """The codes that a model may show."""
    async with connection.cursor(row_factory=class_row(CodeMeaning)) as cursor:
        await cursor.execute(SQL["code_meanings"], {"model": model})
        return await cursor.fetchall()


async def manuals(connection: Connection, model: str | None) -> dict[str, str]:
    """The maker's full manual by language, where there is one."""
    cursor = await connection.execute(SQL["manuals"], {"model": model})
    return {str(language): str(url) for language, url in await cursor.fetchall()}


async def own_tickets(connection: Connection, device_no: int, account: str) -> list[OwnTicket]:
    """Tickets of the device that are this account's: open ones and those closed of late, newest first.

    A ticket that is only proposed is not shown: nobody is told of a fault that is not confirmed.
    """
    async with connection.cursor(row_factory=class_row(OwnTicket)) as cursor:
        await cursor.execute(SQL["own_tickets"], {"device_no": device_no, "account": account})
        return await cursor.fetchall()


async def lacks_address(connection: Connection, tickets: list[int]) -> bool:
    """Whether a visit is agreed for one of these tickets and nobody has said where."""
    row = await (await connection.execute(SQL["lacks_address"], {"tickets": tickets})).fetchone()
    return row is not None and bool(row[0])


async def own_products(connection: Connection, account: str) -> list[dict[str, Any]]:
    """The units that an account has now."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["own_products"], {"account": account})
        return await cursor.fetchall()


def guide(family: str | None) -> Guide:
    """Short instructions by language; those for any appliance where the family has none of its own."""
    known = _guides()
    return known.get(family or "", known["any"])


@cache
def _guides() -> dict[str, Guide]:
    return tomllib.loads((files("cloud.web.customer") / "guides.toml").read_text(encoding="utf-8"))
