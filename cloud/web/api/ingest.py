"""How well readings arrive."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter

from cloud.web import cursors, problems
from cloud.web.api.allowing import allowed
from cloud.web.api.parameters import Context, Cursor, Limit, position
from cloud.web.auth.permissions import Permission
from cloud.web.cursors import Page
from cloud.web.reads import ingest
from cloud.web.reads.ingest import DeadLetter, IngestHealth, Loss

router = APIRouter(prefix="/ingest", tags=["ingest"], dependencies=[allowed(Permission.LOOK)])
LETTERS = "dead-letters"


@router.get("", summary="Ingest health", responses=problems.documented(401, 403, 429, 503))
async def ingest_health(context: Context) -> IngestHealth:
    """Lag, rate, fleet, losses, dead letters and each program's counters."""
    return await ingest.health(context.pool)


@router.get("/dead-letters", summary="List dead letters", responses=problems.documented(400, 401, 403, 429, 422, 503))
async def list_dead_letters(context: Context, limit: Limit = 50, cursor: Cursor = None) -> Page[DeadLetter]:
    """Messages that could not be stored, with the reason, the newest first."""
    after = position(LETTERS, cursor, datetime)
    rows = await ingest.dead_letters(context.pool, limit + 1, after)
    items, following = cursors.page(LETTERS, rows, limit, lambda row: (row.last_received_at, row.dead_letter_no))
    return Page(items=items, next=following)


@router.get("/losses", summary="The loss ledger", responses=problems.documented(401, 403, 429, 422, 503))
async def list_losses(context: Context, limit: Limit = 50) -> list[Loss]:
    """The newest gaps that full spools had to leave."""
    return await ingest.losses(context.pool, limit)
