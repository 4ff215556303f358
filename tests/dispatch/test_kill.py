"""Killed with -9 at random moments: each ticket is planned, booked and ended once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from tests.support.service_desk import ServiceDesk

TICKETS = 40
LIVES = 6
MOVED = "SELECT (SELECT count(*) FROM ticket_step) + (SELECT count(*) FROM visit_slot)"


@pytest.mark.kill
async def test_killed_at_random_moments_0_lost_0_twice(migrated_url: str, tmp_path: Path) -> None:
    chance, told = random.Random(7), os.environ | {"FIRSTCALL_DB_URL": migrated_url}
    async with await AsyncConnection.connect(migrated_url, autocommit=True, options="-c timezone=UTC") as connection:
        desk = ServiceDesk(connection)
        await desk.catalogue()
        for name in ("li", "wu", "ng"):
            await desk.engineer(name, stock={"pump": 1000})
        waiting = [await desk.ticket(*await desk.customer()) for _ in range(TICKETS)]
        for ticket in waiting:  # no visit comes before it: each appliance is to run gently until then
            await desk.predict_failure(ticket, timedelta(minutes=1))
        done_at_kill = []
        for _ in range(LIVES):
            worker = await asyncio.to_thread(_launch, told, tmp_path)
            before = await desk.value(MOVED)
            for _ in range(100):
                if await desk.value(MOVED) > before:
                    break
                await asyncio.sleep(0.02)
            await asyncio.sleep(chance.uniform(0, 0.4))
            assert worker.poll() is None, (tmp_path / "errors").read_text()
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            done_at_kill.append(await desk.value(MOVED))
        last = await asyncio.to_thread(_launch, told, tmp_path)
        try:
            for _ in range(600):
                if await desk.value("SELECT count(*) FROM finding") == TICKETS:
                    break
                await asyncio.sleep(0.05)
        finally:
            last.kill()
            last.wait()
        assert len(set(done_at_kill)) > 2, f"the kills came at different moments of the work: {done_at_kill}"
        assert await desk.value("SELECT count(DISTINCT ticket_no) FROM finding") == TICKETS == len(waiting)
        assert await desk.value("SELECT count(*) FROM finding") == TICKETS
        assert await desk.rows(
            "SELECT to_state, count(*) FROM ticket_step WHERE to_state IN ('contacted', 'scheduled', 'resolved')"
            " GROUP BY 1 ORDER BY 1"
        ) == [("contacted", TICKETS), ("resolved", TICKETS), ("scheduled", TICKETS)]
        assert await desk.rows("SELECT state, count(*) FROM work_order GROUP BY 1") == [("done", TICKETS)]
        assert await desk.value("SELECT count(*) FROM visit_slot WHERE state = 'booked'") == TICKETS
        assert await desk.value("SELECT sum(1000 - quantity) FROM van_stock") == TICKETS, "each part left a van once"
        assert await desk.value("SELECT count(*) FROM outreach WHERE purpose = 'appointment'") == TICKETS
        assert await desk.rows("SELECT state, count(*) FROM gentle_card GROUP BY 1") == [("ended", TICKETS)]
        assert await desk.value("SELECT count(*) FROM command WHERE expires_at > desk_now()") == 0, "none is sent now"
        assert await desk.rows(
            "SELECT count(DISTINCT device_no), count(*) FROM command WHERE instruction ->> 'action' = 'run_gently'"
        ) == [(TICKETS, TICKETS)], "each appliance was asked once"
        assert await desk.value("SELECT count(*) FROM command") == TICKETS, "and none, never told, was told to stop"


def _launch(told: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
    """Returns when the worker begins to work."""
    with (folder / "errors").open("ab") as errors:
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.dispatch.worker"], env=told, stdout=subprocess.PIPE, stderr=errors
        )
    assert worker.stdout is not None
    worker.stdout.readline()
    return worker
