"""Kill -9 of the desk in the midst of triage: every case gets its verdict, every device is asked once, nobody twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from cloud.registry import ownership
from cloud.registry.gs1 import ProductCode
from tests.desk.stage import Stage

DEVICES = 25


def _start(url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", "from cloud.desk.cli import desk; desk()"],
        env={
            **os.environ,
            "FIRSTCALL_DB_URL": url,
            "FIRSTCALL_DESK_BATCHES_AT_MOST": "5",
            "FIRSTCALL_TRIAGE_CASES_AT_MOST": "3",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def _listening(stage: Stage) -> None:
    """Wait until both desks run."""
    async with asyncio.timeout(30):
        while (await stage.rows("SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN registry'"))[0][0] < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.kill
async def test_killed_in_triage_the_desk_judges_asks_and_confirms_each_once(stage: Stage) -> None:
    dice = random.Random(5)
    numbers: list[int] = []
    for n in range(DEVICES):
        unit = ProductCode("09520000900014", f"K{n}")
        device_no = await ownership.register_device(stage.connection, f"k{n}", "test", gateway="gw")
        await ownership.register_product(stage.connection, unit)
        await ownership.fit(stage.connection, f"k{n}", unit, "test")
        await ownership.bind(stage.connection, f"k{n}", "bo", stage.ago(1_000), "test")
        numbers.append(device_no)
    desks = [_start(stage.url), _start(stage.url)]
    try:
        await _listening(stage)
        for n, device_no in enumerate(numbers):
            await stage.report(1, code=("LE", "3E", "dE")[n % 3], device_no=device_no)
            if n % 5 < 4:
                continue
            await asyncio.sleep(dice.uniform(0.0, 0.3) if n % 2 else dice.uniform(0.5, 1.4))
            victim = dice.randrange(2)
            desks[victim].send_signal(signal.SIGKILL)
            desks[victim].wait()
            desks[victim] = _start(stage.url)
        until = time.monotonic() + 40
        while (await stage.rows("SELECT count(*) FROM triage WHERE judged_at IS NOT NULL"))[0][0] < DEVICES:
            assert time.monotonic() < until, await stage.rows("SELECT verdict, count(*) FROM triage GROUP BY 1")
            await asyncio.sleep(0.05)
        await _listening(stage)
    finally:
        for desk in desks:
            desk.send_signal(signal.SIGTERM)
        assert [desk.wait(15) for desk in desks] == [0, 0]
    verdicts = await stage.rows(
        "SELECT problem, verdict, count(*), count(DISTINCT case_no) FROM verdict JOIN fault_case USING (case_no) "
        "GROUP BY 1, 2 ORDER BY 1, 2"
    )
    leaks, tests, doors = (len(range(k, DEVICES, 3)) for k in range(3))
    assert verdicts == [
        ("3E", "waiting", tests, tests), ("LE", "confirmed", leaks, leaks), ("dE", "needs_person", doors, doors),
    ]  # fmt: skip
    assert await stage.rows("SELECT count(*), count(DISTINCT device_no) FROM command") == [(tests, tests)]
    confirmed = await stage.rows(
        "SELECT count(*), count(DISTINCT ticket_no) FROM ticket_step WHERE to_state = 'confirmed'"
    )
    assert confirmed == [
        (leaks, leaks)
    ]  # fmt: skip
    assert await stage.rows("SELECT count(*), count(DISTINCT ticket_no) FROM outreach") == [(leaks, leaks)]
