"""Who has which device, and which product a device is in: the registry's operations and questions.

Every operation names the time from which it holds (`at`, `since`: valid time) and, for a replay or a test, the time
at which it became known (`known_at`; None: now). Each is one statement, hence one transaction of its own unless the
caller opened one. Devices are named by their code; times are aware datetimes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from cloud.db import queries
from cloud.registry.errors import NotSo, UnknownDevice, typed_errors
from cloud.registry.gs1 import ProductCode
from cloud.registry.people import Connection
from protocols.identifiers import identifier, partition

_SQL = queries.load("registry")


@dataclass(frozen=True, slots=True)
class Binding:
    """A user has a device from `since` until `until` (None: still), as held now."""

    binding_no: int
    device: str
    user_id: str
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class ProductCard:
    """A unit and what its GTIN leads to; the latter is None while the catalogue does not know the GTIN."""

    gtin: str
    serial: str
    produced_on: Any
    lot: str | None
    model: str | None
    model_name: str | None
    family: str | None
    family_name: dict[str, str] | None
    price_band: str | None
    warranty_months: int | None


@dataclass(frozen=True, slots=True)
class FourCodes:
    """The join's answer for one fault of one device at one moment."""

    user_id: str | None
    binding_no: int | None
    gtin: str | None
    serial: str | None
    model: str | None
    definition_no: int | None
    missing: list[str]

    @property
    def complete(self) -> bool:
        """Whether all four codes were found."""
        return not self.missing


async def register_device(connection: Connection, device: str, person: str, gateway: str | None = None) -> int:
    """Make the registry know a device (and, with `gateway`, behind which gateway); returns its number. Idempotent."""
    identifier(device, "device")
    async with connection.transaction():
        if gateway is not None:
            await connection.execute(
                _SQL["put_gateway"],
                {"gateway": identifier(gateway, "gateway"), "partition": partition(gateway)},
            )
        cursor = await connection.execute(_SQL["put_device"], {"device": device, "gateway": gateway, "person": person})
        row = await cursor.fetchone()
    if row is None:
        raise UnknownDevice(f"device {device} could not be registered")
    return int(row[0])


async def register_product(connection: Connection, code: ProductCode) -> None:
    """Make the registry know a unit; a date or lot given now completes what was there."""
    await connection.execute(
        _SQL["put_product"],
        {"gtin": code.gtin, "serial": code.serial, "produced_on": code.produced_on, "lot": code.lot},
    )


async def fit(
    connection: Connection,
    device: str,
    code: ProductCode,
    person: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    known_at: datetime | None = None,
) -> int:
    """The device is in this product from `since` (None: since it was made); replaces what was held. Fitting number.

    Raises:
        UnknownDevice, UnknownProduct, AlreadyTaken (the product holds another device then), KnownTimeGoesBack.
    """
    number = await device_no(connection, device)
    row = await _operate(
        connection,
        "fit",
        {
            "device_no": number,
            "gtin": code.gtin,
            "serial": code.serial,
            "since": since,
            "until": until,
            "known_at": known_at,
            "person": person,
        },
    )
    return int(row)


async def unfit(
    connection: Connection,
    device: str,
    person: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    known_at: datetime | None = None,
) -> None:
    """The device is in no product within that time."""
    number = await device_no(connection, device)
    await _operate(
        connection,
        "unfit",
        {"device_no": number, "since": since, "until": until, "known_at": known_at, "person": person},
    )


async def bind(
    connection: Connection,
    device: str,
    user_id: str,
    since: datetime,
    person: str,
    *,
    until: datetime | None = None,
    known_at: datetime | None = None,
) -> int:
    """A user takes a device that nobody has at that time; returns the binding's number.

    Raises:
        UnknownDevice, UnknownUser, AlreadyTaken (use `transfer`), KnownTimeGoesBack.
    """
    number = await device_no(connection, device)
    row = await _operate(
        connection,
        "bind",
        {
            "device_no": number,
            "user_id": user_id,
            "since": since,
            "until": until,
            "known_at": known_at,
            "person": person,
        },
    )
    return int(row)


async def transfer(
    connection: Connection,
    device: str,
    to_user: str,
    at: datetime,
    person: str,
    *,
    known_at: datetime | None = None,
) -> int:
    """The device goes from whoever has it at `at` to another user (resale); returns the new binding's number.

    Raises:
        UnknownDevice, UnknownUser, NotSo (nobody has it then: use `bind`), AlreadyTaken, KnownTimeGoesBack.
    """
    number = await device_no(connection, device)
    row = await _operate(
        connection,
        "transfer",
        {"device_no": number, "user_id": to_user, "at": at, "known_at": known_at, "person": person},
    )
    return int(row)


