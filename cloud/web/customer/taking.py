"""Registering an appliance, and handing it on: always in the registry's own words, by its operations."""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from cloud.desk.outreach.secrets import CODE_LENGTH, normal_code, written
from cloud.registry import ownership
from cloud.registry.errors import AlreadyTaken, NotSo
from cloud.registry.people import Connection
from cloud.web.customer.products import Standing, standing
from cloud.web.customer.reception import SQL, Reception

PERSON = "customer"
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # as check codes: normal_code reads look-alikes kindly


class Outcome(StrEnum):
    """What became of taking an appliance."""

    DONE = "registered"
    ALREADY_MINE = "already_yours"
    TAKEN = "taken"
    NOT_CONNECTED = "not_connected"
    WRONG_CODE = "wrong_transfer_code"


async def take(
    reception: Reception, connection: Connection, account: str, gtin: str, serial: str, *, code: str = "",
    bought_on: date | None = None,
) -> Outcome:  # fmt: skip
    """An account takes a unit: one that nobody has, or with the owner's transfer code one that somebody has.

    Raises:
        TooOften: this account, or anybody for this unit, tried too often.
    """
    await reception.count(connection, f"take {account}", reception.settings.takings)
    await reception.count(connection, f"take-unit {gtin} {serial}", reception.settings.takings * 3)
    async with connection.transaction():
        found = await standing(connection, gtin, serial, account)
        if found.device is None or found.device_no is None:
            return Outcome.NOT_CONNECTED
        await connection.execute(SQL["lock_device"], {"device_no": found.device_no})
        found = await standing(connection, gtin, serial, account)
        if found.mine:
            return Outcome.ALREADY_MINE
        if found.taken:
            return await _take_over(reception, connection, account, found, code)
        try:
            await ownership.bind(connection, found.device or "", account, await _now(connection), PERSON)
        except AlreadyTaken:
            return Outcome.TAKEN
        begins = {"gtin": gtin, "serial": serial, "starts_on": bought_on or datetime.now(UTC).date()}
        await connection.execute(SQL["begin_warranty"], begins)
    return Outcome.DONE


async def hand_on(reception: Reception, connection: Connection, account: str, device: str, device_no: int) -> str:
    """A fresh transfer code for the owner to give to whoever takes the appliance; the one before is void."""
    code = "".join(secrets.choice(_LETTERS) for _ in range(CODE_LENGTH))
    async with connection.transaction():
        await connection.execute(SQL["lock_device"], {"device_no": device_no})
        owner = await ownership.owner(connection, device)
        kept = {
            "device_no": device_no,
            "from_user": owner.user_id if owner else account,
            "code_hash": reception.parts.key.code_hash(f"handover {device_no} {code}"),
            "valid_for": timedelta(days=reception.settings.handover_days),
        }
        await connection.execute(SQL["withdraw_handover"], {"device_no": device_no})
        await connection.execute(SQL["put_handover"], kept)
    return written(code)


async def give_up(connection: Connection, device: str, device_no: int) -> None:
    """The owner has it no longer, and nobody takes it."""
    async with connection.transaction():
        await connection.execute(SQL["lock_device"], {"device_no": device_no})
        owner = await ownership.owner(connection, device)
        if owner is None:
            return
        await connection.execute(SQL["withdraw_handover"], {"device_no": device_no})
        await ownership.revoke(connection, device, owner.user_id, await _now(connection), PERSON)


async def _take_over(reception: Reception, connection: Connection, account: str, found: Standing, code: str) -> Outcome:
    if not code:
        return Outcome.TAKEN
    digest = reception.parts.key.code_hash(f"handover {found.device_no} {normal_code(code)}")
    used = await connection.execute(
        SQL["use_handover"], {"device_no": found.device_no, "code_hash": digest, "account": account}
    )
    if used.rowcount != 1:
        return Outcome.WRONG_CODE
    try:
        await ownership.transfer(connection, found.device or "", account, await _now(connection), PERSON)
    except (AlreadyTaken, NotSo):
        return Outcome.TAKEN
    return Outcome.DONE


async def _now(connection: Connection) -> datetime:
    """The database's clock, which judges who has what now."""
    row = await (await connection.execute("SELECT clock_timestamp()")).fetchone()
    return datetime.now(UTC) if row is None else row[0]
