"""The desk as a program: woken by NOTIFY, killed at any moment, two at once, its database gone for a while."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time

import psycopg
import pytest
from pydantic import SecretStr

from cloud.db.settings import DatabaseSettings
from cloud.desk.service import Desk, is_temporary
from cloud.desk.settings import DeskSettings
from tests.desk.stage import Stage


def _start(url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", "from cloud.desk.cli import desk; desk()"],
        env={**os.environ, "FIRSTCALL_DB_URL": url, "FIRSTCALL_DESK_BATCHES_AT_MOST": "7"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def _until(stage: Stage, query: str, expected: object, seconds: float = 20.0) -> float:
    """Wait until the query gives it; returns how long that took."""
    began = time.monotonic()
    while (await stage.rows(query)) != expected:
        if time.monotonic() - began > seconds:
            raise AssertionError(f"after {seconds} s: {await stage.rows(query)}, not {expected}")
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_a_notification_wakes_it_long_before_its_timer(stage: Stage) -> None:
    desk = Desk(DeskSettings(wake_s=60), DatabaseSettings(url=SecretStr(stage.url)))
    running = asyncio.create_task(desk.run())
    await _until(stage, "SELECT count(*) > 0 FROM pg_stat_activity WHERE query = 'LISTEN registry'", [(True,)])
    await stage.report(1)
    await stage.rows("SELECT pg_notify('ingest_batch', '1')")
    took = await _until(stage, "SELECT count(*) FROM ticket", [(1,)])
    desk.stop()
    desk.stop()
    await asyncio.wait_for(running, 10)
    assert took < 10
    assert (desk.counters.batches, desk.counters.tickets) == (1, 1)


async def test_it_ends_when_its_work_cannot_go_on(stage: Stage) -> None:
    desk = Desk(DeskSettings(wake_s=0.1), DatabaseSettings(url=SecretStr(stage.url)))
    await stage.connection.execute("ALTER TABLE fault_case DROP COLUMN withheld CASCADE")
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(desk.run(), 20)
    assert caught.group_contains(psycopg.errors.UndefinedColumn)


async def test_it_goes_on_when_its_connections_are_cut(stage: Stage) -> None:
    desk = Desk(DeskSettings(wake_s=0.05), DatabaseSettings(url=SecretStr(stage.url)))
    running = asyncio.create_task(desk.run())
    for code in ("5E", "LE", "UE"):
        await stage.report(1, code=code)
        await _until(stage, f"SELECT count(*) FROM ticket WHERE problem = '{code}'", [(1,)])
        await stage.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'firstcall-desk%' AND datname = current_database()"
        )
    await stage.report(1, code="HE")
    await _until(stage, "SELECT count(*) FROM ticket", [(4,)])
    desk.stop()
    await asyncio.wait_for(running, 15)
    assert desk.counters.retries >= 1


@pytest.mark.kill
async def test_killed_at_random_moments_two_desks_lose_nothing_and_do_nothing_twice(stage: Stage) -> None:
    dice = random.Random(7)
    codes = ("5E", "LE", "UE", "HE", "3E", "OE")
    desks = [_start(stage.url), _start(stage.url)]
    try:
        for number in range(60):
            await stage.report(1 - number / 200, code=codes[number % 6], raised=number % 12 < 6)
            if number % 10 == 9:
                await asyncio.sleep(dice.uniform(0.3, 1.2))
                victim = dice.randrange(2)
                desks[victim].send_signal(signal.SIGKILL)
                desks[victim].wait()
                desks[victim] = _start(stage.url)
        await _until(
            stage,
            "SELECT batch_no = (SELECT max(batch_no) FROM ingest_batch) FROM tail_cursor "
            "WHERE consumer = 'desk.batches'",
            [(True,)],
            40,
        )
        listening = "SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN registry'"
        await _until(stage, listening, [(2,)])
    finally:
        for desk in desks:
            desk.send_signal(signal.SIGTERM)
        codes_of_exit = [desk.wait(15) for desk in desks]
    assert codes_of_exit == [0, 0]
    assert await stage.rows("SELECT problem, count(*), sum(raises) FROM fault_case GROUP BY 1 ORDER BY 1") == [
        (code, 1, 5) for code in sorted(codes)
    ]
    assert await stage.rows(
        "SELECT count(*), count(DISTINCT problem), count(DISTINCT ticket_no) "
        "FROM ticket_step JOIN ticket USING (ticket_no) WHERE to_state = 'proposed'"
    ) == [(6, 6, 6)]


@pytest.mark.parametrize(
    ("state", "temporary"),
    [("08006", True), ("57P01", True), ("40P01", True), ("53300", True), ("FC010", False), ("42703", False)],
)
def test_what_is_worth_trying_again(state: str, temporary: bool) -> None:
    error = psycopg.OperationalError()
    error.sqlstate = state
    assert is_temporary(error) is temporary


def test_a_connection_that_failed_without_a_state_is_worth_trying_again() -> None:
    assert is_temporary(psycopg.OperationalError())
    assert not is_temporary(psycopg.DataError())
