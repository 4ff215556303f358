"""Devices: the list, one with its four codes, and its channels over time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query

from cloud.web import cursors, problems
from cloud.web.api.allowing import allowed
from cloud.web.api.parameters import Beginning, Channels, Context, Cursor, Instant, Limit, ModelCode, position
from cloud.web.auth.permissions import Permission
from cloud.web.cursors import Page
from cloud.web.reads import devices, series
from cloud.web.reads.devices import Device, DeviceRow
from cloud.web.reads.series import Channel, Series

router = APIRouter(prefix="/devices", tags=["devices"], dependencies=[allowed(Permission.LOOK)])
ONE = problems.documented(401, 403, 404, 422, 429, 503)
KIND = "devices"
DevicePath = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$", description="Device code.", examples=["washer-0042"])]


@router.get("", summary="List devices", responses=problems.documented(400, 401, 403, 429, 422, 503))
async def list_devices(
    *,
    context: Context,
    limit: Limit = 50,
    cursor: Cursor = None,
    beginning: Beginning = None,
    model: ModelCode = None,
    faulty: Annotated[bool | None, Query(description="Only those that show a fault code now, or only others.")] = None,
) -> Page[DeviceRow]:
    """Devices by code."""
    after = position(KIND, cursor, str)
    rows = await devices.listed(
        context.pool, limit + 1, after[0] if after else None, beginning=beginning, model=model, faulty=faulty
    )
    items, following = cursors.page(KIND, rows, limit, lambda row: (row.device, row.device_no))
    return Page(items=items, next=following)


@router.get("/{device}", summary="Get one device", responses=ONE)
async def get_device(context: Context, device: DevicePath) -> Device:
    """One device with its four codes: itself, its product, its user (pseudonymous) and its faults."""
    found = await devices.get(context.pool, device)
    if found is None:
        raise problems.not_found(f"device {device}")
    return found


@router.get("/{device}/channels", summary="Channels of a device", responses=ONE)
async def device_channels(context: Context, device: DevicePath) -> list[Channel]:
    """All channels that the device ever declared."""
    return await series.channels(context.pool, await _number(context, device))


@router.get(
    "/{device}/series",
    summary="Channels of a device over a span",
    responses=ONE,
)
async def device_series(
    *,
    context: Context,
    device: DevicePath,
    since: Instant = None,
    until: Instant = None,
    points: Annotated[int, Query(ge=10, le=series.MOST_BUCKETS, description="Buckets a channel at most.")] = 300,
    channel: Channels = None,
) -> Series:
    """Channels down-sampled to low, mean and high a bucket. Without `until` the span ends at the newest reading;
    without `since` it begins a day before its end."""
    device_no = await _number(context, device)
    end = until or (since + timedelta(days=1) if since else await _end(context, device, device_no))
    begin = since or end - timedelta(days=1)
    if not begin < end or end - begin > timedelta(days=3660):
        raise problems.unprocessable("`since` must lie before `until`, by ten years at most")
    return await series.read(context.pool, device_no, device, since=begin, until=end, points=points, wanted=channel)


async def _number(context: Context, device: str) -> int:
    number = await devices.number_of(context.pool, device)
    if number is None:
        raise problems.not_found(f"device {device}")
    return number


async def _end(context: Context, device: str, device_no: int) -> datetime:
    newest = await series.newest(context.pool, device_no)
    if newest is None:
        raise problems.not_found(f"reading of device {device} yet")
    return newest + timedelta(hours=1)
