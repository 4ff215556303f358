"""After self-help: look at the device until the physics says whether it helped, then close the ticket or go on."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import structlog
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from cloud.desk.errors import DeskError
from cloud.desk.outreach.file import SQL, Connection
from cloud.desk.outreach.watch import Look, Watch, WatchRules, look
from cloud.desk.tickets import Finding, Outcome, resolve

log = structlog.get_logger(__name__)

PERSON = "self-help"


async def look_at_watches(connection: Connection, rules: WatchRules) -> int:
    """Look at every running watch once; how many changed their state."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["running_watches"], {"relapse": rules.relapse})
        rows = await cursor.fetchall()
    changed = 0
    for row in rows:
        changed += await _look_at(connection, row, rules)
    return changed


async def _look_at(connection: Connection, row: dict[str, Any], rules: WatchRules) -> bool:
    """One watch, in one transaction with what follows from it."""
    before = Watch(row["began_at"], row["state"], row["normal_since"], row["decided_at"])
    async with connection.transaction():
        await connection.execute("SELECT lock_device(%s)", [row["device_no"]])
        seen = await _see(connection, row)
        after = look(before, seen, rules)
        if after == before:
            return False
        await connection.execute(
            SQL["move_watch"],
            {
                "ticket_no": row["ticket_no"],
                "state": after.state,
                "normal_since": after.normal_since,
                "decided_at": after.decided_at,
                "seen": Jsonb({k: str(v) for k, v in asdict(seen).items()}),
            },
        )
        if after.state != before.state:
            await _follow_up(connection, row, after)
    return True


async def _see(connection: Connection, row: dict[str, Any]) -> Look:
    """What fault cases, frames and hourly channels show of the device since the watch began."""
    which = {
        "device_no": row["device_no"],
        "problem": row["problem"],
        "since": row["began_at"],
        "channels": row["channels"],
        "detected_at": row["detected_at"],
    }
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["look_at_faults"], which)
        faults = await cursor.fetchone() or {}
        odd_at: datetime | None = None
        if row["channels"]:
            await cursor.execute(SQL["look_at_channels"], which)
            odd_at = (await cursor.fetchone() or {}).get("odd_at")
    heard = await (await connection.execute(SQL["heard_until"], which)).fetchone()
    heard_until = None if heard is None else heard[0]
    stands = bool(faults.get("stands"))
    last_odd = odd_at + timedelta(hours=1) if odd_at is not None else None
    starts = [at for at in (row["began_at"], faults.get("cleared_at"), last_odd) if at is not None]
    return Look(
        at=row["now"],
        fault_stands=stands,
        # an hour that was odd is over when a later reading exists: then normal_since says from when on
        channels_normal=last_odd is None or (heard_until is not None and heard_until >= last_odd),
        normal_since=None if stands else max(starts),
        heard_until=heard_until,
        raised_at=faults.get("raised_at"),
    )


async def _follow_up(connection: Connection, row: dict[str, Any], watch: Watch) -> None:
    """Healed closes the ticket with a finding; came back owes the customer a word and lets dispatch take over."""
    ticket_no = row["ticket_no"]
    log.info("watch_decided", ticket=ticket_no, state=watch.state)
    if watch.state == "healed" and row["ticket_state"] == "contacted":
        note = f"self-help; all normal since {watch.normal_since:%Y-%m-%d %H:%M} UTC"
        code = None if row["problem"] == "anomaly" else row["problem"]
        found = Finding(Outcome.FAULT_CONFIRMED, code=code, note=note)
        try:
            await resolve(connection, ticket_no, PERSON, found)
        except DeskError as error:  # somebody closed it meanwhile: the watch stands, there is nothing to close
            log.warning("watch_not_closed", ticket=ticket_no, detail=str(error))
    elif watch.state == "came_back":
        await connection.execute(SQL["put_came_back"], {"ticket_no": ticket_no})
        await connection.execute("SELECT pg_notify('outreach', %s)", [str(ticket_no)])
