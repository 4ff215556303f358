"""Channels of one device over a span of event time, down-sampled in the database to buckets of low, mean, high."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from math import ceil
from typing import Any, Literal

from pydantic import Field

from cloud.db.pool import Pool
from cloud.web.reads.rows import Shape, many, one, values

MOST_READINGS = 1_000_000  # of all channels in a span; above it the hourly roll-ups answer (about 1 s on one core)
MOST_BUCKETS = 2_000
HOUR = timedelta(hours=1)
USUAL_HOURS = 24  # hours of history before a usual range is worth showing [K]


class Channel(Shape):
    """One channel that a device has declared."""

    channel: str
    unit: str
    role: str = Field(description="`measurement`, or `mode` for an operating mode.")
    hold_ms: int = Field(description="A reading stands so long when none follows (deadband), in ms.")
    declared_at: datetime


class Bucket(Shape):
    """What a channel did in one step of time."""

    at: datetime = Field(description="Start of the step, event time.")
    low: float
    mean: float
    high: float
    readings: int = Field(description="How many readings stand behind it.")


class UsualRange(Shape):
    """Between what a channel usually stays on this very device: the 10th percentile of its hourly lowest values and
    the 90th of its hourly highest ones, over up to 14 days that ended before the span of interest."""

    channel: str
    low: float
    high: float
    hours: int = Field(description="Hours of history behind it.")


class ChannelSeries(Shape):
    """One channel's buckets. Steps without a reading are left out, not filled in."""

    channel: str
    unit: str
    role: str
    hold_ms: int
    usual: UsualRange | None = Field(description="None while there are fewer than 24 hours of history.")
    buckets: list[Bucket]


class Series(Shape):
    """Several channels of one device over one span."""

    device: str
    since: datetime
    until: datetime
    step_s: float = Field(description="Width of a bucket in seconds.")
    source: Literal["frames", "hours"] = Field(
        description="`frames`: single readings were grouped; `hours`: the span was too rich, hourly roll-ups were."
    )
    channels: list[ChannelSeries]


def step_for(since: datetime, until: datetime, points: int, least: timedelta = timedelta(seconds=1)) -> timedelta:
    """The width of a bucket in whole seconds, so that the span falls into at most `points` buckets."""
    seconds = ceil((until - since) / timedelta(seconds=1) / points)
    return max(timedelta(seconds=seconds), least)


async def channels(pool: Pool, device_no: int) -> list[Channel]:
    """All channels that a device ever declared, each as declared last."""
    return await many(pool, Channel, "channels", {"device_no": device_no})


async def read(
    pool: Pool,
    device_no: int,
    device: str,
    *,
    since: datetime,
    until: datetime,
    points: int,
    wanted: Sequence[str] | None = None,
    usual_until: datetime | None = None,
) -> Series:
    """The series of a device's channels (all, or those `wanted`) in `since <= at < until`, at most `points` buckets
    each. The usual range is taken from before `usual_until` (else from before the span)."""
    span: dict[str, Any] = {"device_no": device_no, "since": since, "until": until}
    (load,) = await values(pool, "span_readings", span)
    rich = load["readings"] > MOST_READINGS
    step = step_for(since, until, points, HOUR if rich else timedelta(seconds=1))
    span |= {"step": step, "channels": None if wanted is None else list(wanted)}
    rows = await values(pool, "series_from_hours" if rich else "series_from_frames", span)
    band = {"device_no": device_no, "until": usual_until or since, "hours": USUAL_HOURS, "channels": span["channels"]}
    usual = {u.channel: u for u in await many(pool, UsualRange, "usual_ranges", band)}
    declared = {c.channel: c for c in await channels(pool, device_no)}
    return Series(
        device=device,
        since=since,
        until=until,
        step_s=step.total_seconds(),
        source="hours" if rich else "frames",
        channels=list(_by_channel(rows, declared, usual)),
    )


def _by_channel(
    rows: Sequence[dict[str, Any]], declared: dict[str, Channel], usual: dict[str, UsualRange]
) -> Iterable[ChannelSeries]:
    for name, group in groupby(rows, key=lambda row: row["channel"]):
        known = declared.get(name)
        yield ChannelSeries(
            channel=name,
            unit=known.unit if known else "",
            role=known.role if known else "measurement",
            hold_ms=known.hold_ms if known else 0,
            usual=usual.get(name),
            buckets=[Bucket(**{k: v for k, v in row.items() if k != "channel"}) for row in group],
        )


async def newest(pool: Pool, device_no: int) -> datetime | None:
    """When the newest frame of a device starts, in event time."""
    row = await one(pool, _Newest, "newest_sample", {"device_no": device_no})
    return row.at if row else None


class _Newest(Shape):
    at: datetime
