"""All that is kept about an account, in a form that people and programs can read."""

from __future__ import annotations

import json
from typing import Any

from psycopg.rows import dict_row

from cloud.registry import accounts
from cloud.registry.keys import MasterKey
from cloud.registry.people import Connection, read_contacts
from cloud.web.customer.reception import SQL

PARTS = ("entries", "appliances", "tickets", "messages", "answers", "consents", "preferences", "looks")


async def export(connection: Connection, master: MasterKey | None, account: str) -> bytes:
    """JSON in UTF-8: contacts, appliances and since when, tickets, messages, consents, every look at the contacts.

    What happened to an appliance after it was handed on is another person's, and not in it.
    """
    entries = await accounts.members(connection, account)
    gathered: dict[str, Any] = {"account": account, "contacts": {}}
    async with connection.transaction():
        if master is not None:
            for entry in entries:
                gathered["contacts"][entry] = await read_contacts(
                    connection, master, entry, person="customer", purpose="exported by themselves"
                )
        for part in PARTS:
            async with connection.cursor(row_factory=dict_row) as cursor:
                await cursor.execute(SQL[f"export_{part}"], {"users": list(entries)})
                gathered[part] = await cursor.fetchall()
        gathered["merges"] = [
            {"entry": m.user_id, "into": m.into_user, "reason": m.reason, "at": m.at, "undone_at": m.undone_at}
            for m in await accounts.merges(connection, account)
        ]
    return json.dumps(gathered, ensure_ascii=False, indent=2, default=_plain).encode()


def _plain(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)
