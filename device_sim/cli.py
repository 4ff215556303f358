"""`firstcall sim`: simulated fleets, raw load, recorded machines, and a report against the ground truth."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="sim",
    help="Simulated appliances on real agents: fleets, load, recorded machines, and a report against ground truth.",
    no_args_is_help=True,
)

LOOPBACK_BROKER = "mqtt://127.0.0.1:1883"

Broker = Annotated[str, typer.Option(help="MQTT broker, mqtt://host:port or mqtts://host:port.")]
Seed = Annotated[int, typer.Option(help="Same seed, same fleet, same readings, byte for byte.")]
Folder = Annotated[Path, typer.Option(help="Where ground truth, sent-ledger, registry files and spools go.")]


class NetworkName(StrEnum):
    """Networks that a fleet can be behind."""

    GOOD = "good"
    SLOW = "slow"
    FLAPPING = "flapping"
    OUTAGE = "outage"
    MIXED = "mixed"


@app.command()
def fleet(
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
    network: Annotated[NetworkName, typer.Option(help="Network between gateways and broker.")] = NetworkName.GOOD,
    drain: Annotated[float, typer.Option(min=0.0, help="Seconds to wait at the end for the last receipts.")] = 30.0,
) -> None:
    """Run N gateways x M simulated appliances as real agents against a broker, and write the ground truth."""
    from device_sim.failure.life import Span
    from device_sim.fleet.population import World
    from device_sim.transport.fleet_run import Fleet, FleetSettings

    length = days * 86_400.0
    begins = start.replace(tzinfo=UTC).timestamp() if start else datetime.now(UTC).timestamp() - length
    begins -= begins % period
    world = World(
        seed=seed,
        span=Span(begins, begins + length),
        appliances=gateways * appliances,
        appliances_per_gateway=appliances,
        failure_scale=failure_scale,
    )
    settings = FleetSettings(
        broker=broker, folder=folder, speed=speed, period_s=period, network=network.value, drain_s=drain
    )
    run = Fleet(seed, world.populate(), world.span, settings)
    outcome = asyncio.run(run.run(_show_progress))
    typer.echo(
        f"\n{outcome.frames} frames and {outcome.accepted.get('fault', 0)} fault messages accepted in "
        f"{outcome.seconds:.1f} s; {outcome.unreceipted} without a receipt yet, {outcome.dropped} dropped; "
        f"{outcome.faults} faults injected. Truth, ledger and spools: {folder}"
    )


def _show_progress(progress: object) -> None:
    from device_sim.transport.fleet_run import Progress

    assert isinstance(progress, Progress)
    day = datetime.fromtimestamp(progress.at, UTC).strftime("%Y-%m-%d %H:%M")
    frames = progress.accepted.get("telemetry", 0)
    line = (
        f"{day}  {progress.connected}/{progress.gateways} gateways connected  {frames} frames accepted, "
        f"{progress.freed} messages receipted, {progress.waiting} waiting"
    )
    typer.echo(f"\r{line:<110}", nl=False, err=True)
