"""The whole ingestor in one process: broker to database, trouble on either side, bad rows among good ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cloud.db.settings import DatabaseSettings
from cloud.ingest.program import Ingestor, run
from cloud.ingest.settings import IngestSettings
from protocols.identifiers import partition
from protocols.messages import Fault
from protocols.topics import Kind, Topic
from tests.ingest.brokers import Side, until
from tests.ingest.conftest import Ask
from tests.ingest.gateway import TestGateway
from tests.ingest.made import frame
from tests.support.faulty_link import FaultyLink


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
def side(nats: Any) -> Side:
    return Side(nats, nats.url)


@asynccontextmanager
async def ingesting(settings: IngestSettings, database: str) -> AsyncIterator[Ingestor]:
    """A running ingestor; ends in order, and passes on what it died of."""
    stopping, ready = asyncio.Event(), asyncio.Event()
    started: list[Ingestor] = []

    def note(ingestor: Ingestor) -> None:
        started.append(ingestor)
        ready.set()

    url = DatabaseSettings(url=database, connect_timeout_s=1)  # type: ignore[arg-type]
    task = asyncio.create_task(run(settings, url, stopping=stopping, ready=note))
    await asyncio.wait({task, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
    if task.done():
        task.result()
    try:
        yield started[0]
    finally:
        stopping.set()
        await asyncio.wait_for(task, 20)


def frames(start: int, stop: int, gateway: str = "gw-1") -> list[tuple[str, bytes]]:
    at = now_ms() - 3_600_000
    return [
        (Topic(gateway, Kind.TELEMETRY, f"d{seq % 3}").build(), frame(seq, at + seq * 1000, boot=77))
        for seq in range(start, stop)
    ]


async def test_from_publish_to_commit_to_receipt(side: Side, database: str, ask: Ask) -> None:
    gateway = TestGateway("gw-1", lambda: side.mqtt_port)
    async with ingesting(side.settings(health_interval_s=0.1), database) as ingestor:
        sending = asyncio.create_task(gateway.run())
        for seq, (topic, payload) in enumerate(frames(0, 300)):
            gateway.hold(topic.split("/")[4], 77, seq, topic, payload)
        await until(lambda: gateway.published >= 300 and not gateway.held)
        sending.cancel()
        assert ingestor.counters.frames_stored == 300
        assert ingestor.counters.receipts_sent >= 1
        await asyncio.sleep(0.3)
        ((counters,),) = await ask("SELECT counters FROM program_health WHERE program = 'ingest'")
    assert counters["frames_stored"] == 300
    assert counters["broker_connected"] is True
    assert await ask("SELECT count(*) FROM frame") == [(300,)]


async def test_a_database_that_goes_away_is_waited_for(
    side: Side, database: str, ask: Ask, faulty_link: Callable[[int], Awaitable[FaultyLink]]
) -> None:
    port = int(database.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
    link = await faulty_link(port)
    async with ingesting(side.settings(max_in_flight=500), database.replace(f":{port}", f":{link.port}")) as ingestor:
        await side.send(frames(0, 100))
        await until(lambda: ingestor.counters.frames_stored == 100)
        await link.stop()
        await side.send(frames(100, 1500))
        await until(lambda: ingestor.counters.retries > 0)
        assert ingestor.counters.last_error
        assert ingestor.counters.messages_received <= 100 + 2 * 500  # bounded: it does not fetch on and on
        await link.start()
        await until(lambda: ingestor.counters.frames_stored == 1500, 30)
    assert await ask("SELECT count(*), count(DISTINCT (device_no, seq)) FROM frame") == [(1500, 1500)]
    assert await ask("SELECT count(*) FROM dead_letter") == [(0,)]


async def test_a_row_that_the_database_refuses_is_filed_alone(side: Side, database: str, ask: Ask) -> None:
    bad = Fault(at=now_ms(), boot=77, seq=5_000, code="E\0", raised=True)
    topic = Topic("gw-1", Kind.FAULT, "d0").build()
    poison = [(topic, bad.encode()), (Topic("gw-1", Kind.TELEMETRY, "d1").build(), b"\xfc\x01")]
    async with ingesting(side.settings(batch_age_s=0.3), database) as ingestor:
        await side.send([*frames(0, 60), *poison, *frames(60, 100)])
        await until(lambda: ingestor.counters.dead_letters == 2)
        await until(lambda: ingestor.counters.frames_stored == 100)
    assert await ask("SELECT reason FROM dead_letter ORDER BY reason") == [("malformed",), ("refused-by-database",)]
    assert await ask("SELECT payload FROM dead_letter WHERE reason = 'refused-by-database'") == [(bad.encode(),)]
    assert await ask("SELECT count(*) FROM frame") == [(100,)]
    assert await ask("SELECT count(*) FROM fault_report") == [(0,)]


async def test_only_its_own_partitions_are_stored(side: Side, database: str, ask: Ask) -> None:
    mine = next(f"g{i}" for i in range(1000) if partition(f"g{i}") == 5)
    other = next(f"g{i}" for i in range(1000) if partition(f"g{i}") != 5)
    async with ingesting(side.settings(partitions="5"), database) as ingestor:
        await side.send([*frames(0, 20, mine), *frames(20, 50, other)])
        await until(lambda: ingestor.counters.frames_stored == 20 and ingestor.counters.other_partitions == 30)
    assert await ask("SELECT gateway, partition FROM gateway") == [(mine, 5)]


async def test_two_ingestors_share_a_durable_consumer(side: Side, database: str, ask: Ask) -> None:
    async with (
        ingesting(side.settings(instance="a"), database) as first,
        ingesting(side.settings(instance="b"), database) as second,
    ):
        await side.send(frames(0, 2000))
        await until(lambda: first.counters.frames_stored + second.counters.frames_stored == 2000)
    assert await ask("SELECT count(*), count(DISTINCT (device_no, seq)) FROM frame") == [(2000, 2000)]


async def test_an_orderly_stop_loses_nothing_and_leaves_the_rest_to_the_next(
    side: Side, database: str, ask: Ask
) -> None:
    settings = side.settings(batch_messages=50)
    async with ingesting(settings, database) as ingestor:
        await side.send(frames(0, 1000))
        await until(lambda: ingestor.counters.frames_stored > 100)
    async with ingesting(settings, database):
        async with asyncio.timeout(20):
            while (await ask("SELECT count(*) FROM frame"))[0][0] < 1000:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    assert await ask("SELECT count(DISTINCT (device_no, seq)) FROM frame") == [(1000,)]
