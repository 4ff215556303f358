"""Commands of the detector, mounted by cloud.cli: detect, replay, evaluate."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.command()
def detect() -> None:
    """Judge committed records, predict faults, learn from findings. Stops on Ctrl-C or SIGTERM."""
    from cloud.db.settings import DatabaseSettings
    from cloud.detection.service import DetectSettings, run
    from cloud.running import until_stopped

    asyncio.run(until_stopped(lambda stop: run(DetectSettings(), DatabaseSettings(), stop)))


@app.command()
def replay(
    since: Annotated[datetime | None, typer.Option(help="First event time, UTC; by default the first stored.")] = None,
    before: Annotated[datetime | None, typer.Option(help="End of event time, UTC; by default the last stored.")] = None,
    detector: Annotated[str, typer.Option(help="Whose findings and decisions to compare with.")] = "champion",
) -> None:
    """Judge stored records again and compare with what was decided live. Exit status 1 when they differ."""
    from cloud.db.settings import DatabaseSettings
    from cloud.detection.replay import ReplayResult
    from cloud.detection.replay import replay as judge_again
    from cloud.detection.service import DetectSettings

    async def work() -> ReplayResult:
        from psycopg import AsyncConnection

        url = DatabaseSettings().url.get_secret_value()
        async with await AsyncConnection.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
            return await judge_again(connection, DetectSettings(detector=detector), since, before, _show)

    result = asyncio.run(work())
    typer.echo(f"{result.samples} samples judged, {len(result.decisions)} alarms; live had {len(result.live)}")
    typer.echo(f"replay {result.digest}\nlive   {result.live_digest}\n{'the same' if result.same else 'DIFFERENT'}")
    raise typer.Exit(0 if result.same else 1)


@app.command()
def evaluate(
    challenger: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="TOML with other settings: tables `engine`, `alarms`.")
    ],
) -> None:
    """Judge the stored records with the champion and a challenger: what would change, and its money."""
    from cloud.db.settings import DatabaseSettings
    from cloud.detection.challenge import BadChallenger, challenge, read_challenger
    from cloud.detection.service import DetectSettings

    async def work() -> list[str]:
        from psycopg import AsyncConnection

        champion = DetectSettings()
        other = read_challenger(challenger, champion)
        url = DatabaseSettings().url.get_secret_value()
        async with await AsyncConnection.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
            return [line for verdict in await challenge(connection, champion, other) for line in verdict.lines]

    try:
        typer.echo("\n".join(asyncio.run(work())) or "nothing is stored yet")
    except BadChallenger as error:
        sys.exit(str(error))


def _show(at: datetime, samples: int) -> None:
    if sys.stderr.isatty():
        typer.echo(f"\r{at:%Y-%m-%d %H:%M}  {samples} samples", nl=False, err=True)
