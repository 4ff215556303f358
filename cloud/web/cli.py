"""`firstcall web`: the API and the console."""

from __future__ import annotations

import asyncio
import sys

import typer

app = typer.Typer(help="The API and the console.")


@app.command()
def web() -> None:
    """Serve the API and the console (FIRSTCALL_WEB_*). Stops on Ctrl-C or SIGTERM."""
    from cloud.db.settings import DatabaseSettings
    from cloud.running import until_stopped
    from cloud.web.server import PortTaken, run
    from cloud.web.settings import WebSettings

    settings, database = WebSettings(), DatabaseSettings()
    try:
        asyncio.run(until_stopped(lambda stop: run(settings, database, stop)))
    except PortTaken as error:
        sys.exit(str(error))
