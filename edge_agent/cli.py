"""`firstcall edge …`: run the agent, check a configuration, look into a spool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge_agent.settings import EdgeSettings

app = typer.Typer(help="The gateway agent: drivers, spool, uplink.", no_args_is_help=True)

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="the gateway's configuration, gateway.toml")]
LevelOption = Annotated[str, typer.Option("--log-level", help="debug, info, warning or error")]

BAD_CONFIGURATION = 2
SPOOL_UNUSABLE = 3


@app.command()
def run(config: ConfigOption = Path("gateway.toml"), log_level: LevelOption = "info") -> None:
    """Run the agent until SIGTERM or Ctrl-C."""
    from edge_agent.log import configure

    settings = _load(config)
    configure(log_level)
    from edge_agent.program import run_until_signal

    raise typer.Exit(run_until_signal(settings))


@app.command()
def check(config: ConfigOption = Path("gateway.toml")) -> None:
    """Say what is wrong with a configuration, all of it, or that it is good."""
    settings = _load(config)
    devices = ", ".join(f"{device.id} ({device.driver})" for device in settings.devices)
    typer.echo(f"{config}: good. Gateway {settings.gateway}, broker {settings.broker.url}, devices {devices}")


@app.command()
def spool(config: ConfigOption = Path("gateway.toml")) -> None:
    """Show how full the spool is, how old, and for how many hours it lasts; also while the agent runs."""
    from edge_agent.spool.inspect import SpoolUnreadable, describe

    settings = _load(config)
    try:
        for line in describe(settings.spool):
            typer.echo(line)
    except SpoolUnreadable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(SPOOL_UNUSABLE) from None


def _load(config: Path) -> EdgeSettings:
    from edge_agent.configuration import BadConfiguration, load

    try:
        return load(config)
    except BadConfiguration as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(BAD_CONFIGURATION) from None
