"""Hourly roll-ups: right whatever the order of arrival, and after retention."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

import pytest

from cloud.db.pool import Pool
from cloud.ingest.hourly import HourlyBook
from cloud.ingest.rollup import roll_up, roll_up_all
from cloud.ingest.settings import IngestSettings
from cloud.ingest.upkeep import keep_house
from cloud.ingest.writer import Writer
from tests.ingest.conftest import Ask, all_settled
from tests.ingest.made import NOW_MS, birth, frame, read, telemetry

NOW_US = NOW_MS * 1000
HOUR_MS = 3_600_000
HOURS = "SELECT channel, hour, low, mean, high, readings FROM rollup_hour ORDER BY hour, channel"
FROM_SAMPLES = """
    SELECT channel, date_trunc('hour', at, 'UTC') AS hour, min(value), avg(value), max(value), count(*)
    FROM sample GROUP BY 1, 2 ORDER BY hour, channel
"""


async def all_rolled_up(pool: Pool, book: HourlyBook | None = None) -> int:
    """Roll up all that has been committed; how many batches that were."""
    await all_settled(pool)
    return await roll_up_all(pool, book)


async def same_as_samples(ask: Ask) -> None:
    rolled, expected = await ask(HOURS), await ask(FROM_SAMPLES)
    assert [row[:3] + row[4:] for row in rolled] == [row[:3] + row[4:] for row in expected]
    assert [row[3] for row in rolled] == pytest.approx([row[3] for row in expected])
    assert rolled


async def test_late_and_repeated_data_count_once(pool: Pool, writer: Writer, ask: Ask) -> None:
    random_ = random.Random(3)
    frames = [
        telemetry(
            frame(
                seq, NOW_MS - 6 * HOUR_MS + seq * 600_000, [random_.gauss(20, 5) for _ in range(20)], period_ms=60_000
            )
        )
        for seq in range(36)
    ]
    random_.shuffle(frames)
    await writer.store(read([birth(), telemetry(frame(99, freeze=True))]), NOW_US)
    for start in range(0, 36, 6):
        await writer.store(read(frames[start : start + 9]), NOW_US)  # overlapping: three come twice
        await all_rolled_up(pool)
    await same_as_samples(ask)
    assert await roll_up(pool) == 0


async def test_hours_with_no_readings_make_no_row(pool: Pool, writer: Writer, ask: Ask) -> None:
    await writer.store(read([birth(), telemetry(frame(1, readings=[math.nan, 1.0]))]), NOW_US)
    await all_rolled_up(pool)
    assert [row[0] for row in await ask(HOURS)] == ["power"]


async def test_a_set_declared_afterwards_names_what_was_rolled_up(pool: Pool, writer: Writer, ask: Ask) -> None:
    await writer.store(read([telemetry(frame(1))]), NOW_US)
    await all_rolled_up(pool)
    assert [row[0] for row in await ask(HOURS)] == ["#1", "#2"]
    await writer.store(read([birth()]), NOW_US)
    assert [row[0] for row in await ask(HOURS)] == ["cabinet_temp", "power"]


async def test_a_channel_of_two_sets_is_one_row(pool: Pool, writer: Writer, ask: Ask) -> None:
    at = NOW_MS - HOUR_MS
    json = b'{"v":1,"at":%d,"values":{"power":[100, 200]}}' % at
    await writer.store(read([birth(), telemetry(frame(1, at, [1.0, 50.0])), telemetry(json)]), NOW_US)
    await all_rolled_up(pool)
    rows = {row[0]: row[2:] for row in await ask(HOURS)}
    assert rows["power"] == (50.0, pytest.approx(350 / 3), 200.0, 3)


async def test_roll_ups_outlive_their_frames_and_take_late_ones(pool: Pool, writer: Writer, ask: Ask) -> None:
    old = int(datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp() * 1000)
    await writer.store(read([birth(), telemetry(frame(1, old, [1.0, 2.0]))]), NOW_US)
    settings = IngestSettings(retention_days=30)
    assert await keep_house(pool, settings) == 1
    assert await ask("SELECT count(*) FROM frame") == [(0,)]
    await writer.store(read([telemetry(frame(2, old + 1000, [3.0, 4.0]))]), NOW_US)
    await keep_house(pool, settings)
    assert await ask("SELECT count(*) FROM frame") == [(0,)]
    assert [row[2:] for row in await ask(HOURS)] == [(1.0, 2.0, 3.0, 2), (2.0, 3.0, 4.0, 2)]


async def test_compression_is_left_alone_where_the_licence_lacks_it(pool: Pool, writer: Writer, ask: Ask) -> None:
    await writer.store(read([telemetry(frame(1, NOW_MS - 400 * 86_400_000))]), NOW_US)
    await keep_house(pool, IngestSettings(compress_after_days=7))
    assert await ask("SELECT count(*) FROM frame") == [(1,)]


async def test_summed_up_while_storing_as_from_the_frames(pool: Pool, ask: Ask) -> None:
    """The ingestor's own sums, another ingestor's batches and a redelivery: the same as computed from samples."""
    random_ = random.Random(5)
    book = HourlyBook()
    ours, another = Writer(pool, book), Writer(pool)
    frames = [
        telemetry(
            frame(
                seq,
                NOW_MS - 5 * HOUR_MS + seq * 500_000,
                [random_.choice([math.nan, random_.gauss(0, 9)]) for _ in range(2 * random_.randint(1, 12))],
                period_ms=random_.choice([1000, 300_000]),
                freeze=seq % 9 == 0,
            ),
            f"dev-{seq % 3}",
        )
        for seq in range(60)
    ]
    await another.store(read(frames[:10]), NOW_US)
    await ours.store(read(frames[10:30]), NOW_US)
    await ours.store(read(frames[25:40]), NOW_US)
    assert await all_rolled_up(pool, book) == 3
    await ours.store(read(frames[40:55]), NOW_US)
    await another.store(read(frames[55:]), NOW_US)
    assert await all_rolled_up(pool) == 2  # another process was faster
    assert await all_rolled_up(pool, book) == 0
    await ours.store(read([telemetry(frame(99, NOW_MS - HOUR_MS))]), NOW_US)
    assert await all_rolled_up(pool, book) == 1
    rolled = await ask("SELECT device_no, channel, hour, low, mean, high, readings FROM rollup_hour ORDER BY 1, 2, 3")
    expected = await ask(
        "SELECT device_no, channel, date_trunc('hour', at, 'UTC') AS hour, min(value), avg(value), max(value), count(*)"
        " FROM sample GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    assert [row[:4] + row[5:] for row in rolled] == [row[:4] + row[5:] for row in expected]
    assert [row[4] for row in rolled] == pytest.approx([row[4] for row in expected], abs=1e-5)
    assert len(rolled) > 30


async def test_batches_behind_a_transaction_that_still_runs_wait(pool: Pool, ask: Ask) -> None:
    book = HourlyBook()
    ours = Writer(pool, book)
    async with pool.connection() as slow, slow.transaction():
        await slow.execute("SELECT pg_current_xact_id()")
        await ours.store(read([telemetry(frame(1))]), NOW_US)
        assert await roll_up(pool, book) == 0
        await ours.store(read([telemetry(frame(2))]), NOW_US)
    assert await all_rolled_up(pool, book) == 2
    assert [row[5] for row in await ask(HOURS)] == [4, 4]
