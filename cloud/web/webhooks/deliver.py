"""Delivering the outbox: at least once, signed, with growing pauses; safe beside other web programs and under kill -9.

    POST <url>
    Content-Type: application/json
    FirstCall-Delivery: <number>              the same at each attempt: by it a receiver knows what it has had
    FirstCall-Signature: t=<seconds since 1970>,v1=<hex HMAC-SHA-256 of "<t>.<body>" under the webhook's secret>

2xx: delivered. Anything else, or nothing within ten seconds: again later. A redirect is not followed. A delivery is
claimed for a while before it is sent: whoever dies meanwhile, another program sends it after that.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import timedelta
from typing import Any

import httpx
import structlog
from psycopg.rows import dict_row

from cloud.db import queries
from cloud.db.pool import Pool
from cloud.desk.outreach.http import sign
from cloud.web.settings import WebSettings

LEASE = timedelta(seconds=30)
TIMEOUT_S = 10.0
AT_ONCE = 20
LONGEST_PAUSE_S = 6 * 3600.0
log = structlog.get_logger()
_SQL = queries.load("access")


def pause_s(tries: int, first_s: float, jitter: float) -> float:
    """How long to wait after so many attempts: twice as long each time, to 6 h, between half and all of it by `jitter`
    (0 to 1), so that what failed together does not come back together."""
    return float(min(LONGEST_PAUSE_S, first_s * 2.0 ** (tries - 1)) * (0.5 + 0.5 * jitter))


async def deliver(pool: Pool, settings: WebSettings, client: httpx.AsyncClient) -> int:
    """Try what is due now, a few at once; returns how many were tried."""
    async with pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["claim_deliveries"], {"lease": LEASE, "limit": AT_ONCE})
        claimed = await cursor.fetchall()
    await asyncio.gather(*(_one(pool, settings, client, row) for row in claimed))
    return len(claimed)


async def _one(pool: Pool, settings: WebSettings, client: httpx.AsyncClient, row: dict[str, Any]) -> None:
    trouble = await _send(client, row)
    parameters: dict[str, Any] = {"delivery_no": row["delivery_no"]}
    if trouble is None:
        query = "delivered"
    else:
        query = "undelivered"
        again = pause_s(row["tries"], settings.webhook_first_retry_s, random.random())  # noqa: S311 - jitter
        state = "failed" if row["tries"] >= settings.webhook_tries else "due"
        parameters |= {"state": state, "again_in": timedelta(seconds=again), "trouble": trouble[:500]}
        log.warning(
            "webhook.undelivered", delivery=row["delivery_no"], tries=row["tries"], trouble=trouble, state=state
        )
    async with pool.connection() as connection:
        await connection.execute(_SQL[query], parameters)


async def _send(client: httpx.AsyncClient, row: dict[str, Any]) -> str | None:
    """What went wrong; None when it was taken."""
    body = bytes(row["body"])
    headers = {
        "Content-Type": "application/json",
        "FirstCall-Delivery": str(row["delivery_no"]),
        "FirstCall-Signature": sign(row["secret"].encode(), int(time.time()), body),
    }
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            client.stream("POST", row["url"], content=body, headers=headers) as answer,
        ):
            return None if answer.is_success else f"the receiver answered {answer.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
        return f"{type(error).__name__}: {error}".rstrip(": ")
