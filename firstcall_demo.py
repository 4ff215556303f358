"""`firstcall demo`: the whole chain on one machine, from simulated appliances to tickets on the console.

The one place that wires all three sides together: embedded engines and cloud programs (`cloud.up`), simulated
appliances on real edge agents (`device_sim`), and a crew that works tickets as people would. Everything is removed at
the end, however it ends.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from psycopg import AsyncConnection, OperationalError

from cloud.desk import tickets
from cloud.desk.errors import DeskError
from cloud.engines.account import erase_home
from cloud.engines.errors import EngineError
from cloud.engines.ports import can_listen, free_port
from cloud.engines.settings import EngineSettings
from cloud.registry.importer import Origin, catalogue_folder, import_paths
from cloud.up import ProgramEnded, Stack, UpSettings, running_stack
from device_sim.fleet.demo import demo_fleet
from device_sim.fleet.population import Appliance
from device_sim.fleet.registry_files import write_registry
from device_sim.transport.fleet_run import Fleet, FleetSettings, Outcome, Progress
from device_sim.transport.recordings import load
from device_sim.transport.replay import ReplaySettings, replay, write_machine_registry
from device_sim.transport.report import Report, report

SPAN = timedelta(days=14)
PERIOD_S = 300.0
LATENESS_WALL_S = 3.0
"""Seconds of real time for which the detector waits for stragglers; in simulated time it is many times as much."""

CREW = "demo crew"
CALL_AFTER = timedelta(hours=3)
VISIT_AFTER = timedelta(hours=24)
SETTLE_S = 4.0
HORIZON = timedelta(hours=72)
"""Recorded machines: a failure so soon after a ticket was meant by it."""


@dataclass(slots=True)
class Watch:
    """What the demo has seen so far. `first_ticket_s`: real seconds from the start to the first ticket."""

    began: float
    progress: Progress | None = None
    tickets: int = 0
    first_ticket_s: float | None = None

    def line(self) -> str:
        """The state of things on one line."""
        seen = self.progress
        if seen is None:
            return "the fleet is starting"
        day = datetime.fromtimestamp(seen.at, UTC)
        frames = seen.accepted.get("telemetry", 0)
        return (
            f"{day:%d %b %H:%M}  {seen.connected}/{seen.gateways} gateways  {frames} frames, "
            f"{seen.freed} messages receipted, {seen.waiting} waiting  {self.tickets} tickets"
        )


def demo(
    *,
    minutes: Annotated[float, typer.Option(min=0.5, help="Length of the story; two weeks pass in it.")] = 6.0,
    headless: Annotated[bool, typer.Option("--headless", help="End by itself after the story.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the console; 0 or a taken one: any free.")] = 8080,
    devices: Annotated[int, typer.Option(min=12, max=400, help="Simulated appliances, four behind a gateway.")] = 40,
    seed: Annotated[int, typer.Option(help="Same seed, same fleet, same faults.")] = 7,
    recorded: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Play recorded machines instead, as fast as receipts come."),
    ] = None,
) -> None:
    """Run everything on this machine: engines, cloud, a simulated fleet, the console. Ctrl-C ends it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    signal.signal(signal.SIGTERM, _as_interrupt)
    signal.signal(signal.SIGHUP, _as_interrupt)
    watch = Watch(time.monotonic())
    home = Path(tempfile.mkdtemp(prefix="firstcall-demo-"))
    try:
        with ExitStack() as cleaning:
            cleaning.callback(_erase, home)
            chosen = (
                fleet_scenario(home, minutes, devices, seed) if recorded is None else replay_scenario(home, recorded)
            )
            code = _run(home, chosen, watch, headless=headless, port=port)
    except KeyboardInterrupt:
        sys.exit("stopped before the story began")
    except (ProgramEnded, EngineError, TimeoutError) as error:
        sys.exit(f"the demo ended: {error}")
    raise typer.Exit(code)


@dataclass(frozen=True)
class Scenario:
    """What is played. `play` is given the broker's MQTT URL, the database's URL and whom to tell of the progress.

    `diagnose` says what an engineer finds at a device, given when the ticket was raised and the time of the visit;
    None: that cannot be known yet. `lateness_s`, `tick_s`: the detector's bounds in event time.
    """

    folder: Path
    play: Callable[[str, str, Callable[[Progress], None]], Coroutine[Any, Any, Outcome]]
    diagnose: Callable[[str, float, float], tickets.Finding | None]
    lateness_s: float
    tick_s: float


def fleet_scenario(home: Path, minutes: float, devices: int, seed: int) -> Scenario:
    """Simulated appliances in accelerated time, with faults placed so that something happens while somebody looks."""
    end = datetime.now(UTC).timestamp() // PERIOD_S * PERIOD_S
    world, fleet = demo_fleet(seed, end - SPAN.total_seconds(), end, appliances=devices)
    speed = SPAN.total_seconds() / (minutes * 60.0)
    folder = home / "run"
    write_registry(folder / "registry", fleet)
    by_device = {one.device: one for one in fleet}

    def play(broker: str, database: str, watch: Callable[[Progress], None]) -> Coroutine[Any, Any, Outcome]:
        settings = FleetSettings(broker=broker, folder=folder, speed=speed, period_s=PERIOD_S)
        return Fleet(seed, fleet, world.span, settings).run(watch)

    def diagnose(device: str, raised_at: float, visit_at: float) -> tickets.Finding | None:
        return _seen_at(by_device.get(device), visit_at)

    return Scenario(folder, play, diagnose, speed * LATENESS_WALL_S, max(60.0, speed * 0.25))


