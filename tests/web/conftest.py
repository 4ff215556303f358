"""The fleet in a database, the API in this process, the console in one of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection

from cloud.db.settings import DatabaseSettings
from cloud.registry.keys import MasterKey
from cloud.web.app import create_app
from cloud.web.settings import WebSettings
from tests.web.fleet import Fleet, seed

Connection = AsyncConnection[Any]


@pytest.fixture
def master_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MasterKey:
    """A registry key of this test's own, known to programs through the environment."""
    key = MasterKey.make_file(tmp_path / "master.key")
    monkeypatch.setenv("FIRSTCALL_REGISTRY_MASTER_KEY_FILE", str(tmp_path / "master.key"))
    return key


@pytest.fixture
async def connection(migrated_url: str) -> AsyncIterator[Connection]:
    """A connection to the test's database, in autocommit mode."""
    async with await AsyncConnection.connect(migrated_url, autocommit=True) as open_connection:
        yield open_connection


@pytest.fixture
async def fleet(connection: Connection, master_key: MasterKey) -> Fleet:
    """The fleet of `fleet.py`, written up to now."""
    return await seed(connection, datetime.now(UTC), master_key)


@pytest.fixture
async def start_api(migrated_url: str) -> AsyncIterator[Callable[..., Any]]:
    """Starts the API in this process with given settings; gives an HTTP client for it."""
    async with _stack() as stack:

        async def start(**settings: Any) -> httpx.AsyncClient:
            app = create_app(WebSettings(**settings), DatabaseSettings(url=migrated_url), console=False)
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
            client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")
            return await stack.enter_async_context(client)

        yield start


def _stack() -> Any:
    from contextlib import AsyncExitStack

    return AsyncExitStack()


@pytest.fixture
async def api(start_api: Callable[..., Any], fleet: Fleet) -> httpx.AsyncClient:
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
def start_console(migrated_url: str, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts the whole web program in a process of its own; gives its address. It is stopped as a person would."""
    from cloud.engines.ports import free_port

    running: list[subprocess.Popen[bytes]] = []

    def start(**environment: str) -> str:
        port = free_port()
        told = {**os.environ, "FIRSTCALL_DB_URL": migrated_url, "FIRSTCALL_WEB_PORT": str(port), **environment}
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


@pytest.fixture
def desk_turn(connection: Connection) -> Callable[[], Any]:
    """Lets the desk take one turn over the database."""
    from tests.web.fleet import run_desk

    return lambda: asyncio.ensure_future(run_desk(connection))
