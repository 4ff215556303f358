"""Ingest, from publish to commit, beside what one would write in an afternoon and beside PostgreSQL's own limit.

    .venv/bin/python -m benchmarks.bench_ingest [--frames 60000] [--rounds 3]

Each round runs, one after the other, on the same broker and the same kind of database:

    firstcall       this project's `firstcall ingest` on JetStream, one row a frame
    firstcall-mqtt  the same over MQTT
    insert          paho, one INSERT a message, committed (sample rows)
    copy            paho, sample rows by COPY, 500 messages a commit
    copy-limit      no broker: PostgreSQL's COPY of ready-made buffers of the same frame rows, 500 a commit

A frame is 12 samples of 8 channels: 96 points. The publisher is a process of its own that sends ready-made MQTT packets
(QoS 1, PUBACKed) over 8 connections; the clock runs from its first packet to the newest commit. CPU is counted until
the hourly roll-ups are written, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import psutil
import psycopg

from cloud.db.migrate import migrate
from cloud.engines.nats import NatsServer
from cloud.engines.nats_config import NatsOptions
from cloud.engines.postgres import PostgresServer
from cloud.ingest.copy_rows import SIGNATURE, TRAILER, copy_rows
from cloud.ingest.decode import decode_frames
from protocols.frames import Frame, FrameHeader, decode_frame, encode_frame

SAMPLES, CHANNELS = 12, 8
POINTS = SAMPLES * CHANNELS
DEVICES, GATEWAYS, CONNECTIONS = 500, 50, 8
BATCH = 500
RESULTS = Path(__file__).with_name("results") / "ingest.json"
REPOSITORY = Path(__file__).resolve().parents[1]


def make_frames(count: int, boot: int) -> list[tuple[str, bytes]]:
    """(topic, payload) of distinct frames, device after device."""
    random_ = random.Random(boot)
    start = int(time.time() * 1e6) - 86_400_000_000
    bodies = [array("f", [random_.uniform(0, 100) for _ in range(POINTS)]) for _ in range(64)]
    made = []
    for i in range(count):
        device, seq = i % DEVICES, i // DEVICES
        header = FrameHeader(1, boot, seq, start + seq * 12_000_000, 1000, SAMPLES, CHANNELS)
        topic = f"fc/1/up/gw-{device % GATEWAYS}/dev-{device}/telemetry"
        made.append((topic, encode_frame(Frame(header, bodies[i % 64]))))
    return made


def publish_packet(topic: str, payload: bytes, packet: int) -> bytes:
    """An MQTT 3.1.1 PUBLISH, QoS 1."""
    name = topic.encode()
    body = struct.pack(">H", len(name)) + name + struct.pack(">H", packet) + payload
    length, rest = b"", len(body)
    while True:
        rest, digit = divmod(rest, 128)
        length += bytes([digit | (0x80 if rest else 0)])
        if not rest:
            return b"\x32" + length + body


def publisher(port: int, count: int, boot: int, go: Any, done: Any) -> None:
    """Runs in a process: prepare packets, wait for `go`, send; puts its start time and CPU seconds into `done`."""
    buffers: list[list[bytes]] = [[] for _ in range(CONNECTIONS)]
    for i, (topic, payload) in enumerate(make_frames(count, boot)):
        buffers[i % CONNECTIONS].append(publish_packet(topic, payload, i // CONNECTIONS % 65_535 + 1))
    sockets = []
    for i in range(CONNECTIONS):
        sock = socket.create_connection(("127.0.0.1", port))
        name = b"bench-%d-%d" % (boot, i)
        body = b"\x00\x04MQTT\x04\x02\x00\x3c" + struct.pack(">H", len(name)) + name
        sock.sendall(b"\x10" + bytes([len(body)]) + body)
        assert sock.recv(4)[3] == 0
        sockets.append(sock)
    go.wait()
    started, cpu = time.time(), time.process_time()
    threads = [threading.Thread(target=_send, args=pair) for pair in zip(sockets, buffers, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.put((started, time.process_time() - cpu))


def _send(sock: socket.socket, packets: list[bytes]) -> None:
    """Send in pieces of 100 packets, at most 2,000 unacknowledged."""
    acked = 0
    for at in range(0, len(packets), 100):
        sock.sendall(b"".join(packets[at : at + 100]))
        while at + 100 - acked // 4 > 2_000:
            acked += len(sock.recv(65_536))
    while acked < 4 * len(packets):
        acked += len(sock.recv(65_536))


def cpu_seconds(pid: int) -> float:
    """Of a process and its children, those that have ended included."""
    process = psutil.Process(pid)
    times = process.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in process.children(recursive=True):
        try:
            inner = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += inner.user + inner.system
    return float(total)


class Rig:
    """A broker and a database of the benchmark's own."""

    def __init__(self, folder: Path) -> None:
        self.nats = NatsServer(folder / "nats", options=NatsOptions())
        self.postgres = PostgresServer(folder / "postgres")
        self.boot = int(time.time())
        self.nats.start()
        self.postgres.start()
        self._databases = 0

    def fresh_database(self) -> str:
        self._databases += 1
        name = f"bench_{self._databases}"
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
            connection.execute("CHECKPOINT")
        return self.postgres.url(name)

    def measure(
        self,
        frames: int,
        consumer: int,
        newest: Callable[[], tuple[int, float]],
        settled: Callable[[], bool] = lambda: True,
    ) -> dict[str, float]:
        """Publish, wait until `newest` (frames stored, unix time of the last commit) has them all.

        CPU is counted until `settled`: what is put off is paid for too.
        """
        self.boot += 1
        context = multiprocessing.get_context("spawn")
        go, done = context.Event(), context.Queue()
        process = context.Process(target=publisher, args=(self.nats.mqtt_port, frames, self.boot, go, done))
        process.start()
        time.sleep(1.0 + frames / 40_000)  # it prepares its packets
        before = self._cpu(consumer)
        go.set()
        deadline = time.time() + 180
        while newest()[0] < frames:
            if time.time() > deadline:
                raise RuntimeError(f"{newest()[0]} of {frames} frames were stored within 180 s")
            time.sleep(0.05)
        _, last = newest()
        while not settled() and time.time() < deadline:
            time.sleep(0.05)
        after = self._cpu(consumer)
        started, sender = done.get(timeout=30)
        process.join()
        used = {f"{who}_us": (after[who] - before[who]) / frames * 1e6 for who in after}
        return {"frames_s": frames / (last - started), **used, "publisher_us": sender / frames * 1e6}

    def _cpu(self, consumer: int) -> dict[str, float]:
        return {
            "broker": cpu_seconds(self.nats.pid),
            "consumer": cpu_seconds(consumer),
            "database": cpu_seconds(self.postgres.pid),
        }

    def erase(self) -> None:
        self.nats.erase()
        self.postgres.erase()


