"""`kill -9` in mid-stream, at random moments: every frame that a spool accepted is stored exactly once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cloud.db.migrate import migrate
from cloud.engines.nats import NatsServer
from cloud.engines.postgres import PostgresServer
from device_sim.transport.report import report
from tests.chain.programs import Chain, holes, stored_frames, wait_for
from tests.support.mosquitto import Mosquitto

pytestmark = pytest.mark.kill
KILLS = 3


@pytest.fixture
def chain(tmp_path: Path, own_postgres: PostgresServer, request: pytest.FixtureRequest) -> Iterator[Chain]:
    """A chain that runs on the broker that the test asks for (`indirect`)."""
    with psycopg.connect(own_postgres.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE chain")
    url = own_postgres.url("chain")
    asyncio.run(migrate(url))
    broker: NatsServer | Mosquitto = request.getfixturevalue(request.param)
    made = Chain(tmp_path, own_postgres, broker, url)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def kill_and_count(chain: Chain, victims: list[str], seed: int) -> None:
    """Kill the victims in turn at moments drawn from `seed`, let the fleet finish, and compare the books."""
    chance = random.Random(seed)
    wait_for(lambda: stored_frames(chain.database_url) > 0, 60)
    for victim in victims:
        time.sleep(chance.uniform(0.5, 3.0))
        chain.kill(victim)
    chain.finish(120)
    wait_for(lambda: report(chain.folder, chain.database_url).frames.waiting == 0, 30)
    counted = report(chain.folder, chain.database_url)
    assert counted.frames.accepted > 1000
    assert counted.faults.accepted > 0
    for fate in (counted.frames, counted.faults):
        assert (fate.lost, fate.twice, fate.dropped, fate.dead, fate.waiting) == (0, 0, 0, 0, 0)
        assert fate.committed == fate.accepted
    assert holes(chain.database_url) == {}


@pytest.mark.parametrize("chain", ["nats"], indirect=True)
@pytest.mark.parametrize("victim", ["agent", "broker", "ingest", "postgres"])
def test_one_part_killed_again_and_again(chain: Chain, victim: str) -> None:
    kill_and_count(chain, [victim] * KILLS, seed=11)


@pytest.mark.parametrize("chain", [pytest.param("mosquitto", marks=pytest.mark.mosquitto)], indirect=True)
def test_each_part_killed_in_turn_on_mosquitto(chain: Chain) -> None:
    kill_and_count(chain, ["ingest", "broker", "agent", "postgres", "broker", "ingest"], seed=12)
