"""Simulated and recorded appliances through real agents, broker, ingest and database; then the report."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from cloud.db.settings import DatabaseSettings
from cloud.engines.nats import NatsServer
from cloud.ingest.program import run as run_ingest
from cloud.ingest.settings import IngestSettings
from device_sim.cli import app
from device_sim.failure.life import Span
from device_sim.fleet.demo import demo_fleet
from device_sim.transport.fleet_run import Fleet, FleetSettings
from device_sim.transport.load import LoadSettings, press
from device_sim.transport.recordings import load
from device_sim.transport.replay import ReplaySettings, replay
from device_sim.transport.report import report
from tests.sim.test_recordings import machines
from tests.sim.worlds import DAY, START
from tests.support.faulty_link import FaultyLink

__all__ = ["machines"]


@asynccontextmanager
async def ingesting(broker_url: str, database: str) -> AsyncIterator[None]:
    """A real ingestor in this process."""
    stopping, ready = asyncio.Event(), asyncio.Event()
    settings = IngestSettings(broker_url=broker_url, batch_age_s=0.05)  # type: ignore[arg-type]
    task = asyncio.create_task(
        run_ingest(
            settings,
            DatabaseSettings(url=database),  # type: ignore[arg-type]
            stopping=stopping,
            ready=lambda _: ready.set(),
        )
    )
    try:
        async with asyncio.timeout(20):
            await ready.wait()
        yield
    finally:
        stopping.set()
        await task


def _settings(nats: NatsServer, folder: Path, **more: object) -> FleetSettings:
    return FleetSettings(f"mqtt://127.0.0.1:{nats.mqtt_port}", folder, **more)  # type: ignore[arg-type]


async def test_every_frame_of_a_fleet_is_committed_once(nats: NatsServer, migrated_url: str, tmp_path: Path) -> None:
    _, fleet = demo_fleet(3, START, START + DAY, 12)
    async with ingesting(nats.url, migrated_url):
        run = Fleet(3, fleet, Span(START, START + DAY), _settings(nats, tmp_path, speed=14_400.0, period_s=120.0))
        outcome = await run.run()
    assert outcome.unreceipted == 0
    found = report(tmp_path, migrated_url)
    assert found.nothing_lost
    assert found.frames.accepted == found.frames.committed == outcome.frames > 12 * 70
    assert found.faults.accepted == found.faults.committed == outcome.accepted["fault"] > 0
    assert found.foresight.faults == outcome.faults == sum(len(one.life.episodes) for one in fleet)
    with psycopg.connect(migrated_url) as connection:
        rows = connection.execute(
            "SELECT count(DISTINCT device_no), max(cardinality(names)) FROM channel_set"
        ).fetchone()
    assert rows == (12, 10)


async def test_a_fleet_on_bad_networks_loses_nothing(nats: NatsServer, migrated_url: str, tmp_path: Path) -> None:
    _, fleet = demo_fleet(4, START, START + DAY / 2, 8, appliances_per_gateway=2)
    async with ingesting(nats.url, migrated_url):
        settings = _settings(nats, tmp_path, speed=7_200.0, period_s=120.0, network="flapping", drain_s=60.0)
        outcome = await Fleet(4, fleet, Span(START, START + DAY / 2), settings).run()
    found = report(tmp_path, migrated_url)
    assert outcome.frames > 0
    assert found.nothing_lost
    assert found.frames.committed + found.frames.waiting == found.frames.accepted


async def test_what_waits_in_a_spool_is_owed_not_lost(
    nats: NatsServer,
    migrated_url: str,
    tmp_path: Path,
    faulty_link: Callable[[int], Awaitable[FaultyLink]],
) -> None:
    link = await faulty_link(nats.mqtt_port)
    await link.stop()  # nobody gets through
    _, fleet = demo_fleet(5, START, START + DAY / 8, 4)
    settings = FleetSettings(f"mqtt://127.0.0.1:{link.port}", tmp_path, speed=7_200.0, period_s=120.0, drain_s=0.1)
    outcome = await Fleet(5, fleet, Span(START, START + DAY / 8), settings).run()
    found = report(tmp_path, migrated_url)
    assert found.frames.accepted == found.frames.waiting == outcome.frames > 0
    assert found.nothing_lost


async def test_a_replay_tells_its_findings_to_the_database(
    nats: NatsServer, migrated_url: str, tmp_path: Path, machines: Path
) -> None:
    settings = ReplaySettings(f"mqtt://127.0.0.1:{nats.mqtt_port}", tmp_path / "run", database=migrated_url)
    async with ingesting(nats.url, migrated_url):
        outcome = await replay(load(machines), settings)
    found = report(tmp_path / "run", migrated_url)
    assert found.nothing_lost
    assert found.frames.committed == outcome.frames == 120
    with psycopg.connect(migrated_url) as connection:
        rows = connection.execute(
            "SELECT device, outcome, part, extract(epoch FROM found_at - failed_at)::int FROM finding"
            " JOIN device USING (device_no) ORDER BY device"
        ).fetchall()
    assert rows == [
        ("machine-1", "fault_confirmed", "comp2", 86_400),
        ("machine-2", "no_fault_found", "comp1", None),
    ]


async def test_what_raw_load_publishes_is_committed(nats: NatsServer, migrated_url: str) -> None:
    async with ingesting(nats.url, migrated_url):
        settings = LoadSettings(
            f"mqtt://127.0.0.1:{nats.mqtt_port}", gateways=5, devices=2, frames=500, receipts=True, settle_s=20.0
        )
        count = await press(settings, 99, START)
    assert count.receipted == count.frames == 500
    with psycopg.connect(migrated_url) as connection:
        stored = connection.execute("SELECT count(*), count(DISTINCT (device_no, seq)) FROM frame").fetchone()
    assert stored == (500, 500)


def test_the_command_line_runs_a_fleet_and_reports(nats: NatsServer, migrated_url: str, tmp_path: Path) -> None:
    runner = CliRunner()
    arguments = [
        "fleet", "--broker", f"mqtt://127.0.0.1:{nats.mqtt_port}", "--folder", str(tmp_path), "--gateways", "1",
        "--appliances", "2", "--days", "0.02", "--speed", "3600", "--drain", "0",
    ]  # fmt: skip
    ran = runner.invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    assert {path.name for path in tmp_path.iterdir()} >= {"truth.jsonl", "sent.jsonl", "spools", "registry"}
    shown = runner.invoke(app, ["report", "--folder", str(tmp_path), "--database", migrated_url, "--json"])
    assert shown.exit_code == 0, shown.output
    figures = json.loads(shown.output)
    assert figures["frames"]["waiting"] == figures["frames"]["accepted"] > 0  # nobody gave a receipt


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay", "."], "expected PdM_telemetry"),
        (["load", "--broker", "mqtt://127.0.0.1:9"], "127.0.0.1:9"),
        (["fleet", "--network", "perfect"], "flapping"),
    ],
)
def test_a_wrong_argument_is_told_in_words(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert ran.exit_code == 2
    assert words in ran.output
