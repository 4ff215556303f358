"""Commands of the detector, mounted by cloud.cli: detect, replay."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
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


def _show(at: datetime, samples: int) -> None:
    if sys.stderr.isatty():
        typer.echo(f"\r{at:%Y-%m-%d %H:%M}  {samples} samples", nl=False, err=True)
