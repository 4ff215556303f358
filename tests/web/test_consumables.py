"""How long a consumable lasts: from the slope since the last refill; and what a device page says of it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from cloud.db.pool import open_pool
from cloud.db.settings import DatabaseSettings
from cloud.web.reads import consumables, devices
from cloud.web.reads.consumables import STEP, Level, lasts
from tests.web.fleet import Fleet, measured, readings
from tests.web.test_api import Connection

NOW = datetime(2026, 3, 4, tzinfo=UTC)


def _levels(*shares: float) -> list[Level]:
    return [Level(NOW + n * STEP, share) for n, share in enumerate(shares)]


@given(st.floats(0.01, 0.1), st.floats(0.1, 1.0), st.integers(5, 60), st.integers(0, 2**32))
def test_a_steady_use_is_seen_through_noise(a_day: float, start: float, steps: int, seed: int) -> None:
    rng = random.Random(seed)
    noisy = [start - a_day * n / 2 + rng.uniform(-0.001, 0.001) for n in range(steps)]
    days = lasts(_levels(*noisy))
    assert days is not None
    assert days == pytest.approx(max(0.0, noisy[-1]) / a_day, rel=0.25, abs=0.1)


def test_only_what_was_used_since_the_last_refill_counts() -> None:
    fast = [0.9 - 0.1 * n for n in range(8)]
    slow = [1.0 - 0.01 * n for n in range(6)]
    assert lasts(_levels(*fast, *slow)) == pytest.approx(0.95 / 0.02)
    assert lasts(_levels(*fast, *slow[:3])) is None, "too little was seen since"


def test_what_is_not_used_is_not_reckoned() -> None:
    assert lasts(_levels(*[0.5] * 20)) is None
    assert lasts(_levels(*[0.5 + 0.001 * n for n in range(20)])) is None
    assert lasts([]) is None
    assert lasts(_levels(0.3, 0.2, 0.1, 0.0, -0.1, -0.2)) == 0.0, "used up, and not for less than nothing"


async def test_a_device_tells_what_its_model_declares_and_nothing_else(
    connection: Connection, fleet: Fleet, fleet_url: str
) -> None:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    salt = measured("%", lambda hours, _rng: 30 - hours * 0.25)  # 6 % a day
    number = fleet.devices["washer-0043"]
    await connection.execute("DELETE FROM channel_set WHERE device_no = %s", [number])
    await connection.execute("DELETE FROM channel_rollup WHERE device_no = %s", [number])
    await connection.execute("DELETE FROM frame WHERE device_no = %s", [number])
    await readings(connection, number, {"salt": salt}, now, 96, 1)
    async with open_pool(DatabaseSettings(url=fleet_url), "test") as pool:
        until = now + timedelta(hours=1)
        assert await consumables.read(pool, number, "WM-8014", until) == []
        await connection.execute(
            "INSERT INTO consumable VALUES ('WM-8014', 'salt', %s, 100, 10), ('WM-8014', 'rinse', %s, 100, 0)",
            [Jsonb({"en": "Salt"}), Jsonb({"en": "Rinse aid"})],
        )
        (found,) = await consumables.read(pool, number, "WM-8014", until)
        device = await devices.get(pool, "washer-0043")
    assert device is not None
    assert found.name == {"en": "Salt"}
    assert found.left == pytest.approx((30 - 10) / 90, abs=0.03)
    assert found.days == pytest.approx(20 / 6, abs=0.6)
