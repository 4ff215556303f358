"""A repair or an installation, asked for by one tap: it becomes a ticket like any other, confirmed from the start.

The customer says so, hence nothing has to be triaged; the ticket goes the way of every other one: times are offered,
an engineer comes, a finding is written. Asked again while a ticket is open, no second one is made.
"""

from __future__ import annotations

from typing import Literal

import structlog
from psycopg.types.json import Jsonb

from cloud.desk import tickets
from cloud.desk.errors import DeskError
from cloud.desk.priority import worth
from cloud.registry.costs import Costs
from cloud.registry.ownership import ProductCard
from cloud.registry.people import Connection
from cloud.web.customer.reception import SQL

log = structlog.get_logger(__name__)

Wish = Literal["repair", "installation"]
PERSON = "customer"
PROBLEM: dict[Wish, str] = {"repair": "repair_asked", "installation": "installation"}
SEVERITY: dict[Wish, str] = {"repair": "high", "installation": "low"}  # [K] the customer noticed: it is in the way
WORDS: dict[Wish, dict[str, str]] = {
    "repair": {
        "en": "You asked us to repair it. Please choose a time that suits you.",
        "zh": "您申请了维修。请选择您方便的时间。",
    },
    "installation": {
        "en": "You asked us to install it. Please choose a time that suits you.",
        "zh": "您申请了安装。请选择您方便的时间。",
    },
}


async def ask(connection: Connection, device_no: int, card: ProductCard, wish: Wish, costs: Costs) -> int:
    """The ticket of what is asked for: the open one where there is one, else a new one. The caller saw to the owner.

    Raises:
        DeskError: the unit's model is unknown, so that nobody can be sent.
    """
    if card.model is None:
        raise DeskError("the model of this unit is not in the catalogue")
    async with connection.transaction():
        await connection.execute(SQL["lock_device"], {"device_no": device_no})
        which = {"device_no": device_no, "problem": PROBLEM[wish], "any_fault": wish == "repair"}
        row = await (await connection.execute(SQL["ticket_to_join"], which)).fetchone()
        now = (await (await connection.execute("SELECT desk_now()")).fetchone() or (None,))[0]
        if row is not None:
            number, state = int(row[0]), str(row[1])
        else:
            number, state = await _open(connection, device_no, card, wish, costs), "proposed"
        if wish == "repair" and now is not None:
            await tickets.notice(connection, number, now)
        if state == "proposed":
            await tickets.confirm(connection, number, PERSON, f"{wish} asked for on the product's page")
    log.info("asked", wish=wish, ticket=number, joined=row is not None)
    return number


async def _open(connection: Connection, device_no: int, card: ProductCard, wish: Wish, costs: Costs) -> int:
    value = worth(1.0, SEVERITY[wish], card.family or "", costs)
    cursor = await connection.execute(
        SQL["open_asked"],
        {
            "device_no": device_no,
            "problem": PROBLEM[wish],
            "gtin": card.gtin,
            "serial": card.serial,
            "model": card.model,
            "severity": SEVERITY[wish],
            "expected_value": value.value,
            "rank_reason": Jsonb(value.sentence),
            "customer_words": Jsonb(WORDS[wish]),
        },
    )
    row = await cursor.fetchone()
    if row is None:
        raise DeskError("nobody has this device now")
    first = {"ticket_no": row[0], "person": PERSON, "reason": f"{wish} asked for on the product's page"}
    await connection.execute(SQL["first_step"], first)
    return int(row[0])
