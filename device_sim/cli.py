"""`firstcall sim`: simulated fleets, raw load, recorded machines, and a report against the ground truth."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from device_sim.transport.fleet_run import Outcome, Progress

app = typer.Typer(
    name="sim",
    help="Simulated appliances on real agents: fleets, load, recorded machines, and a report against ground truth.",
    no_args_is_help=True,
)

LOOPBACK_BROKER = "mqtt://127.0.0.1:1883"

Broker = Annotated[str, typer.Option(help="MQTT broker, mqtt://host:port or mqtts://host:port.")]
Seed = Annotated[int, typer.Option(help="Same seed, same fleet, same readings, byte for byte.")]
Folder = Annotated[Path, typer.Option(help="Where ground truth, sent-ledger, registry files and spools go.")]
Username = Annotated[str | None, typer.Option(help="MQTT user name.")]
PasswordFile = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="A file whose first line is the MQTT password.")
]
CaFile = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="PEM of the authorities to trust.")]


class NetworkName(StrEnum):
    """Networks that a fleet can be behind."""

    GOOD = "good"
    SLOW = "slow"
    FLAPPING = "flapping"
    OUTAGE = "outage"
    MIXED = "mixed"


@app.command()
def fleet(
    *,
    broker: Broker = LOOPBACK_BROKER,
    folder: Folder = Path("sim-fleet"),
    seed: Seed = 1,
    gateways: Annotated[int, typer.Option(min=1, max=2000, help="How many gateways.")] = 10,
    appliances: Annotated[int, typer.Option(min=1, max=200, help="Appliances behind each gateway.")] = 4,
    days: Annotated[float, typer.Option(min=0.01, help="Simulated days.")] = 10.0,
    start: Annotated[
        datetime | None, typer.Option(help="Event time of the start, UTC; by default the run ends now.")
    ] = None,
    speed: Annotated[float, typer.Option(min=0.1, help="Simulated seconds a second (1440: a day a minute).")] = 1440.0,
    period: Annotated[float, typer.Option(min=1.0, max=3600.0, help="Sampling period, simulated seconds.")] = 60.0,
    failure_scale: Annotated[float, typer.Option(min=0.0, help="Factor on all failure rates.")] = 1.0,
    revise_after: Annotated[
        float | None, typer.Option(min=0.0, help="A revised firmware comes to half of the fleet after so many days.")
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Place the demo's faults instead of drawing any.")] = False,
    network: Annotated[NetworkName, typer.Option(help="Network between gateways and broker.")] = NetworkName.GOOD,
    drain: Annotated[float, typer.Option(min=0.0, help="Seconds to wait at the end for the last receipts.")] = 30.0,
    username: Username = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Run N gateways x M simulated appliances as real agents against a broker, and write the ground truth.

    The folder then holds truth.jsonl, sent.jsonl, the spools, and registry/ for `firstcall registry import`.
    """
    from device_sim.failure.life import Span
    from device_sim.fleet.demo import demo_fleet
    from device_sim.fleet.population import FirmwareChange, World
    from device_sim.fleet.registry_files import write_registry
    from device_sim.transport.fleet_run import Fleet, FleetSettings

    length = days * 86_400.0
    begins = start.replace(tzinfo=UTC).timestamp() if start else datetime.now(UTC).timestamp() - length
    begins -= begins % period
    span = Span(begins, begins + length)
    number = gateways * appliances
    if demo:
        _world, population = demo_fleet(seed, span.start, span.end, number, appliances)
    else:
        change = None if revise_after is None else FirmwareChange(begins + revise_after * 86_400.0, share=0.5)
        population = World(
            seed=seed,
            span=span,
            appliances=number,
            appliances_per_gateway=appliances,
            failure_scale=failure_scale,
            firmware=change,
        ).populate()
    write_registry(folder / "registry", population)
    settings = FleetSettings(
        broker=broker, folder=folder, speed=speed, period_s=period, network=network.value, drain_s=drain,
        username=username, password_file=password_file, ca_file=ca_file,
    )  # fmt: skip
    _tell_outcome(asyncio.run(Fleet(seed, population, span, settings).run(_show_progress)), folder)


