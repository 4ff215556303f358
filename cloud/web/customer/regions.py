"""Where a customer's appliances stand, coarsely: asked so that many homes' trouble is told from one machine's."""

from __future__ import annotations

from collections.abc import Sequence

from cloud.registry.people import Connection
from cloud.web.customer.guest import Refusal
from cloud.web.customer.reception import SQL


async def known_regions(connection: Connection) -> list[str]:
    """The names to choose from: regions that engineers serve, and those of other customers; nobody types one."""
    cursor = await connection.execute(SQL["known_regions"])
    return [str(row[0]) for row in await cursor.fetchall()]


async def region_of(connection: Connection, account: str) -> str:
    """The account's region; '' where it is not known."""
    row = await (await connection.execute(SQL["region_of"], {"account": account})).fetchone()
    return "" if row is None else str(row[0])


async def set_region(connection: Connection, account: str, region: str) -> None:
    """Keep what the customer says, for all entries of the account; '' is a wish not to say, and is kept too.

    From then on an import leaves it as it is.
    """
    await connection.execute(SQL["set_region"], {"account": account, "region": region})


def chosen(typed: str, known: Sequence[str]) -> str:
    """Pure: a choice from the list, or ''. Refusal: it is neither."""
    if typed and typed not in known:
        raise Refusal(422, "This did not work", "Please choose a region from the list.")
    return typed
