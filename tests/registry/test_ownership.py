"""Who has what: each operation, what it refuses, what stays readable of earlier knowledge, what constraints hold."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from cloud.registry import ownership, people
from cloud.registry.errors import (
    AlreadyTaken,
    KnownTimeGoesBack,
    NotSo,
    RegistryError,
    UnknownDevice,
    UnknownProduct,
    UnknownUser,
)
from cloud.registry.gs1 import ProductCode

from .conftest import Connection

UNIT = ProductCode("09520000900014", "S1", lot="L7")


def day(number: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)


@pytest.fixture
async def registry(connection: Connection) -> Connection:
    """Users ann, bo and cy; device chip in product UNIT; nobody has it."""
    for name in ("ann", "bo", "cy"):
        await people.add_user(connection, name)
    await ownership.register_device(connection, "chip", "test", gateway="gw1")
    await ownership.register_product(connection, UNIT)
    await ownership.fit(connection, "chip", UNIT, "test")
    return connection


async def _owner(registry: Connection, at: float) -> str | None:
    held = await ownership.owner(registry, "chip", day(at))
    return held and held.user_id


async def test_a_resale(registry: Connection) -> None:
    await ownership.bind(registry, "chip", "ann", day(0), "test")
    await ownership.transfer(registry, "chip", "bo", day(10), "test")
    assert [await _owner(registry, at) for at in (-1, 0, 9.9, 10, 99)] == [None, "ann", "ann", "bo", "bo"]
    assert [b.device for b in await ownership.devices_of(registry, "bo")] == ["chip"]
    assert await ownership.devices_of(registry, "ann") == []


async def test_what_was_known_before_a_correction_is_still_there(registry: Connection) -> None:
    number = await ownership.bind(registry, "chip", "ann", day(5), "test", known_at=day(6))
    await ownership.correct(registry, number, "test", since=day(2), until=day(8), known_at=day(20))
    now, then = [
        [(await ownership.four_codes(registry, "chip", day(at), "5E", known_at=known)).user_id for at in (1, 3, 6, 9)]
        for known in (None, day(19))
    ]
    assert now == [None, "ann", "ann", None]
    assert then == [None, None, "ann", "ann"]
    with pytest.raises(NotSo, match="superseded"):
        await ownership.correct(registry, number, "test", user_id="bo")


async def test_a_revoked_device_is_nobodys_and_can_be_bound_again(registry: Connection) -> None:
    await ownership.bind(registry, "chip", "ann", day(0), "test")
    await ownership.revoke(registry, "chip", "ann", day(5), "test")
    await ownership.bind(registry, "chip", "bo", day(7), "test")
    assert [await _owner(registry, at) for at in (4, 6, 8)] == ["ann", None, "bo"]


async def test_what_is_refused_and_how(registry: Connection) -> None:
    await ownership.bind(registry, "chip", "ann", day(0), "test", until=day(10), known_at=day(1))
    refused: list[tuple[type[RegistryError], object]] = [
        (AlreadyTaken, ownership.bind(registry, "chip", "bo", day(9), "test")),
        (AlreadyTaken, ownership.transfer(registry, "chip", "ann", day(5), "test")),
        (NotSo, ownership.transfer(registry, "chip", "bo", day(11), "test")),
        (NotSo, ownership.revoke(registry, "chip", "bo", day(5), "test")),
        (NotSo, ownership.bind(registry, "chip", "bo", day(12), "test", until=day(12))),
        (NotSo, ownership.correct(registry, 999, "test")),
        (KnownTimeGoesBack, ownership.transfer(registry, "chip", "bo", day(5), "test", known_at=day(0.5))),
        (UnknownDevice, ownership.bind(registry, "other", "ann", day(0), "test")),
        (UnknownUser, ownership.bind(registry, "chip", "nobody", day(20), "test")),
        (UnknownProduct, ownership.fit(registry, "chip", ProductCode("09520000900014", "S2"), "test")),
    ]
    for kind, operation in refused:
        with pytest.raises(kind):
            await operation  # type: ignore[misc]
    assert [await _owner(registry, at) for at in (5, 11)] == ["ann", None], "a refusal changes nothing"


async def test_a_scanned_product_leads_to_its_device_and_model(registry: Connection) -> None:
    await registry.execute("INSERT INTO appliance_family VALUES ('washer', '{\"en\": \"Washer\"}')")
    await registry.execute("INSERT INTO model VALUES ('WM-90', 'washer', 'Washer 9 kg', 'middle', 12)")
    await registry.execute("INSERT INTO trade_item VALUES (%s, 'WM-90')", [UNIT.gtin])
    assert await ownership.device_in(registry, UNIT.gtin, UNIT.serial) == "chip"
    card = await ownership.product_of(registry, "chip")
    assert card is not None
    assert (card.model, card.family, card.lot, card.warranty_months) == ("WM-90", "washer", "L7", 12)


async def test_a_board_that_is_swapped_moves_the_product_to_another_device(registry: Connection) -> None:
    await ownership.register_device(registry, "spare", "test")
    with pytest.raises(AlreadyTaken, match="holds device"):
        await ownership.fit(registry, "spare", UNIT, "test", since=day(5))
    await ownership.unfit(registry, "chip", "test", since=day(5))
    await ownership.fit(registry, "spare", UNIT, "test", since=day(5))
    assert await ownership.device_in(registry, UNIT.gtin, UNIT.serial, day(4)) == "chip"
    assert await ownership.device_in(registry, UNIT.gtin, UNIT.serial, day(6)) == "spare"


async def test_the_constraint_itself_refuses_two_owners(registry: Connection) -> None:
    await ownership.bind(registry, "chip", "ann", day(0), "test")
    with pytest.raises(psycopg.errors.ExclusionViolation):
        await registry.execute(
            "INSERT INTO binding (device_no, user_id, valid, known, recorded_by) "
            "SELECT device_no, 'bo', '[2026-01-05,)', '[2026-01-05,)', 'x' FROM binding"
        )


async def test_of_many_who_bind_at_once_one_succeeds(registry: Connection, migrated_url: str) -> None:
    async def attempt(user: str) -> str:
        async with await psycopg.AsyncConnection.connect(migrated_url, autocommit=True) as own:
            try:
                await ownership.bind(own, "chip", user, day(0), "test")
            except AlreadyTaken:
                return "taken"
            return user

    results = await asyncio.gather(*(attempt(user) for user in ("ann", "bo", "cy") * 4))
    assert results.count("taken") == 11
    assert await _owner(registry, 1) in results
