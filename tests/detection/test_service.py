"""The detector's service on a real database: tail, predictions, restart, and a replay that decides the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import psycopg
import pytest
from psycopg import AsyncConnection
from pydantic import SecretStr

from cloud.db.settings import DatabaseSettings
from cloud.detection import checkpoint
from cloud.detection.replay import ReplayResult, replay
from cloud.detection.service import Detector, DetectSettings, run
from cloud.detection.store import stored_decisions, write_checkpoint
from tests.detection.stored import Store
from tests.support.databases import until_settled

START = 1_750_000_000.0
MINUTE = 60.0
PER_FRAME = 30
SETTINGS = DetectSettings(lateness_s=7200)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    store = Store(database)
    yield store
    store.close()


def history(store: Store, *, frames: int = 60, seed: int = 1) -> list[list[tuple[str, float, np.ndarray]]]:
    """Batches of three devices' frames; the third leaves its normal for good two thirds of the way."""
    chance = np.random.default_rng(seed)
    batches = []
    for place in range(frames):
        batch = []
        for device in ("d1", "d2", "d3"):
            values = chance.normal([100.0, 40.0, 900.0], [2.0, 0.5, 10.0], (PER_FRAME, 3))
            if device == "d3" and place > 2 * frames // 3:
                values += [80.0, 20.0, -300.0]
            batch.append((device, START + place * PER_FRAME * MINUTE, values))
        chance.shuffle(batch)
        batches.append(batch)
    return batches


async def connect(url: str) -> AsyncConnection[tuple[object, ...]]:
    return await AsyncConnection.connect(url, autocommit=True, options="-c timezone=UTC")


async def drain(detector: Detector, connection: AsyncConnection[tuple[object, ...]]) -> None:
    await until_settled(connection)
    while await detector.step(connection):
        pass


async def replayed(url: str, settings: DetectSettings = SETTINGS) -> ReplayResult:
    async with await connect(url) as connection:
        return await replay(connection, settings)


async def test_a_drifting_device_is_predicted_and_a_replay_decides_the_same(database: str, store: Store) -> None:
    batches = history(store)
    for place, batch in enumerate(batches):
        store.commit(batch, [("d3", START + place * 1800.0, "E7")] if place == 45 else [])
        if place == 50:
            store.finding("d3", START + place * 1800.0, "E7")
    async with await connect(database) as connection:
        detector = await Detector.resume(connection, SETTINGS)
        await drain(detector, connection)
        decided = await stored_decisions(connection, SETTINGS.detector)
    assert {device for device, *_ in decided} == {"d3"}
    assert detector.counters.lessons == 1
    again = await replayed(database)
    assert again.samples == detector.counters.samples
    assert again.same, (again.decisions, again.live)


async def test_order_of_arrival_and_restarts_change_nothing(database: str, store: Store) -> None:
    batches = history(store)
    late_first = [batch for pair in zip(batches[1::2], batches[::2], strict=True) for batch in pair]
    for place, batch in enumerate(late_first):
        store.commit(batch)
        async with await connect(database) as connection:
            if place % 7 == 0:  # a new process: from the last checkpoint, or from the beginning
                detector = await Detector.resume(connection, SETTINGS)
            await drain(detector, connection)
            if place % 11 == 0:
                await write_checkpoint(connection, SETTINGS.detector, detector.pipeline, detector.cursor)
    again = await replayed(database)
    assert again.live
    assert again.same


async def test_a_checkpoint_of_another_version_is_put_aside_and_all_is_judged_anew(
    database: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for batch in history(store):
        store.commit(batch)
    async with await connect(database) as connection:
        detector = await Detector.resume(connection, SETTINGS)
        await drain(detector, connection)
        await write_checkpoint(connection, SETTINGS.detector, detector.pipeline, detector.cursor)
        assert (await Detector.resume(connection, SETTINGS)).cursor == detector.cursor
        monkeypatch.setattr(checkpoint, "VERSION", checkpoint.VERSION + 1)
        anew = await Detector.resume(connection, SETTINGS)
        await drain(anew, connection)
    assert anew.counters.samples == detector.counters.samples > 0
    again = await replayed(database)
    assert again.live
    assert again.same


async def test_what_is_later_than_the_bound_is_counted_and_taken_up_by_a_replay(database: str, store: Store) -> None:
    batches = history(store, frames=20)
    for batch in batches[1:]:
        store.commit(batch)
    async with await connect(database) as connection:
        detector = await Detector.resume(connection, SETTINGS)
        await drain(detector, connection)
        before = detector.counters.samples
        store.commit(batches[0])
        await drain(detector, connection)
    assert detector.counters.samples == before
    assert detector.counters.late_samples == 3 * PER_FRAME
    assert (await replayed(database)).samples > before


async def test_the_program_follows_commits_keeps_health_and_stops_when_asked(database: str, store: Store) -> None:
    batches = history(store, frames=12)
    stop = asyncio.Event()
    settings = DetectSettings(lateness_s=0, poll_s=0.05)
    program = asyncio.create_task(run(settings, DatabaseSettings(url=SecretStr(database)), stop))
    for batch in batches:
        await asyncio.to_thread(store.commit, batch)

    def judged() -> int:
        row = store.connection.execute("SELECT count(*) FROM device_health").fetchone()
        return int(row[0]) if row else 0

    async with asyncio.timeout(20):
        while await asyncio.to_thread(judged) < 3:  # noqa: ASYNC110 - another program writes it
            await asyncio.sleep(0.02)
    stop.set()
    await program
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT counters->>'samples' FROM program_health WHERE program = 'detect'").fetchone()
        assert row is not None
        assert int(row[0]) > 0
        assert connection.execute("SELECT chunks FROM detector_checkpoint").fetchone() == (1,)
