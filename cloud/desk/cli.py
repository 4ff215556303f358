"""`firstcall desk`: run the desk; list and move tickets from a shell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The service desk.")


@app.command()
def desk() -> None:
    """Join faults with their four codes, raise tickets, reach customers, send engineers. Stops on Ctrl-C or SIGTERM."""
    import asyncio

    from cloud.db.settings import DatabaseSettings
    from cloud.desk.program import run
    from cloud.running import until_stopped

    database = DatabaseSettings()
    asyncio.run(until_stopped(lambda stop: run(database, stop)))


@app.command()
def tickets(at_most: int = typer.Option(20, min=1, max=1000, help="How many, the one to call first first.")) -> None:
    """List open tickets in the order of the day, with the line that today's calls and visits reach to."""
    import asyncio
    from typing import Any

    from psycopg import AsyncConnection

    from cloud.db.settings import DatabaseSettings
    from cloud.desk.triage.queue import list_queue

    async def read() -> list[dict[str, Any]]:
        async with await AsyncConnection.connect(DatabaseSettings().url.get_secret_value()) as connection:
            return await list_queue(connection, at_most=at_most)

    line_told = False
    for card in asyncio.run(read()):
        if card["today"] is False and not line_told:
            typer.echo("------ beyond today's calls and visits")
            line_told = True
        reason = card["sentence"] or card["rank_reason"]
        typer.echo(
            f"{card['ticket_no']:>6} {card['state']:<10} {card['severity']:<8} {card['device']} {card['model']} "
            f"{card['problem']} {card['probability']:.0%}  {reason.get('en', '')}"
        )


@app.command()
def engineers(
    file: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="A staff list to take in; see docs/dispatch.md.")
    ] = None,
) -> None:
    """List the engineers whom dispatch can send; with a staff list (TOML), take it in first, whole or not at all."""
    import asyncio

    from psycopg import AsyncConnection

    from cloud.db.settings import DatabaseSettings
    from cloud.desk.dispatch.people import Staff, read_staff
    from cloud.desk.dispatch.staff_file import BadStaffFile, put_staff, read_staff_file

    async def take_and_read() -> list[Staff]:
        async with await AsyncConnection.connect(DatabaseSettings().url.get_secret_value()) as connection:
            if file is not None:
                await put_staff(connection, read_staff_file(file))
            return await read_staff(connection)

    try:
        known = asyncio.run(take_and_read())
    except BadStaffFile as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    for member in known:
        one = member.engineer
        places, skills = ", ".join(sorted(one.regions)), ", ".join(sorted(one.skills))
        typer.echo(f"{one.engineer:<16} {one.name:<24} seniority {one.seniority}  {places}: {skills}")
    if not known:
        typer.echo("no engineers: nobody can be sent")
