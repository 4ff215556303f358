"""Devices: the list, and one device with its four codes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import Field

from cloud.db.pool import Pool
from cloud.web.reads.faults import Severity, Texts
from cloud.web.reads.rows import Shape, many, one, values


class DeviceRow(Shape):
    """A device, as the list shows it."""

    device_no: int = Field(exclude=True)
    device: str
    gateway: str | None
    first_seen_at: datetime
    last_seen_at: datetime | None
    firmware: str | None
    active_faults: list[str]
    model: str | None
    model_name: str | None
    family: str | None
    user_id: str | None
    open_tickets: int


class Fitting(Shape):
    """Which product a device is in, over which time."""

    gtin: str
    serial: str
    produced_on: date | None
    lot: str | None
    model: str | None
    model_name: str | None
    family: str | None
    price_band: str | None
    warranty_months: int | None
    valid_from: datetime | None
    valid_until: datetime | None


class Binding(Shape):
    """Which user has a device, over which time."""

    user_id: str
    locale: str
    time_zone: str
    erased_at: datetime | None
    valid_from: datetime | None
    valid_until: datetime | None


class FaultState(Shape):
    """Whether a code stands on the device, by the newest event time known."""

    code: str
    active: bool
    changed_at: datetime
    meaning: Texts | None
    severity: Severity | None


class Device(Shape):
    """One device with its four codes: itself, its product, its user, its faults."""

    device_no: int = Field(exclude=True)
    device: str
    registered: bool = Field(description="Whether the registry knows it, or it was only seen on the wire.")
    gateway: str | None
    gateway_online: bool | None
    first_seen_at: datetime
    last_seen_at: datetime | None
    newest_sample_at: datetime | None
    firmware: str | None
    active_faults: list[str]
    fittings: list[Fitting] = Field(description="Past and present, the newest first, as known now.")
    bindings: list[Binding] = Field(description="Past and present, the newest first, as known now.")
    fault_states: list[FaultState]

    @property
    def fitting(self) -> Fitting | None:
        """The present one."""
        return next((f for f in self.fittings if f.valid_until is None), None)

    @property
    def binding(self) -> Binding | None:
        """The present one."""
        return next((b for b in self.bindings if b.valid_until is None), None)


async def listed(
    pool: Pool,
    limit: int,
    after: str | None = None,
    *,
    beginning: str | None = None,
    model: str | None = None,
    faulty: bool | None = None,
) -> list[DeviceRow]:
    """Devices by code, behind `after`; only those whose code begins so, of this model, with or without faults."""
    parameters = {"limit": limit, "after": after, "beginning": beginning, "model": model, "faulty": faulty}
    return await many(pool, DeviceRow, "devices", parameters)


async def number_of(pool: Pool, device: str) -> int | None:
    """The device's number in the database, None when it is unknown."""
    rows = await values(pool, "device", {"device": device})
    return int(rows[0]["device_no"]) if rows else None


async def get(pool: Pool, device: str) -> Device | None:
    """One device."""
    rows: list[dict[str, Any]] = await values(pool, "device", {"device": device})
    if not rows:
        return None
    which = {"device_no": rows[0]["device_no"]}
    fittings = await many(pool, Fitting, "fittings", which)
    model = next((f.model for f in fittings if f.valid_until is None), None)
    newest = await values(pool, "newest_sample", which)
    return Device(
        **rows[0],
        newest_sample_at=newest[0]["at"] if newest else None,
        fittings=fittings,
        bindings=await many(pool, Binding, "bindings", which),
        fault_states=await many(pool, FaultState, "fault_states", which | {"model": model}),
    )


class Clocks(Shape):
    """The wall clock, and where the desk's event clock stands."""

    wall_at: datetime
    reads: str = Field(description="`wall`, or `event` while history or a simulation is played.")
    desk_at: datetime = Field(description="What the desk holds for now.")


async def clocks(pool: Pool) -> Clocks:
    """Both clocks."""
    found = await one(pool, Clocks, "clocks")
    if found is None:
        raise LookupError("desk_clock has no row; run `firstcall migrate`")
    return found
