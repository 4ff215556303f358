"""Commands of ingest, mounted by cloud.cli: ingest, dead-letters."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)
dead_letters = typer.Typer(help="Messages that could not be stored: see them, read them again.", no_args_is_help=True)
app.add_typer(dead_letters, name="dead-letters")


@app.command()
def ingest() -> None:
    """Receive what gateways send and store it. Stops on Ctrl-C or SIGTERM."""
    from cloud.db.settings import DatabaseSettings
    from cloud.ingest.program import run
    from cloud.ingest.settings import IngestSettings
    from cloud.running import until_stopped

    settings, database = IngestSettings(), DatabaseSettings()
    asyncio.run(until_stopped(lambda stop: run(settings, database, stopping=stop)))


@dead_letters.command("list")
def list_dead_letters(
    reason: Annotated[str | None, typer.Option(help="Only these, e.g. malformed.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that were replayed, too.")] = False,
    at_most: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 50,
) -> None:
    """The newest dead letters, with their reasons."""
    from cloud.db.settings import DatabaseSettings
    from cloud.ingest.dead_letters import listing

    for line in asyncio.run(listing(DatabaseSettings(), reason, everything, at_most)):
        typer.echo(line)


@dead_letters.command("replay")
def replay_dead_letters(
    numbers: Annotated[list[int] | None, typer.Argument(help="Which; all that were not replayed, if none.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only these, e.g. unsupported-version.")] = None,
) -> None:
    """Read dead letters again and store those that can be stored now, e.g. after an update."""
    from cloud.db.settings import DatabaseSettings
    from cloud.ingest.dead_letters import replay

    outcome = asyncio.run(replay(DatabaseSettings(), numbers, reason))
    typer.echo(f"{outcome.stored} stored, {outcome.refused} still refused")
