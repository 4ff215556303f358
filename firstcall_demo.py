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
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
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
from device_sim.failure.modes import Episode
from device_sim.fleet.demo import demo_fleet
from device_sim.fleet.population import Appliance
from device_sim.fleet.registry_files import write_registry
from device_sim.transport.fleet_run import Fleet, FleetSettings, Progress
from device_sim.transport.report import Report, report

SPAN = timedelta(days=14)
PERIOD_S = 120.0
LATENESS_WALL_S = 2.0
"""Seconds of real time for which the detector waits for stragglers; in simulated time it is many times as much."""

CREW = "demo crew"
CALL_AFTER = timedelta(hours=3)
VISIT_AFTER = timedelta(hours=24)
SETTLE_S = 4.0


@dataclass(slots=True)
class Watch:
    """What the demo has seen so far. `first_ticket_s`: real seconds from the start to the first ticket."""

    began: float
    progress: Progress | None = None
    tickets: int = 0
    first_ticket_s: float | None = None
    worked: set[int] = field(default_factory=set)

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
    minutes: Annotated[float, typer.Option(min=0.5, help="Length of the story; two weeks pass in it.")] = 6.0,
    headless: Annotated[bool, typer.Option("--headless", help="End by itself after the story.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the console; 0 or a taken one: any free.")] = 8080,
    devices: Annotated[int, typer.Option(min=12, max=400, help="Simulated appliances, four behind a gateway.")] = 40,
    seed: Annotated[int, typer.Option(help="Same seed, same fleet, same faults.")] = 7,
) -> None:
    """Run everything on this machine: engines, cloud, a simulated fleet, the console. Ctrl-C ends it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    signal.signal(signal.SIGTERM, _as_interrupt)
    signal.signal(signal.SIGHUP, _as_interrupt)
    began = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="firstcall-demo-"))
    try:
        with ExitStack() as cleaning:
            cleaning.callback(_erase, home)
            code = _run(home, Watch(began), minutes, headless=headless, port=port, devices=devices, seed=seed)
    except KeyboardInterrupt:
        sys.exit("stopped before the story began")
    except (ProgramEnded, EngineError, TimeoutError) as error:
        sys.exit(f"the demo ended: {error}")
    raise typer.Exit(code)


def _run(home: Path, watch: Watch, minutes: float, *, headless: bool, port: int, devices: int, seed: int) -> int:
    end = datetime.now(UTC).timestamp() // PERIOD_S * PERIOD_S
    world, fleet = demo_fleet(seed, end - SPAN.total_seconds(), end, appliances=devices)
    speed = SPAN.total_seconds() / (minutes * 60.0)
    write_registry(home / "registry", fleet)
    settings = {
        "FIRSTCALL_DESK_CLOCK": "event",
        "FIRSTCALL_DETECT_LATENESS_S": str(round(speed * LATENESS_WALL_S)),
        "FIRSTCALL_DETECT_TICK_S": str(round(max(60.0, speed * 0.25))),
    }
    with running_stack(
        UpSettings(),
        EngineSettings(home=home / "var"),
        console_port=port if port and can_listen(port) else free_port(),
        environment=settings,
        prepare=lambda url: asyncio.run(_import_registry(url, home / "registry")),
        tell=_tell,
    ) as stack:
        stack.wait_until_ready(60, _tell)
        _tell(f"the console is at {stack.console_url}")
        playing = FleetSettings(
            broker=stack.broker.mqtt_url or "", folder=home / "fleet", speed=speed, period_s=PERIOD_S
        )
        story = Story(stack, Fleet(seed, fleet, world.span, playing), fleet, watch, playing.folder)
        return asyncio.run(story.tell(headless=headless))


class Story:
    """The running demo: fleet, crew and watch over one stack."""

    def __init__(self, stack: Stack, player: Fleet, fleet: tuple[Appliance, ...], watch: Watch, folder: Path) -> None:
        self._stack = stack
        self._player = player
        self._fleet = fleet
        self._watch = watch
        self._folder = folder
        self._stop = asyncio.Event()

    async def tell(self, *, headless: bool) -> int:
        """Play the story to its end, or until a signal; print the summary. Returns the exit status."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        playing = asyncio.create_task(self._player.run(self._saw), name="fleet")
        beside = [asyncio.create_task(part, name=name) for name, part in self._side_parts().items()]
        try:
            await self._until_done([playing, *beside], playing, headless=headless)
            return await self._sum_up()
        finally:
            for task in (playing, *beside):
                task.cancel()
            await asyncio.gather(playing, *beside, return_exceptions=True)

    def _side_parts(self) -> dict[str, Any]:
        crew = Crew(self._stack.database.url, {one.device: one for one in self._fleet}, self._player, self._watch)
        return {"crew": crew.work(), "checks": self._check(), "progress": self._show()}

    async def _until_done(self, parts: list[asyncio.Task[Any]], playing: asyncio.Task[Any], *, headless: bool) -> None:
        stopping = asyncio.create_task(self._stop.wait(), name="signal")
        try:
            await asyncio.wait({stopping, *parts}, return_when=asyncio.FIRST_COMPLETED)
            _raise_if_failed(parts)
            if playing.done() and not headless and not self._stop.is_set():
                _tell("the story is over; the console stays until Ctrl-C")
                await asyncio.wait({stopping, *parts[1:]}, return_when=asyncio.FIRST_COMPLETED)
                _raise_if_failed(parts)
            if not playing.done():
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)
        finally:
            stopping.cancel()

    async def _sum_up(self) -> int:
        await asyncio.sleep(SETTLE_S)  # the last frames are committed; detector and desk follow within a second or two
        result = await asyncio.to_thread(report, self._folder, self._stack.database.url)
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
    """Phone agents and engineers: they confirm, call, visit and report what they find, in simulated time.

    An engineer sees what is wrong with the appliance itself: the ground truth of the device, and nothing else of it.
    """

    def __init__(self, url: str, fleet: dict[str, Appliance], player: Fleet, watch: Watch) -> None:
        self._url = url
        self._fleet = fleet
        self._player = player
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
        now = datetime.fromtimestamp(self._player.clock.now(), UTC)
        for card in await tickets.list_open(connection, at_most=200):
            with suppress(DeskError):  # somebody at the console was faster, or the desk withdrew it
                await self._step(connection, card, now)

    async def _step(self, connection: AsyncConnection[Any], card: tickets.TicketCard, now: datetime) -> None:
        age = now - card.raised_at
        visit = card.raised_at + VISIT_AFTER
        if card.state == "proposed" and age > CALL_AFTER / 2:
            await tickets.confirm(connection, card.ticket_no, CREW, "the readings speak for it", at=now)
        elif card.state == "confirmed" and age > CALL_AFTER:
            await tickets.contact(connection, card.ticket_no, CREW, at=now)
        elif card.state == "contacted":
            await tickets.schedule(connection, card.ticket_no, CREW, visit, at=now)
        elif card.state == "scheduled" and now >= visit:
            await tickets.resolve(connection, card.ticket_no, CREW, self._finding(card.device, now), at=now)

    def _finding(self, device: str, now: datetime) -> tickets.Finding:
        wrong = _fault_of(self._fleet.get(device), now.timestamp())
        if wrong is None:
            return tickets.Finding(tickets.Outcome.NO_FAULT_FOUND, found_at=now)
        return tickets.Finding(
            tickets.Outcome.FAULT_CONFIRMED,
            code=self._fleet[device].model.codes.get(wrong.mode.kind, wrong.mode.code),
            part=wrong.mode.part,
            found_at=now,
        )


def _fault_of(appliance: Appliance | None, at: float) -> Episode | None:
    for episode in () if appliance is None else appliance.life.episodes:
        if episode.onset <= at and (episode.ended_at is None or at < episode.ended_at + VISIT_AFTER.total_seconds()):
            return episode
    return None


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
        ("failures with a ticket before", f"{seen.failures_with_ticket_before} of {seen.failures}"),
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
