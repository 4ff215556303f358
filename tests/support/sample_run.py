"""A small test run for `test_test_run.py` to start and watch; not collected by itself."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cloud.engines.nats import NatsServer
from cloud.engines.postgres import PostgresServer
from tests.support.require import require


def test_with_engines(postgres_server: PostgresServer, postgres_url: str, nats: NatsServer, tmp_path: Path) -> None:
    assert postgres_url
    ready = Path(os.environ["SAMPLE_READY"])
    words = f"{postgres_server.pid} {nats.pid} {postgres_server.port} {nats.mqtt_port}"
    ready.with_suffix(".unfinished").write_text(words)
    ready.with_suffix(".unfinished").replace(ready)
    time.sleep(float(os.environ["SAMPLE_SECONDS"]))


def test_that_needs_what_is_not_there() -> None:
    require(Path("/no/such/thing").exists(), "no such thing here (get it from the shop)")


@pytest.mark.skip(reason="left out without asking")
def test_left_out_otherwise() -> None:
    raise AssertionError


@pytest.mark.xfail(reason="known", strict=True)
def test_that_is_known_to_fail() -> None:
    raise AssertionError
