"""Putting a fault on the shelf and taking it off again: a person, for a reason, for a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from cloud.db import queries
from cloud.db.pool import Pool
from cloud.web.auth.changes import changing
from cloud.web.auth.permissions import Permission
from cloud.web.problems import not_found, unprocessable

LONGEST = timedelta(days=7)  # [K] longer is no shelf but a repair that nobody makes


async def shelve(
    pool: Pool, case_no: int, *, reason: str, lasts: timedelta, person: str, whole_model: bool = False
) -> None:
    """Hide a case's fault from the live list: on its device, or on all devices of its model.

    Raises:
        Problem: they may not; no reason, no time or too long; no such case, or its model is unknown.
    """
    if not reason.strip():
        raise unprocessable("say why it may wait")
    if not timedelta(0) < lasts <= LONGEST:
        raise unprocessable(f"a fault may be shelved for at most {LONGEST.days} days")
    asked = {"case_no": case_no, "reason": reason.strip(), "lasts": lasts, "person": person, "whole_model": whole_model}
    if not await _run(pool, "put_on_shelf", asked):
        raise not_found(f"case {case_no} with a known model" if whole_model else f"case {case_no}")


async def unshelve(pool: Pool, shelf_no: int, person: str) -> None:
    """Show it again before its time. That it is off already is no error."""
    await _run(pool, "take_off_shelf", {"shelf_no": shelf_no, "person": person})


async def _run(pool: Pool, name: str, parameters: dict[str, Any]) -> bool:
    async with changing(pool, Permission.SHELVE) as connection:
        cursor = await connection.execute(queries.load("web")[name], parameters)
        return await cursor.fetchone() is not None
