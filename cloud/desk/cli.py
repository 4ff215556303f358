"""`firstcall desk`: run the desk; list and move tickets from a shell."""

from __future__ import annotations

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
def tickets(at_most: int = typer.Option(20, min=1, max=1000, help="How many, worth most first.")) -> None:
    """List open tickets in the order of their worth."""
    import asyncio

    from psycopg import AsyncConnection

    from cloud.db.settings import DatabaseSettings
    from cloud.desk.tickets import TicketCard, list_open

    async def read() -> list[TicketCard]:
        async with await AsyncConnection.connect(DatabaseSettings().url.get_secret_value()) as connection:
            return await list_open(connection, at_most=at_most)

    for card in asyncio.run(read()):
        typer.echo(
            f"{card.ticket_no:>6} {card.state:<10} {card.severity:<8} {card.device} {card.model} {card.problem} "
            f"{card.probability:.0%}  {card.rank_reason.get('en', '')}"
        )
