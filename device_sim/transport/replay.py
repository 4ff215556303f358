"""Recorded machines through real agents, as fast as the receipts come back."""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from device_sim.fleet.registry_files import write_machines
from device_sim.fleet.truth import iso
from device_sim.transport.clocks import LockstepClock
from device_sim.transport.findings import Finding, FindingFeed
from device_sim.transport.fleet_run import LEDGER, TRUTH, Outcome, Progress
from device_sim.transport.ledger import AccountedAgent, SentLedger, played_out
from device_sim.transport.recordings import Happening, Recording
from edge_agent.ports import Description, Reading, SelfTestOutcome
from edge_agent.settings import (
    BrokerSettings,
    DeviceSettings,
    EdgeSettings,
    FaultSettings,
    SamplingSettings,
    SpoolSettings,
    UplinkSettings,
)
from protocols.messages import ChannelSet

UNDER_WAY = 250
"""Messages without a receipt at which time stands still."""

VERDICT_DELAY_S = 86_400.0
"""A failure is known to the cloud so long after it happened, as in the shared measurements."""


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """How recordings are played.

    database: where findings go (None: only into a file). end_at: shift event time so that the last reading is at this
    moment (None: as recorded). speed: at most so many recorded seconds a second (0: no bound).
    """

    broker: str
    folder: Path
    machines_per_gateway: int = 5
    database: str | None = None
    end_at: float | None = None
    speed: float = 0.0
    drain_s: float = 60.0
    qos: int = 1
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None


class RecordedMachine:
    """A recording behind the agent's driver port: each row at its own time, fault codes in the row they came in."""

    def __init__(self, recording: Recording, clock: LockstepClock) -> None:
        self._recording = recording
        self._clock = clock
        self._next = 0
        self._left = False
        self._code_times = [code.at for code in recording.codes]

    async def open(self) -> Description:
        """Describe the machine."""
        return Description(ChannelSet.of(self._recording.channels, round(self._recording.period_s * 1000)), "recorded")

    async def read(self, at: float) -> Reading | None:
        """The next row, once its time has come; None after the last."""
        recording = self._recording
        if self._next >= len(recording.times):
            if not self._left:
                self._left = True
                self._clock.leave()
            return None
        row_at = float(recording.times[self._next])
        await self._clock.sleep_until(row_at)
        values = tuple(recording.values[self._next].tolist())
        self._next += 1
        first = bisect.bisect_left(self._code_times, row_at)
        last = bisect.bisect_left(self._code_times, row_at + recording.period_s)
        return Reading(row_at, values, frozenset(code.name for code in recording.codes[first:last]))

    async def self_test(self) -> SelfTestOutcome:
        """A recording cannot be tested."""
        return SelfTestOutcome(passed=False, detail="a recording has no self-test")

    async def close(self) -> None:
        """Nothing to let go."""


def shifted(recordings: Sequence[Recording], end_at: float | None) -> list[Recording]:
    """The same recordings, moved in time so that the last reading of all is at `end_at` (s); None: unmoved."""
    if end_at is None or not recordings:
        return list(recordings)
    by = end_at - max(float(recording.times[-1]) for recording in recordings)
    return [
        replace(
            recording,
            times=recording.times + by,
            codes=_moved(recording.codes, by),
            failures=_moved(recording.failures, by),
            replacements=_moved(recording.replacements, by),
            fault=_moved((recording.fault,), by)[0] if recording.fault else None,
        )
        for recording in recordings
    ]


def gateways_of(recordings: Sequence[Recording], machines_per_gateway: int) -> dict[str, list[Recording]]:
    """Recordings by the gateway that plays them."""
    return {
        f"replay-{recordings[0].family}-{place // machines_per_gateway}": list(
            recordings[place : place + machines_per_gateway]
        )
        for place in range(0, len(recordings), machines_per_gateway)
    }


def findings_of(recordings: Sequence[Recording]) -> list[Finding]:
    """Failures as confirmed faults, a day late; parts replaced without a failure as visits that found no fault."""
    found = []
    for recording in recordings:
        broken = {(failure.at, failure.name) for failure in recording.failures}
        first, last = float(recording.times[0]), float(recording.times[-1])
        found += [
            Finding(recording.device, "fault_confirmed", at + VERDICT_DELAY_S, at, part=part, note="recorded failure")
            for at, part in sorted(broken)
            if at + VERDICT_DELAY_S <= last
        ]
        found += [
            Finding(recording.device, "no_fault_found", one.at, part=one.name, note="recorded replacement")
            for one in recording.replacements
            if first <= one.at <= last and (one.at, one.name) not in broken
        ]
    return found


def truth_of(recordings: Sequence[Recording], gateways: dict[str, list[Recording]]) -> list[dict[str, Any]]:
    """Ground truth lines as `fleet.truth` writes them; a recorded failure has no onset, only its moment."""
    gateway_of = {one.device: gateway for gateway, machines in gateways.items() for one in machines}
    lines: list[dict[str, Any]] = []
    for recording in recordings:
        moments: dict[float, list[str]] = {}
        for failure in recording.failures:
            moments.setdefault(failure.at, []).append(failure.name)
        happened: list[tuple[float | None, float | None, str]] = [
            (None, at, "+".join(sorted(parts))) for at, parts in sorted(moments.items())
        ]
        if recording.fault:
            happened.append((recording.fault.at, None, recording.fault.name))
        about = {
            "device": recording.device, "gateway": gateway_of[recording.device], "model": recording.model,
            "family": recording.family,
        }  # fmt: skip
        for number, (onset, failed, kind) in enumerate(happened):
            lines.append(
                {
                    "record": "fault", "fault": f"{recording.device}-{number}", **about, "kind": kind,
                    "class": "machine", "part": kind, "code": None, "onset": iso(onset),
                    "first_observable": iso(onset), "codes": [], "failure": iso(failed), "noticed": iso(failed),
                    "ended": iso(failed), "end": "repaired" if failed else "censored",
                }
            )  # fmt: skip
        lines.append(
            {
                "record": "device", **about, "from": iso(float(recording.times[0])),
                "to": iso(float(recording.times[-1])), "faults": len(happened), "failures": len(moments),
                "spurious_codes": [], "silences": [],
            }
        )  # fmt: skip
    return lines


