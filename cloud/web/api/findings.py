"""Findings: what was found at the end, the detector's delayed labels."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field

from cloud.web import cursors, problems, steps
from cloud.web.api.allowing import allowed
from cloud.web.api.changing import IdempotentRoute
from cloud.web.api.parameters import LARGEST, Context, Cursor, DeviceCode, Limit, Operator, person, position
from cloud.web.api.tickets import FindingBody
from cloud.web.auth.permissions import Permission
from cloud.web.cursors import Page
from cloud.web.reads import tickets
from cloud.web.reads.tickets import Finding

router = APIRouter(
    prefix="/findings", tags=["findings"], route_class=IdempotentRoute, dependencies=[allowed(Permission.LOOK)]
)
KIND = "findings"


@router.get("", summary="List findings", responses=problems.documented(400, 401, 403, 422, 429, 503))
async def list_findings(
    *,
    context: Context,
    limit: Limit = 50,
    cursor: Cursor = None,
    ticket_no: Annotated[int | None, Query(ge=1, le=LARGEST)] = None,
    device: DeviceCode = None,
) -> Page[Finding]:
    """Findings, the newest first; those without a ticket are failures that customers reported themselves."""
    after = position(KIND, cursor, datetime)
    rows = await tickets.findings(context.pool, limit + 1, after, ticket_no=ticket_no, device=device)
    items, following = cursors.page(KIND, rows, limit, lambda row: (row.found_at, row.finding_no))
    return Page(items=items, next=following)


class FailureBody(FindingBody):
    """A failure that the customer reported and no ticket foresaw."""

    device: str = Field(pattern="^[A-Za-z0-9_-]{1,64}$", description="Device code.")


@router.post(
    "",
    summary="Report a failure",
    status_code=201,
    responses=problems.documented(400, 401, 403, 404, 409, 422, 429, 503),
    dependencies=[allowed(Permission.REPORT)],
)
async def report_failure(context: Context, request: Request, operator: Operator, body: FailureBody) -> Finding:
    """A finding without a ticket: it teaches the detector what it missed. With a ticket, resolve the ticket instead."""
    number = await steps.report_failure(context.pool, body.device, body.finding(), person(request, operator, body.who))
    found = await tickets.finding(context.pool, number)
    if found is None:
        raise problems.not_found(f"finding {number}")
    return found
