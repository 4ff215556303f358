"""Killed with -9 at random moments, two workers at a time: nothing is lost, and nothing goes out under two keys."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.outreach.conftest import KEY_TEXT, SECRET, MailServer, Receiver
from tests.support.service_desk import MASTER_TEXT, ServiceDesk

CUSTOMERS = 24  # with a ticket each
NEIGHBOURS = 16  # of a storm
LIVES = 6
CODE = re.compile(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b")


def start(environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.outreach.worker"], env=environment, stdout=out, stderr=subprocess.STDOUT
        )


def environment(url: str, mail: MailServer, receiver: Receiver) -> dict[str, str]:
    return os.environ | {
        "FIRSTCALL_DB_URL": url,
        "FIRSTCALL_REGISTRY_MASTER_KEY": MASTER_TEXT,
        "FIRSTCALL_OUTREACH_KEY": KEY_TEXT,
        "FIRSTCALL_OUTREACH_SMTP_HOST": "127.0.0.1",
        "FIRSTCALL_OUTREACH_SMTP_PORT": str(mail.port),
        "FIRSTCALL_OUTREACH_SMTP_SECURITY": "plain",
        "FIRSTCALL_OUTREACH_SMTP_SENDER": "care@example.test",
        "FIRSTCALL_OUTREACH_SMS_URL": receiver.url,
        "FIRSTCALL_OUTREACH_SMS_SECRET": SECRET,
        "FIRSTCALL_OUTREACH_PROVIDER_TIMEOUT_S": "1",
        "FIRSTCALL_OUTREACH_LEASE_S": "6",
        "FIRSTCALL_OUTREACH_POLL_S": "0.3",
        "FIRSTCALL_OUTREACH_AT_ONCE": "2",
    }


@pytest.mark.kill
async def test_killed_at_random_moments_0_lost_0_twice(
    desk: ServiceDesk, migrated_url: str, mail: MailServer, receiver: Receiver, tmp_path: Path
) -> None:
    await desk.catalogue()
    mail.delay_s = receiver.delay_s = 0.05
    for number in range(CUSTOMERS):
        await desk.ticket(*await desk.customer(channels=("email",) if number % 2 else ("sms",)))
    neighbours = [await desk.customer(channels=("email",) if n % 2 else ("sms",)) for n in range(NEIGHBOURS)]
    await desk.storm(*neighbours)
    told, log, chance = environment(migrated_url, mail, receiver), tmp_path / "workers.log", random.Random(4)
    killed = 0
    for _ in range(LIVES):
        workers = [start(told, log) for _ in range(2)]
        before = len(mail.letters) + len(receiver.requests)
        await _until(lambda before=before: len(mail.letters) + len(receiver.requests) > before, 7)
        await asyncio.sleep(chance.uniform(0, 0.15))
        for worker in workers:
            killed += worker.poll() is None
            worker.send_signal(signal.SIGKILL)
            worker.wait()
    left = await desk.value("SELECT count(*) FROM outreach WHERE state = 'open' AND purpose = 'storm'")
    assert killed == 2 * LIVES, log.read_text()

    last = start(told, log)
    try:
        await _until(lambda: _reached(mail, receiver) >= CUSTOMERS + NEIGHBOURS, 30)
        for _ in range(100):
            if await desk.value("SELECT count(*) FROM outreach_message WHERE state <> 'delivered'") == 0:
                break
            await asyncio.sleep(0.1)
    finally:
        last.terminate()
        last.wait()

    assert left > 0, "the kills came in the middle of it, not after it"
    assert _reached(mail, receiver) == CUSTOMERS + NEIGHBOURS, "0 lost, and not one key too many"
    assert receiver.bad_signatures == 0
    keys = await desk.rows("SELECT key, count(*) FROM outreach_message GROUP BY key")
    assert len(keys) == CUSTOMERS + NEIGHBOURS
    assert await desk.rows("SELECT state, count(*) FROM outreach WHERE purpose = 'storm' GROUP BY 1") == [
        ("told", NEIGHBOURS)
    ]
    sent = {f"<{key}@example.test>" for key, _ in keys} | {key for key, _ in keys}
    assert set(mail.keys()) | set(receiver.delivered) <= sent
    steps = await desk.rows("SELECT ticket_no, count(*) FROM ticket_step WHERE to_state = 'contacted' GROUP BY 1")
    assert Counter(times for _, times in steps) == {1: CUSTOMERS}, "each ticket became contacted, once"
    codes: dict[str, set[str]] = {}
    for letter in mail.letters:
        code = CODE.search(str(letter.get_body(("plain",)).get_content()))  # type: ignore[union-attr]
        assert code
        codes.setdefault(str(letter["Message-ID"]), set()).add(code[0])
    assert {len(found) for found in codes.values()} == {1}, "sent again, it is the same message with the same code"


def _reached(mail: MailServer, receiver: Receiver) -> int:
    return len(set(mail.keys())) + len(receiver.delivered)


async def _until(holds: object, at_most_s: float) -> None:
    for _ in range(int(at_most_s / 0.02)):
        if holds():  # type: ignore[operator]
            return
        await asyncio.sleep(0.02)
