"""The fleet in a database, the API in this process, the console in one of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection

from cloud.db.settings import DatabaseSettings
from cloud.engines.ports import free_port
from cloud.engines.postgres import PostgresServer
from cloud.registry.keys import MasterKey
from cloud.web.app import create_app
from cloud.web.settings import WebSettings
from tests.support.databases import fresh_database
from tests.web.fleet import Fleet, seed

Connection = AsyncConnection[Any]


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The registry's key with which the fleet's contacts are written."""
    path = tmp_path_factory.mktemp("registry") / "master.key"
    MasterKey.make_file(path)
    return path


@pytest.fixture(scope="session")
def _fleet_template(
    postgres_server: PostgresServer, _migrated_postgres: str, key_file: Path
) -> Iterator[tuple[str, Fleet]]:
    """The fleet, written once a run; each test gets a copy."""

    async def write(url: str) -> Fleet:
        async with await AsyncConnection.connect(url, autocommit=True) as connection:
            return await seed(connection, datetime.now(UTC), MasterKey.from_file(key_file))

    with fresh_database(postgres_server, _migrated_postgres) as url, ThreadPoolExecutor(1) as apart:
        fleet = apart.submit(lambda: asyncio.run(write(url))).result()  # this thread may have an event loop
        yield url.rpartition("/")[2].partition("?")[0], fleet


@pytest.fixture
def fleet_url(
    postgres_server: PostgresServer,
    _fleet_template: tuple[str, Fleet],
    key_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """A database of this test's own with the fleet in it; the registry's key is in the environment."""
    monkeypatch.setenv("FIRSTCALL_REGISTRY_MASTER_KEY_FILE", str(key_file))
    with fresh_database(postgres_server, _fleet_template[0]) as url:
        yield url


@pytest.fixture
async def connection(fleet_url: str) -> AsyncIterator[Connection]:
    """A connection to the test's database, in autocommit mode."""
    async with await AsyncConnection.connect(fleet_url, autocommit=True) as open_connection:
        yield open_connection


@pytest.fixture
def fleet(fleet_url: str, _fleet_template: tuple[str, Fleet]) -> Fleet:
    """The numbers of the fleet's devices."""
    assert fleet_url
    return _fleet_template[1]


@pytest.fixture
async def start_api(fleet_url: str) -> AsyncIterator[Callable[..., Any]]:
    """Starts the API in this process with given settings; gives an HTTP client for it."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> httpx.AsyncClient:
            app = create_app(WebSettings(**settings), DatabaseSettings(url=fleet_url), console=False)
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
            client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")
            return await stack.enter_async_context(client)

        yield start


@pytest.fixture
async def api(start_api: Callable[..., Any]) -> httpx.AsyncClient:
    """The API over the fleet, on loopback without secrets."""
    client: httpx.AsyncClient = await start_api()
    return client


PROGRAM = """
import asyncio, sys
from cloud.db.settings import DatabaseSettings
from cloud.running import until_stopped
from cloud.web.server import run
from cloud.web.settings import WebSettings
asyncio.run(until_stopped(lambda stop: run(WebSettings(), DatabaseSettings(), stop)))
"""


@pytest.fixture
def start_console(fleet_url: str, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts the whole web program in a process of its own; gives its address. It is stopped as a person would."""
    running: list[subprocess.Popen[bytes]] = []

    def start(**environment: str) -> str:
        port = free_port()
        told = {**os.environ, "FIRSTCALL_DB_URL": fleet_url, "FIRSTCALL_WEB_PORT": str(port), **environment}
        told.pop("PYTEST_CURRENT_TEST", None)
        with (tmp_path / f"console-{port}.log").open("wb") as log:
            running.append(subprocess.Popen([sys.executable, "-c", PROGRAM], env=told, stdout=log, stderr=log))
        url = f"http://127.0.0.1:{port}"
        _wait_for(f"{url}/health", running[-1], tmp_path / f"console-{port}.log")
        return url

    yield start
    for program in running:
        program.terminate()
    for program in running:
        assert program.wait(timeout=15) == 0, "the console did not stop in order"


def _wait_for(url: str, program: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if program.poll() is not None:
            raise RuntimeError(f"the console ended: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"the console did not answer: {log.read_text()[-2000:]}")
