"""`kill -9` of the agent's process in mid-stream, at random moments: every frame that the spool accepted arrives."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from protocols.messages import Death
from protocols.topics import Kind
from tests.edge.receipting_cloud import ReceiptingCloud

REPOSITORY = Path(__file__).resolve().parents[2]
KILLS = 6


def write_gateway(folder: Path, port: int, synchronous: str) -> Path:
    """A gateway with three devices that play a recording at 20 ms a row, and a log of what the spool accepted."""
    rows = "\n".join(f"{1_700_000_000 + n / 50},{'E5' if n % 400 > 380 else ''},{n},{n * 2}" for n in range(4000))
    (folder / "recording.csv").write_text(f"at,faults,count,twice\n{rows}\n")
    device = """
[[devices]]
id = "dev-{n}"
driver = "recorded"
options = {{ file = "recording.csv", timing = "now", loop = true, period_ms = 20 }}
sampling = {{ frame_samples = 5 }}
faults = {{ freeze_before_s = 1, freeze_after_s = 0.2 }}
"""
    configuration = folder / "gateway.toml"
    configuration.write_text(
        f'gateway = "gw-kill"\n[broker]\nurl = "mqtt://127.0.0.1:{port}"\n'
        f'[spool]\nsynchronous = "{synchronous}"\n'
        "[uplink]\nreceipt_timeout_s = 1\nreceipt_timeout_max_s = 2\nreconnect_s = 0.05\nreconnect_max_s = 0.3\n"
        + "".join(device.format(n=n) for n in range(3))
    )
    # the spool's own account of what it accepted, kept where receipts do not reach
    return configuration


def count_accepted(folder: Path) -> None:
    """Make the spool note every message that it commits, in a table that nothing deletes from."""
    connection = sqlite3.connect(folder / "spool.db")
    connection.executescript(
        "CREATE TABLE accepted (device TEXT, boot INTEGER, seq INTEGER);"
        "CREATE TRIGGER note AFTER INSERT ON message"
        " BEGIN INSERT INTO accepted VALUES (new.device, new.boot, new.seq); END;"
    )
    connection.close()


def accepted(folder: Path) -> set[tuple[str, int, int]]:
    """(device, boot, seq) of every message that was ever committed to the spool."""
    connection = sqlite3.connect(folder / "spool.db")
    rows = connection.execute("SELECT device, boot, seq FROM accepted").fetchall()
    connection.close()
    return set(rows)


async def until_accepting(folder: Path, boots: set[int]) -> None:
    """Wait until a boot that is not in `boots` has accepted a message, and add it."""
    async with asyncio.timeout(30):
        while not (new := {key[1] for key in accepted(folder)} - boots):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    boots |= new


async def start(configuration: Path) -> asyncio.subprocess.Process:
    log = (configuration.parent / "log").open("ab")
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge_agent", "run", "--config", str(configuration), stderr=log, cwd=REPOSITORY
    )


@pytest.mark.kill
@pytest.mark.parametrize("synchronous", ["normal", "full"])
async def test_every_message_that_the_spool_accepted_arrives(nats: Any, tmp_path: Path, synchronous: str) -> None:
    configuration = write_gateway(tmp_path, nats.mqtt_port, synchronous)
    chance = random.Random(20_260_101)
    async with ReceiptingCloud(nats.mqtt_port) as cloud:
        first = await start(configuration)
        await cloud.until(lambda: cloud.of(Kind.TELEMETRY))
        first.terminate()
        assert await first.wait() == 0
        count_accepted(tmp_path)
        boots: set[int] = set()
        for kill in range(KILLS):
            process = await start(configuration)
            if kill % 3:  # else at any moment of the start, too
                await until_accepting(tmp_path, boots)
            await asyncio.sleep(chance.random() * 2.0)
            if kill == KILLS // 2:
                cloud.silent = True  # the ingestor is away over the next two kills
            elif kill == KILLS - 1:
                cloud.silent = False
            process.kill()
            await process.wait()
        boots = {key[1] for key in accepted(tmp_path)}
        assert len(boots) >= KILLS * 2 // 3

        last = await start(configuration)
        before = accepted(tmp_path)
        await cloud.until(lambda: before <= cloud.committed.keys(), seconds=30)
        last.terminate()
        assert await last.wait() == 0
    assert len(before) > 40
    keys = [key for key in cloud.order if key[1] in boots]
    assert len(keys) == len(set(keys))


@pytest.mark.kill
async def test_the_will_tells_of_a_lost_gateway_and_a_restart_sends_within_two_seconds(
    broker: Any, tmp_path: Path
) -> None:
    configuration = write_gateway(tmp_path, broker.mqtt_port, "full")
    async with ReceiptingCloud(broker.mqtt_port) as cloud:
        process = await start(configuration)
        await cloud.until(lambda: len(cloud.of(Kind.TELEMETRY)) > 5)
        process.kill()
        await process.wait()
        await cloud.until(lambda: any(topic.kind == Kind.DEATH for topic, _ in cloud.other))
        death = next(payload for topic, payload in cloud.other if topic.kind == Kind.DEATH)
        assert Death.decode(death).cause == "lost"

        before = max(key[1] for key in cloud.committed)
        began = time.monotonic()
        process = await start(configuration)
        await cloud.until(
            lambda: any(k[1] > before and cloud.committed[k][0].kind == Kind.TELEMETRY for k in cloud.order)
        )
        took = time.monotonic() - began
        process.terminate()
        began = time.monotonic()
        assert await process.wait() == 0
        assert time.monotonic() - began < 2
        # 2 s is the promise; a machine under test load gets twice as long
        assert took < 4, f"{took:.1f} s from the start of the process to its first frame in the cloud"
