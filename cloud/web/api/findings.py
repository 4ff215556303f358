"""Findings: what was found at the end, the detector's delayed labels."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from cloud.web import cursors, problems
from cloud.web.api.parameters import LARGEST, Code, Context, Cursor, Limit, position
from cloud.web.cursors import Page
from cloud.web.reads import tickets
from cloud.web.reads.tickets import Finding

router = APIRouter(prefix="/findings", tags=["findings"])
KIND = "findings"


@router.get("", summary="List findings", responses=problems.documented(400, 401, 422, 503))
async def list_findings(
    context: Context,
    limit: Limit = 50,
    cursor: Cursor = None,
    ticket_no: Annotated[int | None, Query(ge=1, le=LARGEST)] = None,
    device: Code = None,
) -> Page[Finding]:
    """Findings, the newest first; those without a ticket are failures that customers reported themselves."""
    after = position(KIND, cursor, datetime)
    rows = await tickets.findings(context.pool, limit + 1, after, ticket_no=ticket_no, device=device)
    items, following = cursors.page(KIND, rows, limit, lambda row: (row.found_at, row.finding_no))
    return Page(items=items, next=following)