@app.command()
def replay(
    recordings: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder with recorded data.")],
    *,
    broker: Broker = LOOPBACK_BROKER,
    folder: Folder = Path("sim-replay"),
    database: Annotated[
        str | None,
        typer.Option(envvar="FIRSTCALL_DB_URL", help="Where failures and replacements go as findings."),
    ] = None,
    machines: Annotated[int, typer.Option(min=1, help="Play at most so many machines.")] = 1000,
    end_now: Annotated[bool, typer.Option("--end-now", help="Move event time so that the recording ends now.")] = False,
    speed: Annotated[
        float, typer.Option(min=0.0, help="At most so many recorded seconds a second; 0 is as fast as receipts come.")
    ] = 0.0,
    prepare: Annotated[bool, typer.Option("--prepare", help="Only write the registry files, and stop.")] = False,
    drain: Annotated[float, typer.Option(min=0.0, help="Seconds to wait at the end for the last receipts.")] = 60.0,
    username: Username = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Play recorded machines through real agents, as fast as the receipts come.

    Error codes become fault codes; recorded failures and replacements become findings, a failure a day after it
    happened. For tickets the cloud must know the machines first: run with --prepare, then
    `firstcall registry import FOLDER/registry`, then again without.
    """
    from device_sim.transport.recordings import UnknownLayout, load
    from device_sim.transport.replay import ReplaySettings, write_machine_registry
    from device_sim.transport.replay import replay as play

    try:
        found = load(recordings)[:machines]
    except (UnknownLayout, ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from None
    settings = ReplaySettings(
        broker=broker, folder=folder, database=database,
        speed=speed, drain_s=drain, username=username,
        end_at=datetime.now(UTC).timestamp() if end_now else None, password_file=password_file, ca_file=ca_file,
    )  # fmt: skip
    write_machine_registry(found, settings)
    rows = sum(len(recording.times) for recording in found)
    typer.echo(f"{len(found)} machines, {rows} readings; registry files in {folder / 'registry'}", err=True)
    if prepare:
        return
    _tell_outcome(asyncio.run(play(found, settings, _show_progress)), folder)


@app.command()
def load(
    *,
    broker: Broker = LOOPBACK_BROKER,
    gateways: Annotated[int, typer.Option(min=1, max=100_000, help="How many gateways speak.")] = 100,
    devices: Annotated[int, typer.Option(min=1, max=1000, help="Devices behind each gateway.")] = 5,
    connections: Annotated[int, typer.Option(min=1, max=1000, help="MQTT connections that carry them.")] = 4,
    samples: Annotated[int, typer.Option(min=1, max=2000, help="Samples a frame.")] = 10,
    channels: Annotated[int, typer.Option(min=1, max=256, help="Channels a sample.")] = 8,
    rate: Annotated[float, typer.Option(min=0.0, help="Frames a second in all; 0 is as fast as it goes.")] = 0.0,
    frames: Annotated[int, typer.Option(min=1, help="Stop after so many frames.")] = 100_000,
    seconds: Annotated[float, typer.Option(min=0.1, max=86_400.0, help="Stop after so many seconds.")] = 30.0,
    qos: Annotated[int, typer.Option(min=0, max=1, help="MQTT quality of service.")] = 0,
    receipts: Annotated[bool, typer.Option("--receipts", help="Subscribe to the receipts and count them.")] = False,
    settle: Annotated[float, typer.Option(min=0.0, help="Seconds to wait for the last acks and receipts.")] = 5.0,
    seed: Seed = 1,
    username: Username = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Press a broker with frames of many gateways from one process: no spool, no repeat, counted."""
    from device_sim.transport.load import LoadCount, LoadSettings, press, spooled_span_s

    settings = LoadSettings(
        broker=broker, gateways=gateways, devices=devices, connections=connections, samples=samples,
        channels=channels, rate=rate, frames=frames, seconds=seconds, qos=qos, receipts=receipts, settle_s=settle,
        seed=seed, username=username, password_file=password_file, ca_file=ca_file,
    )  # fmt: skip
    now = datetime.now(UTC).timestamp()

    def show(count: LoadCount) -> None:
        line = f"{count.frames} frames, {count.rate:,.0f}/s, {count.acked} acked, {count.receipted} receipted"
        typer.echo(f"\r{line:<100}", nl=False, err=True)

    try:
        count = asyncio.run(press(settings, int(now), now - spooled_span_s(settings), show))
    except OSError as error:
        raise typer.BadParameter(f"--broker {broker}: {error}") from None
    typer.echo("", err=True)
    if as_json:
        typer.echo(json.dumps({**asdict(count), "rate": round(count.rate, 1)}))
        return
    typer.echo(
        f"{count.frames} frames ({count.bytes / 1e6:.1f} MB) in {count.seconds:.2f} s: {count.rate:,.0f} frames/s; "
        f"{count.acked} acked, {count.receipted} receipted, {count.rejected} rejected, "
        f"{count.connections_lost} connections lost"
    )


@app.command()
def report(
    database: Annotated[str, typer.Option(envvar="FIRSTCALL_DB_URL", help="PostgreSQL URL; it is only read.")],
    *,
    folder: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of a fleet or replay run.")],
    horizon_days: Annotated[
        float, typer.Option(min=0.1, help="A ticket so long before a failure of unknown onset foresaw it.")
    ] = 7.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Compare what was sent with what is committed, and faults with tickets. Exit code 1 when a message is lost."""
    from device_sim.transport.report import report as make
    from device_sim.transport.report_table import table

    try:
        found = make(folder, database, horizon_days)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    typer.echo(json.dumps(found.as_dict(), indent=1) if as_json else table(found))
    if not found.nothing_lost:
        raise typer.Exit(1)


def _show_progress(progress: Progress) -> None:
    day = datetime.fromtimestamp(progress.at, UTC).strftime("%Y-%m-%d %H:%M")
    line = (
        f"{day}  {progress.connected}/{progress.gateways} gateways connected, "
        f"{progress.accepted.get('telemetry', 0)} frames accepted, {progress.freed} messages receipted, "
        f"{progress.waiting} waiting"
    )
    typer.echo(f"\r{line:<110}", nl=False, err=True)


def _tell_outcome(outcome: Outcome, folder: Path) -> None:
    typer.echo("", err=True)
    typer.echo(
        f"{outcome.frames} frames and {outcome.accepted.get('fault', 0)} fault messages accepted in "
        f"{outcome.seconds:.1f} s; {outcome.unreceipted} without a receipt yet, {outcome.dropped} dropped; "
        f"{outcome.faults} faults in the ground truth. Next: firstcall sim report --folder {folder}"
    )
