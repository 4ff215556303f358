"""The audit log: who changed what, and who looked at personal data."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from cloud.web import cursors, problems
from cloud.web.api.allowing import allowed
from cloud.web.api.parameters import WRITABLE, Context, Cursor, Limit, position
from cloud.web.auth import audit
from cloud.web.auth.audit import Action, Entry, Verdict
from cloud.web.auth.permissions import Permission
from cloud.web.cursors import Page

router = APIRouter(prefix="/audit", tags=["audit"], dependencies=[allowed(Permission.AUDIT)])
KIND = "audit"
Text = Annotated[str | None, Query(min_length=1, max_length=64, pattern=WRITABLE)]


@router.get("", summary="Read the audit log", responses=problems.documented(400, 401, 403, 422, 429, 503))
async def list_entries(
    *,
    context: Context,
    limit: Limit = 50,
    cursor: Cursor = None,
    person: Text = None,
    subject: Text = None,
    action: Action | None = None,
) -> Page[Entry]:
    """Entries, the newest first."""
    after = position(KIND, cursor, str)
    before = after[1] if after else None
    rows = await audit.entries(context.pool, limit + 1, before, person=person, subject=subject, action=action)
    items, following = cursors.page(KIND, rows, limit, lambda row: ("", row.entry_no))
    return Page(items=items, next=following)


@router.get("/verdict", summary="Is the log whole?", responses=problems.documented(401, 403, 429, 503))
async def verdict(context: Context) -> Verdict:
    """The whole chain of seals, reckoned anew. Takes seconds where there are millions of entries."""
    async with context.pool.connection() as connection:
        return await audit.verify(connection)
