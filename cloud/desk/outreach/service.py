"""The run loop of outreach: wake on a notice or the timer, take one step with every outreach that is due."""

from __future__ import annotations

import asyncio
import os
import secrets as random_secrets
import socket
import time
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from cloud.db.pool import Pool, open_pool
from cloud.db.settings import DatabaseSettings
from cloud.db.waiting import despite_losses, notice_within
from cloud.desk.dispatch.rounds import hold_round
from cloud.desk.dispatch.settings import DispatchSettings
from cloud.desk.outreach.delivery import Courier, advance, deliver
from cloud.desk.outreach.file import SQL
from cloud.desk.outreach.http import HttpProvider
from cloud.desk.outreach.ladder import Channel
from cloud.desk.outreach.providers import Provider
from cloud.desk.outreach.settings import OutreachSettings
from cloud.desk.outreach.smtp import SmtpProvider
from cloud.desk.outreach.watching import look_at_watches
from cloud.registry.settings import RegistrySettings

log = structlog.get_logger(__name__)

NOTICES = ("outreach", "dispatch", "ticket")


def providers_of(settings: OutreachSettings) -> dict[Channel, Provider]:
    """The providers that the settings name."""
    providers: dict[Channel, Provider] = {}
    if settings.smtp_host:
        providers["email"] = SmtpProvider(settings)
    behind_urls: tuple[tuple[Channel, SecretStr, Any], ...] = (
        ("sms", settings.sms_url, settings.sms_secret),
        ("push", settings.push_url, settings.push_secret),
        ("messaging", settings.messaging_url, settings.messaging_secret),
    )
    for channel, url, secret in behind_urls:
        if url.get_secret_value():  # it may carry an access token, and is a secret for that
            signing = secret.get_secret_value().encode()
            providers[channel] = HttpProvider(channel, url.get_secret_value(), signing, settings.provider_timeout_s)
    return providers


async def run(
    settings: OutreachSettings,
    database: DatabaseSettings,
    stop: asyncio.Event,
    *,
    registry: RegistrySettings | None = None,
    dispatch: DispatchSettings | None = None,
) -> None:
    """Run until `stop` is set. A lost database is waited for; nothing is lost, and nothing is sent under two keys.

    Without an outreach key nothing can be signed: it says so, and waits for the stop.
    """
    key = settings.load_key()
    if key is None:
        log.warning("outreach_off", reason="no key", what_to_do="set FIRSTCALL_OUTREACH_KEY or _KEY_FILE")
        await stop.wait()
        return
    master = (registry or RegistrySettings()).load_master_key()
    name = f"{socket.gethostname()}-{os.getpid()}-{random_secrets.token_hex(4)}"
    courier = Courier(settings, key, master, providers_of(settings), name)
    log.info("outreach_runs", channels=sorted(courier.served), personal_data=master is not None)
    rules = dispatch or DispatchSettings()

    async def follow() -> None:
        async with open_pool(database, "outreach") as pool:
            await _follow(pool, courier, rules, database, stop)

    await despite_losses(follow, stop, settings.poll_s)


async def _follow(
    pool: Pool, courier: Courier, dispatch: DispatchSettings, database: DatabaseSettings, stop: asyncio.Event
) -> None:
    url = database.url.get_secret_value()
    async with await AsyncConnection.connect(url, autocommit=True, application_name="firstcall-outreach") as notices:
        for channel in NOTICES:
            await notices.execute(f"LISTEN {channel}")
        reported_at = round_at = 0.0
        while not stop.is_set():
            whole = time.monotonic() - round_at >= dispatch.poll_s
            round_at = time.monotonic() if whole else round_at
            await turn(pool, courier, dispatch, whole_round=whole)
            if time.monotonic() - reported_at > courier.settings.poll_s:
                reported_at = time.monotonic()
                await _report(pool, courier)
            await _wait(pool, notices, courier.settings.poll_s, stop)


async def turn(pool: Pool, courier: Courier, dispatch: DispatchSettings, *, whole_round: bool = True) -> int:
    """One look at everything: watches, a round of dispatch, then each outreach that is due; how many were.

    `whole_round`: also plan anew for those whom no window was found for before.
    """
    async with pool.connection() as connection:
        await look_at_watches(connection, courier.settings.watch_rules)
        await hold_round(connection, dispatch, only_if_new=not whole_round)  # so that a message can offer times
        cursor = await connection.execute(SQL["due"], {"at_most": 500})
        due = [int(str(row[0])) for row in await cursor.fetchall()]
    gate = asyncio.Semaphore(courier.settings.at_once)

    async def step(outreach_no: int) -> None:
        async with gate:
            try:
                async with pool.connection() as connection:
                    sending = await advance(connection, outreach_no, courier)
                if sending is not None:
                    await deliver(pool, sending, courier)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                courier.count("taken_again")  # the row is as it was: the next turn takes it

    async with asyncio.TaskGroup() as group:
        for outreach_no in due:
            group.create_task(step(outreach_no), name=f"outreach {outreach_no}")
    return len(due)


async def _report(pool: Pool, courier: Courier) -> None:
    async with pool.connection() as connection:
        rows = await (await connection.execute(SQL["counts"])).fetchall()
        states = {str(state): number for state, number in rows}
        blocked = [channel for channel, state in courier.back_offs.items() if state.failures]
        counters = {**courier.counters, "outreach": states, "providers_in_trouble": blocked}
        await connection.execute(SQL["report_health"], {"instance": courier.name, "counters": Jsonb(counters)})


async def _wait(pool: Pool, notices: AsyncConnection[Any], at_most_s: float, stop: asyncio.Event) -> None:
    """Until a notice, the stop, the next retry, or the timer."""
    async with pool.connection() as connection:
        row = await (await connection.execute(SQL["next_wall"])).fetchone()
    if row is not None and isinstance(row[0], float):
        at_most_s = max(0.01, min(at_most_s, row[0]))
    await notice_within(notices, at_most_s, stop)
