"""RSS and CPU of the agent for 10 appliances at 1 Hz: a real process, a real broker, receipts as in life.

    python benchmarks/bench_edge.py [--broker nats|mosquitto] [--seconds 60] [--frame-seconds 12]

Ten recorded drivers of 8 channels play at 1 Hz; a small cloud commits each message and gives its receipt. CPU is the
process' own (user and system) between the tenth second and the end; RSS is read at the end. Aim: 40 MiB, 2 % of a core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from cloud.engines.nats import NatsServer  # noqa: E402
from tests.edge.receipting_cloud import ReceiptingCloud  # noqa: E402
from tests.support.mosquitto import Mosquitto  # noqa: E402

DEVICES = 10
CHANNELS = 8
SETTLE_S = 10.0
LEAN = {"PYTHONOPTIMIZE": "2", "MALLOC_ARENA_MAX": "1"}
"""The environment that deploy's service file sets: no docstrings, one heap."""


def write_gateway(folder: Path, port: int, frame_seconds: float) -> Path:
    """A gateway.toml with ten devices that play one recording, at the time at which they play it."""
    names = [f"channel_{n}" for n in range(CHANNELS)]
    rows = [
        ",".join([str(1_700_000_000 + t), *(f"{20 + n + math.sin(t / 50 + n):.3f}" for n in range(CHANNELS))])
        for t in range(3600)
    ]
    (folder / "recording.csv").write_text("\n".join([",".join(["at", *names]), *rows]) + "\n")
    devices = "".join(
        f'[[devices]]\nid = "dev-{n}"\ndriver = "recorded"\n'
        'options = { file = "recording.csv", timing = "now", loop = true }\n'
        f"sampling = {{ frame_seconds = {frame_seconds} }}\n"
        for n in range(DEVICES)
    )
    file = folder / "gateway.toml"
    file.write_text(f'gateway = "gw-bench"\n[broker]\nurl = "mqtt://127.0.0.1:{port}"\n{devices}')
    return file


async def measure(port: int, folder: Path, seconds: float, frame_seconds: float, lean: bool) -> dict[str, float]:
    """Run the agent and take its figures."""
    configuration = write_gateway(folder, port, frame_seconds)
    async with ReceiptingCloud(port) as cloud:
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge_agent", "run", "--config", str(configuration), "--log-level", "warning",
            cwd=REPOSITORY, env={**os.environ, **(LEAN if lean else {})},
        )  # fmt: skip
        try:
            await cloud.until(cloud.frames)
            first_frame = time.monotonic() - began
            await asyncio.sleep(SETTLE_S)
            agent = psutil.Process(process.pid)
            before, since = agent.cpu_times(), time.monotonic()
            committed = len(cloud.committed)
            await asyncio.sleep(seconds)
            after, elapsed = agent.cpu_times(), time.monotonic() - since
            memory = agent.memory_full_info()
        finally:
            process.terminate()
            await process.wait()
        messages = len(cloud.committed) - committed
    spent = after.user + after.system - before.user - before.system
    return {
        "rss_mib": round(memory.rss / 2**20, 1),
        "uss_mib": round(memory.uss / 2**20, 1),
        "cpu_percent_of_a_core": round(100 * spent / elapsed, 2),
        "messages_committed_per_s": round(messages / elapsed, 2),
        "first_frame_s": round(first_frame, 2),
        "seconds": round(elapsed),
    }


def main() -> None:
    """Print the figures as JSON, plain and lean."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--broker", choices=("nats", "mosquitto"), default="nats")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--frame-seconds", type=float, default=12)
    chosen = parser.parse_args()
    figures: dict[str, object] = {
        "benchmark": "edge agent, 10 appliances x 8 channels at 1 Hz",
        "broker": chosen.broker,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "frame_seconds": chosen.frame_seconds,
    }
    with tempfile.TemporaryDirectory(prefix="bench-edge-") as text:
        folder = Path(text)
        folder.chmod(0o755)
        (folder / "broker").mkdir()
        broker = NatsServer(folder / "broker" / "nats") if chosen.broker == "nats" else Mosquitto(folder / "broker")
        broker.start()
        try:
            for name, lean in (("plain", False), ("lean", True)):
                own = folder / name
                own.mkdir()
                figures[name] = asyncio.run(measure(broker.mqtt_port, own, chosen.seconds, chosen.frame_seconds, lean))
        finally:
            broker.stop()
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