def replay_scenario(home: Path, recorded: Path) -> Scenario:
    """Recorded machines; a ticket is confirmed when the machine failed within the horizon after it."""
    recordings = load(recorded)
    settings = ReplaySettings(broker="", folder=home / "run")
    write_machine_registry(recordings, settings)
    failures = {one.device: one.failures for one in recordings}
    period = max(one.period_s for one in recordings)

    def play(broker: str, database: str, watch: Callable[[Progress], None]) -> Coroutine[Any, Any, Outcome]:
        return replay(recordings, replace(settings, broker=broker, database=database), watch)

    def diagnose(device: str, raised_at: float, visit_at: float) -> tickets.Finding | None:
        for failure in failures.get(device, ()):
            if raised_at <= failure.at + 86_400.0 and failure.at <= raised_at + HORIZON.total_seconds():
                known_at = failure.at + 86_400.0
                return _confirmed(None, failure.name, known_at) if visit_at >= known_at else None
        over = raised_at + HORIZON.total_seconds() + 86_400.0
        return tickets.Finding(tickets.Outcome.NO_FAULT_FOUND, found_at=_when(over)) if visit_at >= over else None

    return Scenario(settings.folder, play, diagnose, lateness_s=12 * period, tick_s=min(period, 3600.0))


def _run(home: Path, scenario: Scenario, watch: Watch, *, headless: bool, port: int) -> int:
    with running_stack(
        UpSettings(),
        EngineSettings(home=home / "var"),
        console_port=port if port and can_listen(port) else free_port(),
        environment={
            "FIRSTCALL_DESK_CLOCK": "event",
            "FIRSTCALL_TRIAGE_QUEUE_S": "1",
            "FIRSTCALL_DETECT_LATENESS_S": f"{scenario.lateness_s:.0f}",
            "FIRSTCALL_DETECT_TICK_S": f"{scenario.tick_s:.0f}",
        },
        prepare=lambda url: asyncio.run(_import_registry(url, scenario.folder / "registry")),
        tell=_tell,
    ) as stack:
        stack.wait_until_ready(60, _tell)
        _tell(f"the console is at {stack.console_url}")
        return asyncio.run(Story(stack, scenario, watch).tell(headless=headless))


