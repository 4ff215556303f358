"""How long things take when nothing is saturated: reading to commit, fault raised to ticket on a screen.

    .venv/bin/python -m benchmarks.bench_latency [--devices 200] [--seconds 20]

Each device sends a frame every five seconds, stamped with the moment of publishing; faults come one by one, each on a
device of its own. A ticket counts as on the screen when the event stream that feeds screens has delivered it; a code
that the dictionary does not know makes a case that says so, and no ticket. All parts run on this machine: the cloud
programs as processes of their own, on embedded NATS and PostgreSQL.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import tempfile
import time
from array import array
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
import httpx
import psycopg

from cloud.engines.account import erase_home
from cloud.engines.ports import free_port
from cloud.engines.settings import EngineSettings
from cloud.registry.importer import Origin, catalogue_folder, import_paths
from cloud.up import Stack, UpSettings, running_stack
from device_sim.failure.life import Span
from device_sim.fleet.population import Appliance, World
from device_sim.fleet.registry_files import lacks, write_registry
from protocols.frames import Frame, FrameHeader, encode_frame
from protocols.messages import Fault
from protocols.topics import Kind, Topic

RESULTS = Path(__file__).parent / "results" / "latency.json"
PERIOD_S = 5.0
CHANNELS = 8


def code_of(one: Appliance) -> str:
    """A fault code that the appliance's model knows, or nothing."""
    return max(one.model.codes.values(), default="")


def percentiles(values: list[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile in ms."""
    cut = statistics.quantiles(values, n=100)
    return {"p50_ms": round(cut[49], 1), "p95_ms": round(cut[94], 1), "p99_ms": round(cut[98], 1), "n": len(values)}


async def publish_frames(client: aiomqtt.Client, fleet: tuple[Appliance, ...], seconds: float) -> None:
    """One-sample frames, evenly spread."""
    boot, pause = int(time.time()), PERIOD_S / len(fleet)
    readings = array("f", [1.0] * CHANNELS)
    begun = asyncio.get_running_loop().time()
    for seq in range(int(seconds / pause)):
        one = fleet[seq % len(fleet)]
        head = FrameHeader(1, boot, seq, time.time_ns() // 1000, 1000, 1, CHANNELS)
        topic = Topic(one.gateway, Kind.TELEMETRY, one.device).build()
        await client.publish(topic, encode_frame(Frame(head, readings)), qos=1)
        await asyncio.sleep(max(0.0, begun + (seq + 1) * pause - asyncio.get_running_loop().time()))


async def raise_faults(client: aiomqtt.Client, fleet: list[Appliance], seconds: float) -> dict[str, float]:
    """One fault a device, evenly spread; device -> moment of publishing, epoch s."""
    raised, boot = {}, int(time.time())
    for one in fleet:
        code = code_of(one)
        at = time.time()
        fault = Fault(at=int(at * 1000), boot=boot, seq=1_000_000, code=code, raised=True)
        await client.publish(Topic(one.gateway, Kind.FAULT, one.device).build(), fault.encode(), qos=1)
        raised[one.device] = at
        await asyncio.sleep(seconds / len(fleet))
    return raised


async def listen(url: str, seen: dict[str, float]) -> None:
    """Note when the event stream delivers each device's first ticket, until cancelled."""
    async with httpx.AsyncClient(timeout=None) as client, client.stream("GET", f"{url}/api/v1/stream") as stream:
        event = ""
        async for line in stream.aiter_lines():
            if line.startswith("event:"):
                event = line[6:].strip()
            elif line.startswith("data:") and event == "ticket":
                seen.setdefault(json.loads(line[5:])["device"], time.time())


async def measure(stack: Stack, fleet: tuple[Appliance, ...], seconds: float) -> dict[str, Any]:
    """Frames and faults together, then what the database and the stream saw of them."""
    address = urlsplit(stack.broker.mqtt_url or "")
    complete = [one for one in fleet if not lacks(one) and code_of(one)][: min(60, len(fleet) // 2)]
    seen: dict[str, float] = {}
    listening = asyncio.create_task(listen(stack.console_url, seen))
    async with (
        aiomqtt.Client(address.hostname or "", address.port or 1883, identifier="frames") as frames,
        aiomqtt.Client(address.hostname or "", address.port or 1883, identifier="faults") as faults,
    ):
        await asyncio.sleep(1)
        playing = asyncio.create_task(publish_frames(frames, fleet, seconds))
        raised = await raise_faults(faults, complete, seconds)
        await playing
    await asyncio.sleep(2)
    with psycopg.connect(stack.database.url) as connection:
        rows = connection.execute(
            "SELECT extract(epoch FROM committed_at - started_at)::float8 * 1000"
            " FROM frame JOIN ingest_batch USING (batch_no)"
        )
        committed = [float(row[0]) for row in rows]
        unanswered = [device for device in raised if device not in seen]
        why = connection.execute(
            "SELECT problem, coalesce(withheld, missing::text) FROM fault_case JOIN device USING (device_no)"
            " WHERE device = ANY (%s)",
            [unanswered],
        ).fetchall()
    listening.cancel()
    return {
        "reading_to_commit": percentiles(committed),
        "fault_to_ticket_on_a_screen": percentiles([(seen[d] - at) * 1000 for d, at in raised.items() if d in seen]),
        "faults_without_a_ticket": len(unanswered),
        "why": sorted({f"{problem}: {reason}" for problem, reason in why}),
    }


async def import_registry(url: str, folder: Path) -> None:
    """The catalogue and the fleet."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
        with catalogue_folder() as shipped:
            await import_paths(connection, [shipped, folder], Origin("bench", None), False)


def main() -> None:
    """Run, print and write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    chosen = parser.parse_args()
    now = time.time()
    fleet = World(seed=1, span=Span(now - 86_400, now), appliances=chosen.devices).populate()
    home = Path(tempfile.mkdtemp(prefix="firstcall-latency-"))
    write_registry(home / "registry", fleet)
    try:
        with running_stack(
            UpSettings(),
            EngineSettings(home=home / "var"),
            console_port=free_port(),
            prepare=lambda url: asyncio.run(import_registry(url, home / "registry")),
        ) as stack:
            stack.wait_until_ready(60)
            found = asyncio.run(measure(stack, fleet, chosen.seconds))
    finally:
        erase_home(home / "var" / "postgres")
    about = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "devices": chosen.devices,
        "load_average": round(os.getloadavg()[0], 1),
    }
    RESULTS.write_text(json.dumps(about | found, indent=1) + "\n")
    print(json.dumps(about | found, indent=1))


if __name__ == "__main__":
    main()
