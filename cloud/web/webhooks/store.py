"""Webhooks and their outbox in the database."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

from psycopg.rows import class_row, dict_row
from pydantic import BaseModel, Field

from cloud.db import queries
from cloud.db.pool import Pool
from cloud.web import events
from cloud.web.auth.changes import Connection
from cloud.web.events import Event, Kind, Place

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
AT_ONCE = 500
_SQL = queries.load("access")


class BadWebhook(ValueError):
    """The webhook cannot be so; the message says why."""


class Webhook(BaseModel):
    """A program that wants to be told."""

    webhook_no: int
    url: str
    kinds: list[Kind]
    enabled: bool
    created_at: datetime
    created_by: str
    due: int = Field(description="Deliveries that are still to be made.")
    failed: int = Field(description="Deliveries that were given up; they can be sent again.")


class Delivery(BaseModel):
    """One event for one webhook."""

    delivery_no: int
    event_no: int
    kind: Kind
    state: Literal["due", "delivered", "failed"]
    tries: int
    due_at: datetime = Field(description="When it is tried next, while it is due.")
    created_at: datetime
    delivered_at: datetime | None
    trouble: str | None = Field(description="What went wrong at the last attempt.")


def check_url(url: str) -> str:
    """The URL, if events may be sent there. BadWebhook: it is not https (http is for loopback only)."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise BadWebhook(f"this is no URL: {error}") from error
    if not host or parts.username or not url.isascii() or not url.isprintable() or " " in url:
        raise BadWebhook("give a plain https:// URL, without a name and a password in it")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
        raise BadWebhook("give an https:// URL: events tell about customers' appliances")
    return url


async def add(connection: Connection, url: str, kinds: Sequence[Kind], created_by: str) -> tuple[int, str]:
    """Make a webhook that is told what happens from now on; returns its number and secret. BadWebhook: see there."""
    secret = "whs_" + secrets.token_urlsafe(32)
    parameters = {"url": check_url(url), "kinds": sorted(set(kinds)), "secret": secret, "created_by": created_by}
    row = await (await connection.execute(_SQL["add_webhook"], parameters)).fetchone()
    assert row is not None
    return int(row[0]), secret


async def listed(pool: Pool, webhook_no: int | None = None) -> list[Webhook]:
    """All webhooks, or that one."""
    async with pool.connection() as connection, connection.cursor(row_factory=class_row(Webhook)) as cursor:
        await cursor.execute(_SQL["webhooks"], {"webhook_no": webhook_no})
        return await cursor.fetchall()


async def deliveries(
    pool: Pool, webhook_no: int, limit: int, before: int | None = None, state: str | None = None
) -> list[Delivery]:
    """A webhook's deliveries, the newest first."""
    parameters = {"webhook_no": webhook_no, "limit": limit, "number": before, "state": state}
    async with pool.connection() as connection, connection.cursor(row_factory=class_row(Delivery)) as cursor:
        await cursor.execute(_SQL["deliveries"], parameters)
        return await cursor.fetchall()


async def replay(
    connection: Connection,
    webhook_no: int,
    *,
    delivery_no: int | None = None,
    since: datetime | None = None,
    failed_only: bool = True,
) -> int:
    """Send again, as it was: one delivery, those since a time, or all that failed; returns how many."""
    parameters = {
        "webhook_no": webhook_no,
        "delivery_no": delivery_no,
        "since": since,
        "failed_only": failed_only,
    }
    return (await connection.execute(_SQL["replay_deliveries"], parameters)).rowcount


async def fill(pool: Pool) -> int:
    """Put new events into the outbox of every webhook that wants them; returns how many deliveries were added.

    A webhook's place in the feed moves in the same transaction: whatever dies, each event is there once.
    """
    added = 0
    async with pool.connection() as connection, connection.transaction():
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(_SQL["behind_webhooks"])
            behind = await cursor.fetchall()
        for row in behind:
            found = await events.after(pool, Place(int(row["xid"]), row["event_no"]), AT_ONCE)
            if not found:
                continue
            for event in events.newest_of_each(found):
                if event.kind in row["kinds"]:
                    added += await _put(pool, connection, row["webhook_no"], event)
            place = {"xid": found[-1].xid, "event_no": found[-1].event_no, "webhook_no": row["webhook_no"]}
            await connection.execute(_SQL["move_webhook"], place)
    return added


async def _put(pool: Pool, connection: Connection, webhook_no: int, event: Event) -> int:
    item = await events.item_of(pool, event)
    if item is None:
        return 0
    body = json.dumps(
        {"event": str(event.place), "kind": event.kind, "item": item.model_dump(mode="json")}, ensure_ascii=False
    ).encode()
    parameters = {"webhook_no": webhook_no, "event_no": event.event_no, "kind": event.kind, "body": body}
    return (await connection.execute(_SQL["add_delivery"], parameters)).rowcount