class Story:
    """The running demo: player, crew and watch over one stack."""

    def __init__(self, stack: Stack, scenario: Scenario, watch: Watch) -> None:
        self._stack = stack
        self._scenario = scenario
        self._watch = watch
        self._stop = asyncio.Event()

    async def tell(self, *, headless: bool) -> int:
        """Play the story to its end, or until a signal; print the summary. Returns the exit status."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        url = self._stack.database.url
        player = self._scenario.play(self._stack.broker.mqtt_url or "", url, self._saw)
        playing = asyncio.create_task(player, name="player")
        parts = {"crew": Crew(url, self._scenario, self._watch).work(), "checks": self._check(), "show": self._show()}
        beside = [asyncio.create_task(part, name=name) for name, part in parts.items()]
        try:
            await self._until_done(playing, beside, headless=headless)
            return await self._sum_up()
        finally:
            for task in (playing, *beside):
                task.cancel()
            await asyncio.gather(playing, *beside, return_exceptions=True)

    async def _until_done(self, playing: asyncio.Task[Any], beside: list[asyncio.Task[Any]], *, headless: bool) -> None:
        stopping = asyncio.create_task(self._stop.wait(), name="signal")
        try:
            await asyncio.wait({stopping, playing, *beside}, return_when=asyncio.FIRST_COMPLETED)
            _raise_if_failed([playing, *beside])
            if playing.done() and not headless and not self._stop.is_set():
                _tell("the story is over; the console stays until Ctrl-C")
                await asyncio.wait({stopping, *beside}, return_when=asyncio.FIRST_COMPLETED)
                _raise_if_failed(beside)
            if not playing.done():
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)
        finally:
            stopping.cancel()

    async def _sum_up(self) -> int:
        await asyncio.sleep(SETTLE_S)  # the last frames are committed; detector and desk follow within a second or two
        result = await asyncio.to_thread(report, self._scenario.folder, self._stack.database.url)
        _print_summary(result, self._watch)
        return 0 if result.nothing_lost else 1

    async def _check(self) -> None:
        while True:
            self._stack.check()
            await asyncio.sleep(0.5)

    async def _show(self) -> None:
        terminal = sys.stderr.isatty()
        while True:
            await asyncio.sleep(1.0 if terminal else 10.0)
            if terminal:
                typer.echo(f"\r\033[K{self._watch.line()}", nl=False, err=True)
            else:
                _tell(self._watch.line())

    def _saw(self, progress: Progress) -> None:
        self._watch.progress = progress


class Crew:
    """Phone agents and engineers: they confirm, call, visit and report what they find, in event time."""

    def __init__(self, url: str, scenario: Scenario, watch: Watch) -> None:
        self._url = url
        self._scenario = scenario
        self._watch = watch

    async def work(self) -> None:
        """Look at the queue about twice a second, until cancelled."""
        async with await AsyncConnection.connect(self._url, autocommit=True, options="-c timezone=UTC") as connection:
            while True:
                await asyncio.sleep(0.5)
                await self._look(connection)

    async def _look(self, connection: AsyncConnection[Any]) -> None:
        row: Any = await (await connection.execute("SELECT count(*) FROM ticket")).fetchone()
        self._watch.tickets = int(row[0])
        if self._watch.tickets and self._watch.first_ticket_s is None:
            self._watch.first_ticket_s = time.monotonic() - self._watch.began
            _tell(f"the first proactive ticket is on the screen after {self._watch.first_ticket_s:.0f} s")
        if self._watch.progress is None:
            return
        now = datetime.fromtimestamp(self._watch.progress.at, UTC)
        for card in await tickets.list_open(connection, at_most=200):
            with suppress(DeskError):  # somebody at the console was faster, or the desk withdrew it
                await self._step(connection, card, now)

    async def _step(self, connection: AsyncConnection[Any], card: tickets.TicketCard, now: datetime) -> None:
        age = now - card.raised_at
        if card.state == "proposed" and age > CALL_AFTER / 2:
            await tickets.confirm(connection, card.ticket_no, CREW, "the readings speak for it", at=now)
        elif card.state == "confirmed" and age > CALL_AFTER:
            await tickets.contact(connection, card.ticket_no, CREW, at=now)
        elif card.state == "contacted":
            await tickets.schedule(connection, card.ticket_no, CREW, card.raised_at + VISIT_AFTER, at=now)
        elif card.state == "scheduled" and age >= VISIT_AFTER:
            found = self._scenario.diagnose(card.device, card.raised_at.timestamp(), now.timestamp())
            if found is not None:
                await tickets.resolve(connection, card.ticket_no, CREW, found, at=now)


def _seen_at(appliance: Appliance | None, visit_at: float) -> tickets.Finding:
    """What an engineer sees with their own eyes: a fault that is there, or was until a day ago."""
    for episode in () if appliance is None else appliance.life.episodes:
        ended = episode.ended_at
        if episode.onset <= visit_at and (ended is None or visit_at < ended + 86_400.0):
            assert appliance is not None
            code = appliance.model.codes.get(episode.mode.kind, episode.mode.code)
            return _confirmed(code, episode.mode.part, visit_at)
    return tickets.Finding(tickets.Outcome.NO_FAULT_FOUND, found_at=_when(visit_at))


def _confirmed(code: str | None, part: str, found_at: float) -> tickets.Finding:
    return tickets.Finding(tickets.Outcome.FAULT_CONFIRMED, code=code, part=part, found_at=_when(found_at))


def _when(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


async def _import_registry(url: str, folder: Path) -> None:
    async with await AsyncConnection.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
        with catalogue_folder() as shipped:
            await import_paths(connection, [shipped, folder], Origin("demo", None), False)


def _print_summary(result: Report, watch: Watch) -> None:
    frames, seen = result.frames, result.foresight
    lead = "none" if seen.median_lead_h is None else f"{seen.median_lead_h:.1f} h"
    first = "none" if watch.first_ticket_s is None else f"after {watch.first_ticket_s:.0f} s"
    rows = [
        ("frames sent / committed / lost", f"{frames.accepted} / {frames.committed} / {frames.lost}"),
        ("still in a spool, dropped, dead letters", f"{frames.waiting}, {frames.dropped}, {frames.dead}"),
        ("faults injected, of them failed", f"{seen.faults}, {seen.failures}"),
        ("tickets raised, the first", f"{seen.tickets}, {first}"),
        (
            "failures with a ticket before, a day before",
            f"{seen.failures_with_ticket_before}, {seen.failures_with_ticket_a_day_before} of {seen.failures}",
        ),
        ("called before the customer noticed", f"{seen.called_before_noticed} of {seen.noticed}"),
        ("median lead time", lead),
        ("false tickets", f"{seen.false_tickets}"),
    ]
    width = max(len(name) for name, _ in rows)
    typer.echo("\n" + "\n".join(f"{name:<{width}}  {value}" for name, value in rows))


def _raise_if_failed(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, OperationalError):
                raise ProgramEnded(f"the database went away: {error}") from error
            raise error


def _erase(home: Path) -> None:
    erase_home(home / "var" / "postgres")
    shutil.rmtree(home, ignore_errors=True)


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _tell(text: str) -> None:
    prefix = "\r\033[K" if sys.stderr.isatty() else ""
    typer.echo(f"{prefix}{text}", err=True)