async def correct(
    connection: Connection,
    binding_no: int,
    person: str,
    *,
    user_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    open_end: bool = False,
    known_at: datetime | None = None,
) -> int:
    """What was recorded of a binding was wrong; None keeps what is held, `open_end` says that it still holds.

    What was held before stays readable as of its known time. Returns the number of the corrected binding.

    Raises:
        NotSo (no such binding, or superseded), AlreadyTaken (overlaps another: correct that first), UnknownUser,
        KnownTimeGoesBack.
    """
    row = await _operate(
        connection,
        "correct",
        {
            "binding_no": binding_no,
            "user_id": user_id,
            "since": since,
            "until": until,
            "open_end": open_end,
            "known_at": known_at,
            "person": person,
        },
    )
    return int(row)


async def revoke(
    connection: Connection,
    device: str,
    user_id: str,
    at: datetime,
    person: str,
    *,
    known_at: datetime | None = None,
) -> None:
    """The user has the device no longer from `at` on, and nobody takes it.

    Raises:
        UnknownDevice, NotSo (this user does not have it then), KnownTimeGoesBack.
    """
    number = await device_no(connection, device)
    await _operate(
        connection,
        "revoke",
        {"device_no": number, "user_id": user_id, "at": at, "known_at": known_at, "person": person},
    )


async def device_no(connection: Connection, device: str) -> int:
    """The number of a registered device. UnknownDevice if the registry does not know it."""
    cursor = await connection.execute(_SQL["device_no"], {"device": device})
    row = await cursor.fetchone()
    if row is None:
        raise UnknownDevice(f"device {device} is not registered")
    return int(row[0])


async def owner(connection: Connection, device: str, at: datetime | None = None) -> Binding | None:
    """Who has the device at `at` (None: now), as known now."""
    async with connection.cursor(row_factory=class_row(Binding)) as cursor:
        await cursor.execute(_SQL["owner"], {"device": device, "at": at})
        return await cursor.fetchone()


async def bindings(connection: Connection, device: str) -> list[Binding]:
    """Past and present bindings of a device as held now, newest first."""
    async with connection.cursor(row_factory=class_row(Binding)) as cursor:
        await cursor.execute(_SQL["bindings_of_device"], {"device": device})
        return await cursor.fetchall()


async def devices_of(connection: Connection, user_id: str) -> list[Binding]:
    """What a user has now."""
    async with connection.cursor(row_factory=class_row(Binding)) as cursor:
        await cursor.execute(_SQL["devices_of_user"], {"user_id": user_id})
        return await cursor.fetchall()


async def product_of(connection: Connection, device: str, at: datetime | None = None) -> ProductCard | None:
    """The product that a device is in at `at` (None: now), as known now."""
    async with connection.cursor(row_factory=class_row(ProductCard)) as cursor:
        await cursor.execute(_SQL["product_of_device"], {"device": device, "at": at})
        return await cursor.fetchone()


async def product(connection: Connection, gtin: str, serial: str) -> ProductCard | None:
    """One unit by its product code."""
    async with connection.cursor(row_factory=class_row(ProductCard)) as cursor:
        await cursor.execute(_SQL["product"], {"gtin": gtin, "serial": serial})
        return await cursor.fetchone()


async def device_in(connection: Connection, gtin: str, serial: str, at: datetime | None = None) -> str | None:
    """The device that is in a product at `at` (None: now): where a scanned code leads."""
    cursor = await connection.execute(_SQL["device_in_product"], {"gtin": gtin, "serial": serial, "at": at})
    row = await cursor.fetchone()
    return None if row is None else str(row[0])


async def four_codes(
    connection: Connection,
    device: str,
    at: datetime,
    problem: str,
    *,
    reported: bool = True,
    known_at: datetime | None = None,
) -> FourCodes:
    """The join for one device and moment, as known at `known_at` (None: as known now)."""
    async with connection.cursor(row_factory=class_row(FourCodes)) as cursor:
        await cursor.execute(
            _SQL["four_codes"],
            {"device": device, "at": at, "problem": problem, "reported": reported, "known_at": known_at},
        )
        found = await cursor.fetchone()
    if found is None:
        raise UnknownDevice(f"device {device} was never seen")
    return found


async def _operate(connection: Connection, name: str, parameters: dict[str, Any]) -> Any:
    with typed_errors():
        async with connection.transaction():
            cursor = await connection.execute(_SQL[name], parameters)
            row = await cursor.fetchone()
    if row is None:
        raise NotSo(f"{name}: the database gave no answer")
    return row[0]
