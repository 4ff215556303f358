"""What the detector says: its alarms, and its view of one device."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from cloud.db.pool import Pool
from cloud.web.cursors import Key
from cloud.web.reads.rows import Shape, many, one

State = Literal["active", "cleared"]


class Prediction(Shape):
    """One alarm of the detector."""

    prediction_no: int
    device: str
    problem: str = Field(description="A fault code where the detector names one, else `anomaly`.")
    state: State
    raised_at: datetime = Field(description="Event time.")
    cleared_at: datetime | None
    chattering: bool = Field(description="Whether it comes and goes.")
    probability: float = Field(description="That a fault is confirmed within `horizon_hours`.")
    horizon_hours: float
    hours_left_low: float | None = Field(description="Where degradation is visible: hours until it fails, at least.")
    hours_left_high: float | None = Field(description="And at most.")
    reason: dict[str, Any]
    detector: str
    created_at: datetime


class DeviceHealth(Shape):
    """What the detector can say of a device now."""

    judged_at: datetime = Field(description="Event time.")
    score: float
    probability: float
    completeness: float = Field(description="Share of the readings that should have come lately.")
    judgeable: bool = Field(description="False: a fault could not have been seen.")
    silent: bool


async def listed(
    pool: Pool,
    limit: int,
    after: tuple[Key, int] | None = None,
    *,
    device: str | None = None,
    state: State | None = None,
) -> list[Prediction]:
    """Predictions by event time, the newest first."""
    key, number = after or (None, None)
    parameters = {"key": key, "number": number, "limit": limit, "device": device, "state": state}
    return await many(pool, Prediction, "predictions", parameters)


async def health(pool: Pool, device_no: int) -> DeviceHealth | None:
    """The detector's view of a device; None when it has not judged it yet."""
    return await one(pool, DeviceHealth, "device_health", {"device_no": device_no})
