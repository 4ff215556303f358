"""kill -9 in mid-stream: afterwards every frame that a gateway held is in the database, once."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from cloud.db.migrate import migrate
from cloud.engines.nats import NatsServer
from cloud.engines.nats_config import NatsOptions
from cloud.engines.postgres import PostgresServer
from tests.ingest.brokers import until
from tests.ingest.gateway import TestGateway
from tests.ingest.made import frame
from tests.support.mosquitto import Mosquitto

pytestmark = pytest.mark.kill

REPOSITORY = Path(__file__).resolve().parents[2]
FRAMES, DEVICES, KILLS = 4_000, 8, 4


class IngestProcess:
    """`firstcall ingest` as a child: kill and start it at will."""

    def __init__(self, database_url: str, broker_url: str, log: Path) -> None:
        self._environment = {
            **os.environ,
            "FIRSTCALL_DB_URL": database_url,
            "FIRSTCALL_INGEST_BROKER_URL": broker_url,
            "FIRSTCALL_INGEST_INSTANCE": "kill-test",
            "FIRSTCALL_INGEST_ACK_WAIT_S": "1",
            "FIRSTCALL_INGEST_RETRY_LONGEST_S": "0.5",
            "FIRSTCALL_INGEST_BATCH_MESSAGES": "150",
        }
        self._log = log
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "firstcall", "ingest"], env=self._environment, cwd=REPOSITORY,
                stdout=log, stderr=log,
            )  # fmt: skip

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def check(self) -> None:
        assert self._child is not None
        assert self._child.poll() is None, self._log.read_text()[-3000:]


@asynccontextmanager
async def running(gateway: TestGateway) -> AsyncIterator[None]:
    task = asyncio.create_task(gateway.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(params=["jetstream", "mqtt-on-nats", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def broker(request: pytest.FixtureRequest, start_nats: Callable[[NatsOptions], NatsServer]) -> tuple[object, str]:
    if request.param == "mosquitto":
        server: Mosquitto = request.getfixturevalue("mosquitto")
        return server, f"mqtt://127.0.0.1:{server.mqtt_port}"
    nats = start_nats(NatsOptions(mqtt_ack_wait=1.0))
    return nats, nats.url if request.param == "jetstream" else f"mqtt://127.0.0.1:{nats.mqtt_port}"


@pytest.mark.parametrize("victim", ["ingest", "broker", "postgres"])
async def test_every_frame_is_stored_once(
    victim: str, broker: tuple[NatsServer | Mosquitto, str], own_postgres: PostgresServer, tmp_path: Path
) -> None:
    server, url = broker
    database = own_postgres.url()
    await migrate(database)
    seed = random.SystemRandom().randrange(10_000)
    print("seed", seed)  # the moments of the kills
    random_ = random.Random(seed)
    ingest = IngestProcess(database, url, tmp_path / "ingest.log")
    ingest.start()
    gateway = TestGateway("gw-kill", lambda: server.mqtt_port)
    victims = {"ingest": ingest, "broker": server, "postgres": own_postgres}
    boot, started_ms = int(time.time()), int(time.time() * 1000) - 7_200_000
    try:
        async with running(gateway):
            await until(lambda: gateway.published > 0 or _hold(gateway, boot, 0, started_ms), 30)
            pieces = FRAMES // (KILLS + 1)
            for kill in range(KILLS + 1):
                for number in range(kill * pieces, (kill + 1) * pieces):
                    _hold(gateway, boot, number, started_ms)
                if kill < KILLS:
                    await asyncio.sleep(random_.uniform(0.05, 0.6))
                    await asyncio.to_thread(victims[victim].kill)
                    await asyncio.sleep(random_.uniform(0.0, 0.3))
                    await asyncio.to_thread(victims[victim].start)
            await until(lambda: not gateway.held, 60)
        ingest.check()
    finally:
        ingest.kill()
        print((tmp_path / "ingest.log").read_text()[-2000:])
    with psycopg.connect(database) as connection:
        stored = connection.execute("SELECT device, boot, seq FROM frame JOIN device USING (device_no)").fetchall()
        counted = connection.execute("SELECT sum(frames), count(*) FROM ingest_batch").fetchone()
        dead = connection.execute("SELECT count(*) FROM dead_letter").fetchone()
    assert sorted(stored) == sorted((f"dev-{n % DEVICES}", boot, n // DEVICES) for n in range(FRAMES))
    assert counted is not None
    assert counted[0] == FRAMES
    assert dead == (0,)
    assert not gateway.rejected


def _hold(gateway: TestGateway, boot: int, number: int, started_ms: int) -> bool:
    device, seq = f"dev-{number % DEVICES}", number // DEVICES
    payload = frame(seq, started_ms + seq * 2_000, boot=boot)
    gateway.hold(device, boot, seq, f"fc/1/up/gw-kill/{device}/telemetry", payload)
    return False
