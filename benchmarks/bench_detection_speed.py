"""What the detector costs: CPU a record of eight channels, state a device, checkpoints (docs/detection-speed.md).

    python -m benchmarks.bench_detection_speed [--devices 1000 10000 100000] [--records 3000000] [--replay-hours 6]
        [--profile]

Engine alone: blocks of one record a device.  Service path: stored frames of twelve samples at five seconds through
intake, engine and alarms, as ``firstcall detect`` runs them, without the database.  Replay: the same with a sample a
minute, hours of it end to end (``--devices --replay-hours 720``: thirty days, and nothing else).  Readings are noise
about each device's own level with a slow daily swing; one device in fifty drifts away, so that what is done for
suspicious devices is in the figure; outcomes are learnt as they come.  CPU is this process's own time (user and
system), after a warm-up that every device needs before it has a baseline.  Results go to
``benchmarks/results/detection_speed.json``; what was not measured keeps its place there.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import json
import pstats
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench_simulator import machine
from cloud.detection.alarms import AlarmSettings
from cloud.detection.engine import Engine
from cloud.detection.intake import Intake, StoredFrame
from cloud.detection.pipeline import Pipeline
from cloud.detection.records import Outcome, RecordBlock, Verdict

HERE = Path(__file__).resolve().parent
CHANNELS = tuple(f"c{k}" for k in range(8))
WARM_UP = 45  # records a device until it has a baseline
SAMPLES, PERIOD_S = 12, 5.0  # of a frame: one tick
TICK_S = SAMPLES * PERIOD_S
MODELS = 10
DRIFTING = 50  # one device in so many, by the end of the measurement
FURTHEST = 10.0  # so many sigma from normal


class Readings:
    """Readings of a fleet at successive instants, the same for the same seed."""

    def __init__(self, devices: int, seed: int = 3) -> None:
        self.rng = np.random.default_rng(seed)
        self.names = [f"device-{i:06d}" for i in range(devices)]
        self.level = self.rng.normal(20.0, 3.0, (devices, len(CHANNELS)))
        self.drifting = np.arange(devices) % DRIFTING == 0
        self.common = self.rng.normal(0.0, 1.0, (len(CHANNELS),))

    def at(self, instant: float, drift: float) -> NDArray[np.float64]:
        """Shape (devices, channels) at event time ``instant``; drifting ones are ``drift`` sigma off."""
        swing = np.sin(2.0 * np.pi * instant / 86400.0) * self.common
        values: NDArray[np.float64] = self.level + swing + self.rng.normal(0.0, 0.5, self.level.shape)
        values[self.drifting, 0] += 0.5 * drift
        return values


def blocks(readings: Readings, first: int, count: int, step_s: float, drift: float = 0.0) -> Iterator[RecordBlock]:
    """``count`` instants of one record a device, a block a model at each."""
    for k in range(first, first + count):
        at = k * step_s
        values = readings.at(at, drift)
        for model in range(MODELS):
            rows = slice(model, None, MODELS)
            names = readings.names[rows]
            yield RecordBlock(names, np.full(len(names), at), CHANNELS, values[rows], (), f"model-{model}")


def engine_alone(devices: int, records: int) -> tuple[dict[str, Any], Engine]:
    """CPU a record of ``observe`` and ``learn``; generation of readings is not counted."""
    readings, engine, step = Readings(devices), Engine(seed=1), 60.0
    for block in blocks(readings, 0, WARM_UP, step):
        engine.observe(block)
    rounds = max(records // devices, 10)
    observing = learning = 0.0
    outcomes = tickets = 0
    for k in range(rounds):
        for block in blocks(readings, WARM_UP + k, 1, step, FURTHEST * (k + 1) / rounds):
            began = time.process_time()
            found = engine.observe(block)
            raised = found.raised()
            observing += time.process_time() - began
            tickets += len(raised)
            for judgement in raised:
                right = readings.drifting[int(judgement.device[-6:])]
                verdict = Verdict.FAULT_CONFIRMED if right else Verdict.NO_FAULT_FOUND
                began = time.process_time()
                engine.learn(Outcome(judgement.device, judgement.at, judgement.at + 60.0, verdict, "part"))
                learning += time.process_time() - began
                outcomes += 1
    judged = rounds * devices
    return {
        "devices": devices,
        "records": judged,
        "us_a_record": round((observing + learning) / judged * 1e6, 2),
        "us_of_it_learning": round(learning / judged * 1e6, 3),
        "outcomes": outcomes,
        "tickets": tickets,
    }, engine


def frames(readings: Readings, window: int, drift: float, period_s: float = PERIOD_S) -> list[StoredFrame]:
    """One frame a device, of twelve samples from the beginning of the ``window``-th stretch of twelve periods."""
    start = window * SAMPLES * period_s
    values = np.stack([readings.at(start + k * period_s, drift) for k in range(SAMPLES)], axis=1)
    return [
        StoredFrame(name, 1, window, start, period_s, CHANNELS, values[i], start + SAMPLES * period_s)
        for i, name in enumerate(readings.names)
    ]


def new_pipeline(readings: Readings) -> Pipeline:
    """As the service makes it, with the models known."""
    intake = Intake(lateness=0.0, tick=TICK_S)
    intake.cohorts = {name: f"model-{i % MODELS}" for i, name in enumerate(readings.names)}
    return Pipeline(Engine(seed=1), intake, AlarmSettings())


def service_path(devices: int, records: int, profile: cProfile.Profile | None = None) -> dict[str, Any]:
    """CPU a record of intake, engine and alarms together."""
    readings = Readings(devices)
    pipeline = new_pipeline(readings)
    warm = -(-WARM_UP // SAMPLES)
    for window in range(warm):
        pipeline.take(frames(readings, window, 0.0))
        pipeline.run()
    windows = max(records // (devices * SAMPLES), 3)
    spent, judged, decisions = 0.0, 0, 0
    for window in range(warm, warm + windows):
        batch = frames(readings, window, FURTHEST * (window + 1 - warm) / windows)
        if profile:
            profile.enable()
        began = time.process_time()
        pipeline.take(batch)
        run = pipeline.run()
        spent += time.process_time() - began
        if profile:
            profile.disable()
        judged += run.samples
        decisions += len(run.decisions)
    us = spent / judged * 1e6
    return {
        "devices": devices,
        "records": judged,
        "us_a_record": round(us, 2),
        "records_a_second": round(1e6 / us),
        "decisions": decisions,
    }


def replayed(devices: int, hours: int) -> dict[str, Any]:
    """CPU and time of a real slice of a replay: every device by the minute for ``hours`` of event time, from the
    first record on, in frames that each lie in twelve ticks.  Making the frames is not counted."""
    readings = Readings(devices)
    pipeline = new_pipeline(readings)
    stretches = hours * 3600 // int(SAMPLES * TICK_S)
    cpu, wall, judged = 0.0, 0.0, 0
    for stretch in range(stretches):
        batch = frames(readings, stretch, FURTHEST * stretch / stretches, TICK_S)
        began = time.process_time(), time.perf_counter()
        pipeline.take(batch)
        judged += pipeline.run(flush=stretch == stretches - 1).samples
        cpu, wall = cpu + time.process_time() - began[0], wall + time.perf_counter() - began[1]
        done = (stretch + 1) * SAMPLES * TICK_S / 3600.0
        if stretch % 30 == 29:
            print(
                f"\rreplay: {done:.0f} of {hours} h, {judged / 1e6:.1f} M records, {cpu:.0f} s", end="", file=sys.stderr
            )
    print(file=sys.stderr)
    month = 30 * 1440 * devices
    return {
        "devices": devices,
        "event_hours": hours,
        "records": judged,
        "us_a_record": round(cpu / judged * 1e6, 2),
        "cpu_seconds": round(cpu, 1),
        "seconds": round(wall, 1),
        "records_a_second": round(judged / wall),
        "hours_for_30_days_at_this_cpu_rate": round(month * cpu / judged / 3600.0, 2),
    }


def checkpointed(engine: Engine, devices: int) -> dict[str, Any]:
    """Time and size of a checkpoint and of taking it back; whether it goes on alike."""
    began = time.perf_counter()
    cpu = time.process_time()
    blob = engine.checkpoint()
    cpu, written = time.process_time() - cpu, time.perf_counter() - began
    began = time.perf_counter()
    twin = Engine.restore(blob)
    restored = time.perf_counter() - began
    more = list(blocks(Readings(devices, seed=5), 10_000, 1, 60.0))
    same = all(np.array_equal(engine.observe(b).scores, twin.observe(b).scores) for b in more)
    return {
        "devices": devices,
        "bytes": len(blob),
        "bytes_a_device": round(len(blob) / devices),
        "seconds_to_write": round(written, 2),
        "cpu_seconds_to_write": round(cpu, 2),
        "seconds_to_restore": round(restored, 2),
        "goes_on_alike": same,
    }


def hot_spots(profile: cProfile.Profile, lines: int = 18) -> list[str]:
    """The profile's functions by their own time, as text without folders."""
    text = io.StringIO()
    pstats.Stats(profile, stream=text).strip_dirs().sort_stats("tottime").print_stats(lines)
    rows = text.getvalue().splitlines()
    start = next(i for i, row in enumerate(rows) if "ncalls" in row)
    return [row.rstrip() for row in rows[start : start + lines + 1]]


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print the table, write the results."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--devices", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    ask.add_argument("--records", type=int, default=3_000_000, help="about so many are measured in each cell")
    ask.add_argument("--replay-hours", type=int, default=6, help="event time of the slice that is replayed; 0: none")
    ask.add_argument("--profile", action="store_true", help="profile the service path at 10,000 devices and print it")
    ask.add_argument("--no-write", action="store_true")
    chosen = ask.parse_args(arguments)
    alone, service, kept = [], [], []
    print(
        f"{'devices':>8} {'engine alone':>14} {'service path':>14} {'records/s':>11} {'state':>12} {'checkpoint':>12}"
    )
    for devices in chosen.devices:
        figures, engine = engine_alone(devices, chosen.records)
        kept.append(checkpointed(engine, devices))
        del engine
        alone.append(figures)
        service.append(service_path(devices, chosen.records))
        print(
            f"{devices:>8} {figures['us_a_record']:>11.2f} us {service[-1]['us_a_record']:>11.2f} us "
            f"{service[-1]['records_a_second']:>11} {kept[-1]['bytes_a_device']:>10} B "
            f"{kept[-1]['seconds_to_write']:>10.2f} s",
            flush=True,
        )
    target = HERE / "results" / "detection_speed.json"
    results: dict[str, Any] = json.loads(target.read_text()) if target.exists() else {}
    results |= {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": machine()}
    if chosen.devices:
        results |= {"engine_alone": alone, "service_path": service, "checkpoint": kept}
    if chosen.replay_hours:
        slice_ = results["replay"] = replayed(10_000, chosen.replay_hours)
        print(
            f"replay of {chosen.replay_hours} h of 10,000 devices by the minute: {slice_['records']} records in "
            f"{slice_['seconds']} s, {slice_['records_a_second']} a second, {slice_['us_a_record']} us of CPU a "
            f"record; 30 days are {slice_['hours_for_30_days_at_this_cpu_rate']} h at that rate"
        )
    if chosen.profile:
        profile = cProfile.Profile()
        service_path(10_000, min(chosen.records, 1_000_000), profile)
        results["profile_of_the_service_path"] = hot_spots(profile)
        print("\n".join(results["profile_of_the_service_path"]))
    if not chosen.no_write:
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(results, indent=1) + "\n")
    return results


if __name__ == "__main__":
    main()