def run_firstcall(rig: Rig, frames: int, broker_url: str) -> dict[str, float]:
    url = rig.fresh_database()
    asyncio.run(migrate(url))
    environment = {**os.environ, "FIRSTCALL_DB_URL": url, "FIRSTCALL_INGEST_BROKER_URL": broker_url,
                   "FIRSTCALL_INGEST_UPKEEP_INTERVAL_S": "4", "FIRSTCALL_INGEST_INSTANCE": "bench"}  # fmt: skip
    with (
        subprocess.Popen(
            [sys.executable, "-m", "firstcall", "ingest"], env=environment, cwd=REPOSITORY, stderr=subprocess.DEVNULL
        ) as process,
        psycopg.connect(url, autocommit=True) as connection,
    ):

        def newest() -> tuple[int, float]:
            row = connection.execute(
                "SELECT coalesce(sum(frames), 0)::bigint, coalesce(extract(epoch FROM max(committed_at)), 0)::float8"
                " FROM ingest_batch"
            ).fetchone()
            assert row is not None
            return row[0], row[1]

        def rolled_up() -> bool:
            row = connection.execute(
                "SELECT (SELECT max(batch_no) FROM ingest_batch) ="
                " (SELECT batch_no FROM tail_cursor WHERE consumer = 'rollup')"
            ).fetchone()
            return row == (True,)

        try:
            deadline = time.time() + 60
            while connection.execute("SELECT counters->'broker_connected' FROM program_health").fetchone() != (True,):
                if time.time() > deadline:
                    raise RuntimeError("the ingestor did not start")
                time.sleep(0.1)
            return rig.measure(frames, process.pid, newest, rolled_up)
        finally:
            process.terminate()
            process.wait()


SAMPLE_TABLE = (
    "CREATE TABLE sample_row (device text, at timestamptz, boot bigint, seq bigint, "
    + ", ".join(f"c{i} real" for i in range(CHANNELS))
    + ", PRIMARY KEY (device, at, boot, seq))"
)


def sample_rows(topic: str, payload: bytes) -> Iterator[tuple[Any, ...]]:
    frame = decode_frame(payload)
    head, device = frame.header, topic.split("/")[4]
    for sample in range(head.samples):
        at = datetime.fromtimestamp(head.started_at / 1e6 + sample * head.period_ms / 1e3, UTC)
        row = frame.readings[sample * head.channels : (sample + 1) * head.channels]
        yield (device, at, head.boot, head.seq, *row)


def paho_consumer(port: int, url: str, batched: bool, ready: Any, counted: Any, newest: Any) -> None:
    """Runs in a process: what one would write in an afternoon, with acknowledgement after the commit."""
    columns = 4 + CHANNELS
    row = "(" + ", ".join(["%s"] * columns) + ")"
    insert = "INSERT INTO sample_row VALUES " + ", ".join([row] * SAMPLES)
    connection = psycopg.connect(url)
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "bench-consumer", clean_session=False, manual_ack=True)
    waiting: list[paho.MQTTMessage] = []

    def store(messages: list[paho.MQTTMessage]) -> None:
        with connection.cursor() as cursor:
            if batched:
                with cursor.copy("COPY sample_row FROM STDIN") as copy:
                    for message in messages:
                        for row in sample_rows(message.topic, message.payload):
                            copy.write_row(row)
            else:
                for message in messages:
                    cursor.execute(insert, [v for row in sample_rows(message.topic, message.payload) for v in row])
        connection.commit()
        for message in messages:
            client.ack(message.mid, 1)
        counted.value += len(messages)
        newest.value = time.time()

    def received(_client: object, _data: object, message: paho.MQTTMessage) -> None:
        waiting.append(message)
        if not batched or len(waiting) >= BATCH:
            store(waiting)
            waiting.clear()

    client.on_message = received
    client.on_connect = lambda c, *_: c.subscribe("fc/1/up/#", qos=1)
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    while True:  # until the benchmark ends this process
        client.loop(timeout=0.02)


