"""The cloud's commands, gathered from its rooms; `migrate` and `up` are no room's own. Heavy imports wait."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import sys
from typing import Annotated

import typer

ROOMS: dict[str, str | None] = {"ingest": None, "registry": "registry", "detection": None, "desk": None, "web": None}
"""Each room's commands are `app` in cloud/<room>/cli.py; the name under which they stand, or None: at the top."""

app = typer.Typer(help="The cloud programs.", no_args_is_help=True)


def _mount_rooms() -> None:
    for room, name in ROOMS.items():
        module = f"cloud.{room}.cli"
        if importlib.util.find_spec(module):
            app.add_typer(importlib.import_module(module).app, name=name)


@app.command()
def migrate() -> None:
    """Bring the database (FIRSTCALL_DB_URL) to this version's schema."""
    from cloud.db.migrate import MigrationChanged
    from cloud.db.migrate import migrate as bring_up
    from cloud.db.settings import DatabaseSettings

    try:
        ran = asyncio.run(bring_up(DatabaseSettings().url.get_secret_value()))
    except MigrationChanged as error:
        sys.exit(str(error))
    typer.echo("\n".join(f"applied {name}" for name in ran) or "the schema is up to date")


@app.command()
def up(port: Annotated[int, typer.Option(help="Of the console, on this machine.")] = 8080) -> None:
    """Run the cloud programs together, on embedded engines unless FIRSTCALL_UP_* names running ones."""
    import time

    from cloud.engines.settings import EngineSettings
    from cloud.up import ProgramEnded, UpSettings, running_stack

    try:
        with running_stack(UpSettings(), EngineSettings(), console_port=port, tell=typer.echo) as stack:
            stack.wait_until_ready(60, typer.echo)
            typer.echo(f"the console is at {stack.console_url}; Ctrl-C ends")
            while True:
                stack.check()
                time.sleep(0.5)
    except KeyboardInterrupt:
        typer.echo("stopped")
    except (ProgramEnded, TimeoutError) as error:
        sys.exit(str(error))


_mount_rooms()
