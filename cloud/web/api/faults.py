"""Faults: what appliances report and what the detector predicts, with the four codes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query

from cloud.web import cursors, problems
from cloud.web.api.allowing import allowed
from cloud.web.api.parameters import LARGEST, Channels, Context, Cursor, DeviceCode, Instant, Limit, ModelCode, position
from cloud.web.auth.permissions import Permission
from cloud.web.cursors import Page
from cloud.web.reads import devices, faults, series
from cloud.web.reads.faults import Fault, FaultFilter, Severity, Source
from cloud.web.reads.series import Series

router = APIRouter(prefix="/faults", tags=["faults"], dependencies=[allowed(Permission.LOOK)])
ONE = problems.documented(401, 403, 404, 422, 429, 503)
KIND = "faults"


@router.get("", summary="List faults", responses=problems.documented(400, 401, 403, 429, 422, 503))
async def list_faults(
    *,
    context: Context,
    limit: Limit = 50,
    cursor: Cursor = None,
    device: DeviceCode = None,
    model: ModelCode = None,
    source: Source | None = None,
    severity: Severity | None = None,
    standing: Annotated[bool | None, Query(description="Only those that stand now, or only cleared ones.")] = None,
    complete: Annotated[
        bool | None, Query(description="Only those with all four codes, or only those without.")
    ] = None,
    since: Instant = None,
    until: Instant = None,
) -> Page[Fault]:
    """Faults by event time, the newest first. A fault whose user, product or code is unknown is listed too: `missing`
    names what is lacking."""
    wanted = FaultFilter(
        device=device,
        model=model,
        source=source,
        severity=severity,
        standing=standing,
        complete=complete,
        since=since,
        until=until,
    )
    after = position(KIND, cursor, datetime)
    rows = await faults.listed(context.pool, wanted, limit + 1, after)
    items, following = cursors.page(KIND, rows, limit, lambda fault: (fault.occurred_at, fault.case_no))
    return Page(items=items, next=following)


Number = Annotated[int, Path(ge=1, le=LARGEST, description="The case's number.")]


@router.get("/{case_no}", summary="Get one fault", responses=ONE)
async def get_fault(context: Context, case_no: Number) -> Fault:
    """One fault with its four codes."""
    return await _fault(context, case_no)


@router.get("/{case_no}/series", summary="Channels around a fault", responses=ONE)
async def fault_series(
    *,
    context: Context,
    case_no: Number,
    before_h: Annotated[float, Query(gt=0, le=24 * 60, description="Hours before it.")] = 6,
    after_h: Annotated[float, Query(gt=0, le=24 * 60, description="Hours after it.")] = 2,
    points: Annotated[int, Query(ge=10, le=series.MOST_BUCKETS, description="Buckets a channel at most.")] = 300,
    channel: Channels = None,
) -> Series:
    """All channels of the fault's device around the moment it occurred, down-sampled to low, mean and high a bucket,
    with the usual range of each channel from before."""
    fault = await _fault(context, case_no)
    device_no = await devices.number_of(context.pool, fault.device)
    if device_no is None:
        raise problems.not_found(f"device {fault.device}")
    since = fault.occurred_at - timedelta(hours=before_h)
    return await series.read(
        context.pool,
        device_no,
        fault.device,
        since=since,
        until=fault.occurred_at + timedelta(hours=after_h),
        points=points,
        wanted=channel,
    )


async def _fault(context: Context, case_no: int) -> Fault:
    found = await faults.get(context.pool, case_no)
    if found is None:
        raise problems.not_found(f"fault {case_no}")
    return found
