"""`firstcall up`: the cloud programs together on one machine, on embedded engines unless URLs are given.

Each program is a process of its own, as it would be when run apart, told by the same environment variables. When one of
them ends by itself, all are stopped: half a system that looks alive is worse than none.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from cloud.db.migrate import migrate
from cloud.engines.broker import OpenBroker, open_broker
from cloud.engines.child import ChildProcess, launch
from cloud.engines.database import OpenDatabase, open_database
from cloud.engines.nats_config import NatsOptions
from cloud.engines.settings import EngineSettings

PROGRAMS = ("ingest", "desk", "detect", "web")
STOP_GRACE_SECONDS = 15.0


class UpSettings(BaseSettings):
    """Settings of `firstcall up`. Each can be given as an environment variable FIRSTCALL_UP_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="FIRSTCALL_UP_", frozen=True)

    database_url: SecretStr | None = Field(
        default=None, description="A running PostgreSQL or TimescaleDB. Unset: an embedded PostgreSQL is started."
    )
    broker_url: SecretStr | None = Field(
        default=None, description="A running broker, nats:// or mqtt://. Unset: an embedded NATS is started."
    )


class ProgramEnded(RuntimeError):
    """A program that should be running has ended; its last words are in the text."""


@dataclass(slots=True)
class Stack:
    """A running cloud: its engines, and its programs as child processes."""

    database: OpenDatabase
    broker: OpenBroker
    console_url: str
    logs: Path
    programs: dict[str, ChildProcess] = field(default_factory=dict)

    def check(self) -> None:
        """Raise ProgramEnded if a program or an engine is not running any more."""
        for name, program in self.programs.items():
            if not program.running:
                raise ProgramEnded(f"{name} has ended; see {program.log}. Its last words:\n{program.log_tail()}")
        for name, server in (("PostgreSQL", self.database.server), ("NATS", self.broker.server)):
            if server is not None and not server.running:
                raise ProgramEnded(f"{name} has ended; see the log in {self.logs.parent}")

    def wait_until_ready(self, deadline_s: float, tell: Callable[[str], None] = lambda text: None) -> None:
        """Return when the console answers that all is well; raises ProgramEnded or TimeoutError."""
        deadline = time.monotonic() + deadline_s
        tell("waiting for the console")
        while not _answers(f"{self.console_url}/health"):
            self.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the console did not answer within {deadline_s:.0f} s; see {self.logs}")
            time.sleep(0.1)


@contextmanager
def running_stack(
    settings: UpSettings,
    engines: EngineSettings,
    *,
    console_port: int,
    environment: Mapping[str, str] | None = None,
    prepare: Callable[[str], None] = lambda url: None,
    tell: Callable[[str], None] = lambda text: None,
) -> Iterator[Stack]:
    """Engines, migrations, programs; all of it stopped on leaving, in the opposite order.

    `environment` adds to what the programs are told; `prepare` is called with the database's URL once it is migrated
    and before the programs start; `tell` is told of each step.
    """
    logs = engines.home.absolute() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        tell("starting the database")
        database = stack.enter_context(open_database(_plain(settings.database_url), engines))
        tell("starting the broker")
        broker = stack.enter_context(open_broker(_plain(settings.broker_url), engines, NatsOptions()))
        tell("migrating")
        asyncio.run(migrate(database.url))
        prepare(database.url)
        running = Stack(database, broker, f"http://127.0.0.1:{console_port}", logs)
        told = {
            **os.environ,
            "FIRSTCALL_DB_URL": database.url,
            "FIRSTCALL_INGEST_BROKER_URL": broker.url,
            "FIRSTCALL_WEB_PORT": str(console_port),
            **(environment or {}),
        }
        for name in PROGRAMS:
            tell(f"starting {name}")
            running.programs[name] = launch_program([name], logs / f"{name}.log", told)
            stack.callback(running.programs[name].stop)
        yield running


def launch_program(arguments: list[str], log: Path, environment: Mapping[str, str]) -> ChildProcess:
    """Start `firstcall ARGUMENTS` as a child that ends with us, however we end."""
    return launch(
        [sys.executable, "-m", "firstcall", *arguments],
        log=log,
        cwd=Path.cwd(),
        stop_signal=signal.SIGTERM,
        grace=STOP_GRACE_SECONDS,
        environment=environment,
    )


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - our own console, by a URL of our making
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