def write_machine_registry(recordings: Sequence[Recording], settings: ReplaySettings) -> list[Path]:
    """Write the registry files of recorded machines: a made-up model, owner and code dictionary for each kind."""
    recordings = shifted(recordings, settings.end_at)
    machines = [
        {
            "device": one.device,
            "gateway": gateway,
            "model": one.model,
            "family": one.family,
            "since": iso(float(one.times[0]) - VERDICT_DELAY_S) or "",
        }
        for gateway, played in gateways_of(recordings, settings.machines_per_gateway).items()
        for one in played
    ]
    codes = [code.name for one in recordings for code in one.codes]
    return write_machines(settings.folder / "registry", machines, codes)


async def replay(
    recordings: Sequence[Recording], settings: ReplaySettings, watch: Callable[[Progress], None] = lambda _: None
) -> Outcome:
    """Play recordings to their end and wait for the receipts; truth, ledger and findings go to the folder."""
    recordings = shifted(recordings, settings.end_at)
    gateways = gateways_of(recordings, settings.machines_per_gateway)
    settings.folder.mkdir(parents=True, exist_ok=True)
    lines = truth_of(recordings, gateways)
    (settings.folder / TRUTH).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    agents: list[AccountedAgent] = []
    start = min(float(recording.times[0]) for recording in recordings)
    feed = FindingFeed(findings_of(recordings), settings.folder, settings.database)
    sleepers = len(recordings) + (1 if settings.database else 0)
    clock = LockstepClock(
        start,
        sleepers,
        lambda: sum(agent.spool.depth.messages for agent in agents) > UNDER_WAY,
        speed=settings.speed,
    )
    began = time.monotonic()
    with (settings.folder / LEDGER).open("a", encoding="utf-8") as out:
        ledger = SentLedger(out)
        try:
            async with AsyncExitStack() as stack:
                for gateway, machines in gateways.items():
                    agent = AccountedAgent(
                        _edge_settings(gateway, machines, settings),
                        drivers={one.device: RecordedMachine(one, clock) for one in machines},
                        clock=clock,
                        every_sample=True,
                    )
                    agent.ledger = ledger
                    agents.append(await stack.enter_async_context(agent))
                waiting = await _play(agents, feed, clock, drain_s=settings.drain_s, ledger=ledger, watch=watch)
        finally:
            ledger.flush()
    faults = sum(line["record"] == "fault" for line in lines)
    return Outcome(time.monotonic() - began, faults, dict(ledger.messages), waiting)


async def _play(
    agents: Sequence[AccountedAgent],
    feed: FindingFeed,
    clock: LockstepClock,
    *,
    drain_s: float,
    ledger: SentLedger,
    watch: Callable[[Progress], None],
) -> int:
    def progress() -> Progress:
        return Progress(
            at=clock.now(),
            connected=sum(agent.connected for agent in agents),
            gateways=len(agents),
            accepted=dict(ledger.messages),
            freed=sum(agent.counters.freed for agent in agents),
            waiting=sum(agent.spool.depth.messages for agent in agents),
            cuts=0,
        )

    async def look() -> None:
        while True:
            watch(progress())
            ledger.flush()
            await asyncio.sleep(1.0)

    async def tell() -> None:
        await feed.run(clock)
        if feed.sleeps:
            clock.leave()

    looking = asyncio.create_task(look(), name="progress")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(tell(), name="findings")
            for agent in agents:
                group.create_task(played_out(agent), name="played out")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                await asyncio.gather(*(agent.wait_drained() for agent in agents))
        return progress().waiting
    finally:
        looking.cancel()
        watch(progress())


def _edge_settings(gateway: str, machines: Sequence[Recording], settings: ReplaySettings) -> EdgeSettings:
    return EdgeSettings(
        gateway=gateway,
        broker=BrokerSettings(
            url=settings.broker, qos=1 if settings.qos else 0, username=settings.username,
            password_file=settings.password_file, ca_file=settings.ca_file,
        ),
        uplink=UplinkSettings(window_messages=1000),
        spool=SpoolSettings(
            path=str(settings.folder / "spools" / f"{gateway}.db"), synchronous="normal", max_age_h=87_600
        ),
        devices=tuple(
            DeviceSettings(
                id=one.device,
                driver="recording",
                sampling=SamplingSettings(frame_seconds=min(600.0, 10 * one.period_s)),
                faults=FaultSettings(freeze_before_s=0.0, freeze_after_s=0.0),
            )
            for one in machines
        ),
    )  # fmt: skip


def _moved(happenings: Sequence[Happening], by: float) -> tuple[Happening, ...]:
    return tuple(Happening(one.at + by, one.name) for one in happenings if math.isfinite(one.at))
