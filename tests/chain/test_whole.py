"""From appliance to ticket on a broker and a database that are given by URL: Mosquitto and TimescaleDB."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from cloud.engines.ports import free_port
from cloud.engines.settings import EngineSettings
from cloud.up import Stack, UpSettings, running_stack
from device_sim.fleet.demo import demo_fleet
from device_sim.fleet.registry_files import write_registry
from device_sim.transport.fleet_run import Fleet, FleetSettings
from device_sim.transport.report import Report, report
from tests.chain.programs import wait_for
from tests.support.mosquitto import Mosquitto
from tests.support.registry import import_with_catalogue

SPAN_S = 3 * 86_400.0
START = 1_760_000_000.0
SPEED = 14_400.0
SETTINGS = {
    "FIRSTCALL_DESK_CLOCK": "event",
    "FIRSTCALL_DETECT_LATENESS_S": "20000",
    "FIRSTCALL_DETECT_TICK_S": "3600",
    "FIRSTCALL_INGEST_INSTANCE": "whole",
}


def _play(stack: Stack, folder: Path) -> Report:
    world, fleet = demo_fleet(5, START, START + SPAN_S, appliances=16)
    settings = FleetSettings(broker=stack.broker.mqtt_url or "", folder=folder, speed=SPEED, period_s=120.0)
    asyncio.run(Fleet(5, fleet, world.span, settings).run())
    return report(folder, stack.database.url)


@pytest.mark.timescale
@pytest.mark.mosquitto
def test_from_appliance_to_ticket_on_mosquitto_and_timescaledb(
    tmp_path: Path, mosquitto: Mosquitto, timescale_url: str
) -> None:
    _world, fleet = demo_fleet(5, START, START + SPAN_S, appliances=16)
    write_registry(tmp_path / "registry", fleet)
    given = UpSettings(
        database_url=SecretStr(timescale_url), broker_url=SecretStr(f"mqtt://{mosquitto.host}:{mosquitto.mqtt_port}")
    )
    with running_stack(
        given,
        EngineSettings(home=tmp_path / "var"),
        console_port=free_port(),
        environment=SETTINGS,
        prepare=lambda url: asyncio.run(import_with_catalogue(url, tmp_path / "registry")),
    ) as stack:
        stack.wait_until_ready(60)
        counted = _play(stack, tmp_path / "fleet")
        assert counted.nothing_lost
        assert counted.frames.committed == counted.frames.accepted > 1000
        with psycopg.connect(timescale_url, autocommit=True) as connection:

            def count(query: str) -> int:
                row = connection.execute(query).fetchone()
                return int(row[0]) if row else 0

            assert (
                count("SELECT count(*) FROM timescaledb_information.hypertables WHERE hypertable_name = 'frame'") == 1
            )
            wait_for(lambda: count("SELECT count(*) FROM ticket") > 0, 20)
            complete = (
                "SELECT count(*) FROM fault_case WHERE missing = '{}' AND user_id IS NOT NULL AND gtin IS NOT NULL"
            )
            assert count(complete) > 0
            time.sleep(2)
            stack.check()
