"""Windows that a customer may choose from, and taking one: the ticket is scheduled in the same transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import errors
from psycopg.rows import class_row, dict_row

from cloud.desk.dispatch.calendar import Horizon, choosable, free_slots
from cloud.desk.dispatch.gentle import PlannedVisit, spare_until
from cloud.desk.dispatch.people import SQL, Connection, day_of, working_hours
from cloud.desk.dispatch.settings import DispatchSettings
from cloud.desk.errors import DeskError
from cloud.desk.tickets import contact, schedule


class SlotTaken(DeskError):
    """The window is not free any more: choose another."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window that a customer may take: `state` held (kept until hold_until), offered (first come), booked."""

    slot_no: int
    state: str
    starts_at: datetime
    ends_at: datetime
    hold_until: datetime


async def windows(connection: Connection, ticket_no: int) -> list[Window]:
    """What a ticket's customer may choose from now, or has booked, in the order of time."""
    async with connection.cursor(row_factory=class_row(Window)) as cursor:
        await cursor.execute(SQL["windows"], {"ticket_no": ticket_no})
        return await cursor.fetchall()


async def accept(connection: Connection, slot_no: int, person: str, settings: DispatchSettings) -> Window:
    """The customer takes a window. Taking the same one again changes nothing.

    Raises:
        SlotTaken: somebody else has it, its time is over, or no more of that engineer's day may be chosen.
        FormerOwner, IllegalStep: the ticket is not this customer's any more, or is closed.
    """
    async with connection.transaction():
        await connection.execute(SQL["lock_round"])
        slot = await _slot(connection, slot_no)
        which = {"ticket_no": slot["ticket_no"], "work_order_no": slot["work_order_no"], "slot_no": slot_no}
        for lock in ("lock_ticket_device", "lock_ticket", "lock_order"):
            await connection.execute(SQL[lock], which)
        slot = await _slot(connection, slot_no)
        window = Window(slot_no, "booked", slot["starts_at"], slot["ends_at"], slot["hold_until"])
        if slot["state"] == "booked":
            return window
        await _refuse_if_gone(connection, slot, settings)
        await _book(connection, which)
        await connection.execute(SQL["release_slots"], {**which, "but": slot_no})
        await connection.execute(SQL["set_order_state"], {**which, "state": "booked"})
        if slot["ticket_state"] == "confirmed":
            await contact(connection, slot["ticket_no"], person, "accepted a time")
        await schedule(connection, slot["ticket_no"], person, slot["starts_at"])
        await spare_until(connection, _planned(slot))
    return window


async def ask_for_later(connection: Connection, ticket_no: int, at: datetime) -> None:
    """The customer wants nobody before `at`: what was kept is released, the order waits on with its age."""
    async with connection.transaction():
        cursor = await connection.execute(SQL["ask_for_later"], {"ticket_no": ticket_no, "at": at})
        await _release_all(connection, await cursor.fetchall())


async def stand_down(connection: Connection, ticket_no: int) -> None:
    """No visit is wanted (self-help is being watched, or the customer said stop): the order ends, if there is one."""
    async with connection.transaction():
        cursor = await connection.execute(SQL["cancel_order"], {"ticket_no": ticket_no})
        await _release_all(connection, await cursor.fetchall())


async def _release_all(connection: Connection, orders: list[Any]) -> None:
    for (number,) in orders:
        await connection.execute(SQL["release_slots"], {"work_order_no": number, "but": 0})


async def _slot(connection: Connection, slot_no: int) -> dict[str, Any]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["slot"], {"slot_no": slot_no})
        found = await cursor.fetchone()
    if found is None:
        raise SlotTaken(f"there is no window {slot_no}")
    return found


def _planned(slot: dict[str, Any]) -> PlannedVisit:
    zone = ZoneInfo(slot["time_zone"])
    return PlannedVisit(
        slot["work_order_no"], slot["device_no"], slot["fails_by"], slot["starts_at"], slot["ends_at"], zone
    )


async def _refuse_if_gone(connection: Connection, slot: dict[str, Any], settings: DispatchSettings) -> None:
    if slot["state"] == "released" or slot["order_state"] not in ("waiting", "offered"):
        raise SlotTaken("this window is not free any more; please choose another")
    if slot["now"] >= min(slot["hold_until"], slot["starts_at"]):
        raise SlotTaken("this offer has run out; please choose another window")
    if slot["state"] == "offered" and await _left_to_choose(connection, slot, settings) < 1:
        raise SlotTaken("this day is full; please choose another window")


async def _left_to_choose(connection: Connection, slot: dict[str, Any], settings: DispatchSettings) -> int:
    """How many windows of the engineer's day may still go by choice."""
    row = await (await connection.execute(SQL["engineer"], {"engineer": slot["engineer"]})).fetchone()
    if row is None:
        return 0
    zone = ZoneInfo(row[0])
    start, end = day_of(slot["starts_at"], zone)
    whole = Horizon(start, end, timedelta(minutes=settings.window_minutes))
    of_day = len(free_slots(slot["engineer"], zone, working_hours(row[1]), (), whole))
    cursor = await connection.execute(SQL["chosen_on_day"], {"engineer": slot["engineer"], "start": start, "end": end})
    chosen = (await cursor.fetchone() or (0,))[0]
    return choosable(of_day, chosen, settings.chooser_share)


async def _book(connection: Connection, which: dict[str, Any]) -> None:
    try:
        async with connection.transaction():
            row = await (await connection.execute(SQL["book_slot"], which)).fetchone()
    except errors.ExclusionViolation:
        row = None
    if row is None:
        raise SlotTaken("this window has just been taken; please choose another")