def run_paho(rig: Rig, frames: int, batched: bool) -> dict[str, float]:
    url = rig.fresh_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SAMPLE_TABLE)
    context = multiprocessing.get_context("spawn")
    ready, counted, newest = context.Event(), context.Value("q", 0), context.Value("d", 0.0)
    process = context.Process(
        target=paho_consumer, args=(rig.nats.mqtt_port, url, batched, ready, counted, newest), daemon=True
    )
    process.start()
    try:
        assert ready.wait(30)
        assert process.pid is not None
        return rig.measure(frames, process.pid, lambda: (counted.value, newest.value))
    finally:
        process.terminate()
        process.join()


def run_copy_limit(rig: Rig, frames: int) -> dict[str, float]:
    url = rig.fresh_database()
    asyncio.run(migrate(url))
    made = [payload for _, payload in make_frames(frames, 1)]
    import numpy as np

    buffers = []
    for at in range(0, frames, BATCH):
        (block,) = decode_frames(made[at : at + BATCH]).blocks
        devices = ((block.columns["place"] + at) % DEVICES).astype(np.int32)
        now = int(time.time() * 1e6)
        buffers.append(SIGNATURE + copy_rows(block, devices, devices, at, now) + TRAILER)
    with psycopg.connect(url) as connection:
        start = int(time.time()) - 86_400
        connection.execute("SELECT ensure_frame_partitions(ARRAY[to_timestamp(%s), now()])", [start])
        connection.commit()
        before, client = cpu_seconds(rig.postgres.pid), time.process_time()
        began = time.perf_counter()
        for buffer in buffers:
            with connection.cursor() as cursor, cursor.copy("COPY frame FROM STDIN (FORMAT binary)") as copy:
                copy.write(buffer)
            connection.commit()
        took = time.perf_counter() - began
        return {
            "frames_s": frames / took,
            "consumer_us": (time.process_time() - client) / frames * 1e6,
            "database_us": (cpu_seconds(rig.postgres.pid) - before) / frames * 1e6,
        }


@contextmanager
def a_rig() -> Iterator[Rig]:
    with tempfile.TemporaryDirectory(prefix="firstcall-bench-") as folder:
        Path(folder).chmod(0o755)
        rig = Rig(Path(folder))
        try:
            yield rig
        finally:
            rig.erase()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--frames", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    for number in range(given.rounds):
        with a_rig() as rig:
            mqtt = f"mqtt://127.0.0.1:{rig.nats.mqtt_port}"
            # The paho consumers come first and their session goes: JetStream's own stream is made by the first ingest.
            variants: dict[str, Callable[[], dict[str, float]]] = {
                "insert": lambda: run_paho(rig, max(BATCH, given.frames // 40 // BATCH * BATCH), batched=False),
                "copy": lambda: run_paho(rig, max(BATCH, given.frames // 6 // BATCH * BATCH), batched=True),
                "firstcall-mqtt": lambda: run_firstcall(rig, given.frames // 3, mqtt),  # noqa: B023
                "firstcall": lambda: run_firstcall(rig, given.frames, rig.nats.url),
                "copy-limit": lambda: run_copy_limit(rig, given.frames),
            }
            for name, run in variants.items():
                result = run()
                found.setdefault(name, []).append(result)
                rounded = {key: round(value, 1) for key, value in result.items()}
                print(f"round {number + 1}  {name:15}", json.dumps(rounded), flush=True)
    write(found, given)


def write(found: dict[str, list[dict[str, float]]], given: argparse.Namespace) -> None:
    """Medians, with the machine and the day; printed and kept."""
    variants = {
        name: {key: round(statistics.median(r[key] for r in runs), 1) for key in runs[0]}
        | {"frames_s_of_rounds": [round(r["frames_s"]) for r in runs]}
        for name, runs in found.items()
    }
    for values in variants.values():
        values["points_s"] = round(values["frames_s"] * POINTS)
    ratios = [f["frames_s"] / c["frames_s"] for f, c in zip(found["firstcall"], found["copy"], strict=True)]
    summary = {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "cpu": next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), "unknown"),
        "python": platform.python_version(),
        "frame": f"{SAMPLES} samples x {CHANNELS} channels",
        "frames": given.frames,
        "rounds": given.rounds,
        "times_copy": round(statistics.median(ratios), 2),
        "variants": variants,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(summary, indent=2))


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
