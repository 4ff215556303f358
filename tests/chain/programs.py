"""The whole chain as processes that a test may kill: fleet on real agents, broker, ingest, PostgreSQL."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from cloud.engines.child import ChildProcess
from cloud.engines.nats import NatsServer
from cloud.engines.postgres import PostgresServer
from cloud.up import launch_program
from tests.support.mosquitto import Mosquitto

FLEET = ["--gateways", "4", "--appliances", "3", "--days", "0.2", "--speed", "1440", "--period", "10", "--seed", "3"]
FAILING = ["--failure-scale", "2000"]
"""So many faults that fault messages, and not telemetry alone, are under way when something is killed."""


@dataclass
class Chain:
    """One run of the chain. `kill(name)` is `kill -9`; what was killed is started again at once."""

    folder: Path
    postgres: PostgresServer
    broker: NatsServer | Mosquitto
    database_url: str
    running: dict[str, ChildProcess] = field(default_factory=dict)
    starts: int = 0

    @property
    def broker_url(self) -> str:
        """How ingest reaches the broker: JetStream on NATS, MQTT on any other."""
        if isinstance(self.broker, NatsServer):
            return self.broker.url
        return f"mqtt://{self.broker.host}:{self.broker.mqtt_port}"

    def start(self) -> None:
        """Start ingest, and the fleet against the broker."""
        self._launch("ingest")
        self._launch("agent")

    def kill(self, name: str) -> None:
        """`kill -9` of agent, ingest, broker or postgres, and a new start."""
        if name in self.running:
            self.running[name].kill()
            self._launch(name)
            return
        engine = {"broker": self.broker, "postgres": self.postgres}[name]
        engine.kill()
        engine.start()

    def finish(self, deadline_s: float) -> None:
        """Wait until the fleet has played to its end and its spools are empty."""
        deadline = time.monotonic() + deadline_s
        agent = self.running["agent"]
        while agent.running and time.monotonic() < deadline:
            assert self.running["ingest"].running, self.running["ingest"].log_tail()
            time.sleep(0.1)
        assert not agent.running, f"the fleet did not end within {deadline_s:.0f} s:\n{agent.log_tail()}"

    def stop(self) -> None:
        """End what still runs."""
        for program in self.running.values():
            program.stop()

    def _launch(self, name: str) -> None:
        self.starts += 1
        fleet = ["sim", "fleet", "--broker", f"mqtt://{self.broker.host}:{self.broker.mqtt_port}"]
        command = {"ingest": ["ingest"], "agent": [*fleet, "--folder", str(self.folder), *FLEET, *FAILING]}[name]
        environment = {
            **os.environ,
            "FIRSTCALL_DB_URL": self.database_url,
            "FIRSTCALL_INGEST_BROKER_URL": self.broker_url,
            "FIRSTCALL_INGEST_INSTANCE": "ingest-1",
        }
        log = self.folder / f"{name}.log"
        self.running[name] = launch_program(command, log, environment)


def holes(database_url: str) -> dict[tuple[str, int], int]:
    """(device, boot) -> how many seq between 0 and the greatest stored are in no table: what got lost on the way."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            """
            WITH stored AS (
                SELECT device_no, boot, seq FROM frame
                UNION ALL SELECT device_no, boot, seq FROM fault_report WHERE NOT inferred
                UNION ALL SELECT device_no, boot, seq FROM reply
                UNION ALL SELECT device_no, boot, seq FROM loss_ledger
            )
            SELECT device, boot, max(seq) - min(seq) + 1 - count(DISTINCT seq) FROM stored JOIN device USING (device_no)
            GROUP BY device, boot
            """
        ).fetchall()
    return {(device, boot): missing for device, boot, missing in rows if missing}


def wait_for(ready: Callable[[], bool], deadline_s: float) -> None:
    """Ask until it is so; fails the test when it does not become so in time."""
    deadline = time.monotonic() + deadline_s
    while not ready():
        assert time.monotonic() < deadline, f"not so within {deadline_s:.0f} s"
        time.sleep(0.05)


def stored_frames(database_url: str) -> int:
    """Frames committed so far; 0 while the database cannot be reached."""
    try:
        with psycopg.connect(database_url, connect_timeout=2) as connection:
            row = connection.execute("SELECT count(*) FROM frame").fetchone()
            return int(row[0]) if row else 0
    except psycopg.OperationalError:
        return 0
