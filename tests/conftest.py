"""Fixtures that every test may use: real engines, fresh databases, a faulty network.

Servers are started once a run, or once a test where a test may kill them; whatever is missing skips at home
and fails when CI=true (`require`).
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from cloud.engines.nats import NatsServer
from cloud.engines.nats_config import NatsOptions
from cloud.engines.postgres import UNSAFE_AND_FAST, PostgresServer
from tests.support.databases import fresh_database, make_template
from tests.support.debian_root import TimescaleServer, root_folder, why_unavailable
from tests.support.faulty_link import FaultyLink
from tests.support.folders import open_folder
from tests.support.mosquitto import AS_SHIPPED, TUNED, Mosquitto, find_mosquitto
from tests.support.require import leave_out, refuse_skip, require

__all__ = ["require"]

REPOSITORY = Path(__file__).resolve().parent.parent
RECORDED = REPOSITORY.parent / "shared/data"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

# --- nothing left behind, nothing left out in CI ---


def pytest_configure() -> None:
    """A run that is told to end (a time limit, a cancelled job) cleans up as after Ctrl-C."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report


# --- PostgreSQL ---


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The run's embedded PostgreSQL, fast and unsafe: do not kill it (see `own_postgres`)."""
    with open_folder("postgres") as folder:
        server = PostgresServer(folder / "server", settings=UNSAFE_AND_FAST)
        try:
            server.start()
            yield server
        finally:
            server.erase()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database of this test's own on the embedded PostgreSQL."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of this test's own, as safe as in production, started: `kill()` and `start()` it at will."""
    with open_folder("own-postgres") as folder:
        server = PostgresServer(folder / "server")
        try:
            server.start()
            yield server
        finally:
            server.erase()


@pytest.fixture(scope="session")
def timescale_server() -> Iterator[TimescaleServer]:
    """The run's PostgreSQL 17 with TimescaleDB, in the Debian 13 root."""
    reason = why_unavailable()
    if reason:
        leave_out(reason)
    server = TimescaleServer(root_folder())
    try:
        server.start()
        yield server
    finally:
        server.erase()


@pytest.fixture(scope="session")
def _timescale_template(timescale_server: TimescaleServer) -> str:
    return make_template(timescale_server, "with_timescaledb", extension="timescaledb")


@pytest.fixture
def timescale_url(timescale_server: TimescaleServer, _timescale_template: str) -> Iterator[str]:
    """A database of this test's own with the TimescaleDB extension and nothing else."""
    with fresh_database(timescale_server, _timescale_template) as url:
        yield url


@pytest.fixture(scope="session")
def _migrated_postgres(postgres_server: PostgresServer) -> str:
    return make_template(postgres_server, "migrated", migrated=True)


@pytest.fixture(scope="session")
def _migrated_timescale(timescale_server: TimescaleServer) -> str:
    return make_template(timescale_server, "migrated", extension="timescaledb", migrated=True)


@pytest.fixture
def migrated_url(postgres_server: PostgresServer, _migrated_postgres: str) -> Iterator[str]:
    """A database of this test's own with the project's schema, on the embedded PostgreSQL."""
    with fresh_database(postgres_server, _migrated_postgres) as url:
        yield url


@pytest.fixture
def migrated_timescale_url(timescale_server: TimescaleServer, _migrated_timescale: str) -> Iterator[str]:
    """The same with TimescaleDB."""
    with fresh_database(timescale_server, _migrated_timescale) as url:
        yield url


@pytest.fixture(params=["plain", pytest.param("timescale", marks=pytest.mark.timescale)])
def database(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated database of this test's own; the test runs on plain PostgreSQL and on TimescaleDB."""
    fixture = {"plain": "migrated_url", "timescale": "migrated_timescale_url"}[request.param]
    return str(request.getfixturevalue(fixture))


@pytest.fixture(params=["plain", pytest.param("timescale", marks=pytest.mark.timescale)])
def empty_database(request: pytest.FixtureRequest) -> str:
    """As `database`, but without the project's schema."""
    fixture = {"plain": "postgres_url", "timescale": "timescale_url"}[request.param]
    return str(request.getfixturevalue(fixture))


# --- brokers ---


@pytest.fixture
def start_nats() -> Iterator[Callable[[NatsOptions], NatsServer]]:
    """Starts NATS servers with the options that a test wants; they end with the test."""
    with ExitStack() as stack:

        def start(options: NatsOptions) -> NatsServer:
            server = NatsServer(stack.enter_context(open_folder("nats")) / "server", options=options)
            stack.callback(server.erase)
            server.start()
            return server

        yield start


@pytest.fixture
def nats(start_nats: Callable[[NatsOptions], NatsServer]) -> NatsServer:
    """An embedded NATS of this test's own, started and empty: `kill()` and `start()` it at will."""
    return start_nats(NatsOptions())


@pytest.fixture
def start_mosquitto() -> Iterator[Callable[[str], Mosquitto]]:
    """Starts Mosquitto brokers with the configuration that a test wants; they end with the test."""
    require(find_mosquitto(), "no mosquitto on this machine (Debian: apt-get install mosquitto)")
    with ExitStack() as stack:

        def start(configuration: str) -> Mosquitto:
            broker = Mosquitto(stack.enter_context(open_folder("mosquitto")), configuration)
            stack.callback(broker.stop)
            broker.start()
            return broker

        yield start


@pytest.fixture
def mosquitto(start_mosquitto: Callable[[str], Mosquitto]) -> Mosquitto:
    """A Mosquitto of this test's own, tuned: queues without bound, sessions saved each second."""
    return start_mosquitto(TUNED)


@pytest.fixture
def mosquitto_as_shipped(start_mosquitto: Callable[[str], Mosquitto]) -> Mosquitto:
    """A Mosquitto of this test's own with Debian's defaults."""
    return start_mosquitto(AS_SHIPPED)


@pytest.fixture(params=["nats", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def broker(request: pytest.FixtureRequest) -> NatsServer | Mosquitto:
    """An MQTT broker of this test's own (`host`, `mqtt_port`, `kill`, `start`); the test runs on both kinds."""
    started: NatsServer | Mosquitto = request.getfixturevalue(request.param)
    return started


# --- the rest ---


@pytest.fixture
async def faulty_link() -> AsyncIterator[Callable[[int], Awaitable[FaultyLink]]]:
    """Opens links to local ports that can be stopped, cut, held and delayed: `await faulty_link(port)`."""
    async with AsyncExitStack() as stack:

        async def open_link(target_port: int) -> FaultyLink:
            return await stack.enter_async_context(FaultyLink(target_port))

        yield open_link


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium for browser tests."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    require(found, "no Chromium on this machine (Debian: apt-get install chromium), or set CHROMIUM to its path")
    return str(found)


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A headless Chromium of this test's own; it asks nothing of the network but what a page asks."""
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield opened
        await opened.close()


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """The folder of recorded data with truth."""
    require(RECORDED.is_dir(), "no recorded data beside the repository (../shared/data)")
    return RECORDED
