"""`firstcall web`: run the API and the console."""

from __future__ import annotations

import sys

import typer
from pydantic import ValidationError

from cloud.web import access_cli

app = typer.Typer()
program = typer.Typer(invoke_without_command=True)
program.add_typer(access_cli.users, name="user")
program.add_typer(access_cli.clients, name="client")
program.add_typer(access_cli.audit, name="audit")
program.add_typer(access_cli.webhooks, name="webhook")
app.add_typer(program, name="web")


@program.callback()
def web(chosen: typer.Context) -> None:
    """Serve the API and the console. Settings: FIRSTCALL_WEB_*, FIRSTCALL_DB_*; contacts: FIRSTCALL_REGISTRY_*."""
    if chosen.invoked_subcommand is not None:
        return
    import asyncio

    from cloud.db.settings import DatabaseSettings
    from cloud.registry.errors import NoMasterKey
    from cloud.running import until_stopped
    from cloud.web.server import PortTaken, run
    from cloud.web.settings import WebSettings

    try:
        settings, database = WebSettings(), DatabaseSettings()
        asyncio.run(until_stopped(lambda stop: run(settings, database, stop)))
    except ValidationError as error:
        sys.exit("\n".join(_plain(error)))
    except (PortTaken, NoMasterKey) as error:
        sys.exit(str(error))


def _plain(error: ValidationError) -> list[str]:
    prefix = {"WebSettings": "FIRSTCALL_WEB_", "DatabaseSettings": "FIRSTCALL_DB_"}.get(error.title, "")
    lines = []
    for wrong in error.errors(include_input=False):
        names = "".join(f"{prefix}{str(part).upper()}: " for part in wrong["loc"])
        lines.append(names + wrong["msg"].removeprefix("Value error, "))
    return lines
