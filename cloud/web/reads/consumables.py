"""Consumables of a device: filter, salt, rinse aid. How much is left, and for how long that lasts.

Which channel measures one is declared by the model's catalogue (table `consumable`), never guessed. How long it lasts
follows from the slope since it was filled last, in the hourly roll-ups of a month.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import combinations, groupby
from statistics import median
from typing import NamedTuple

from pydantic import Field

from cloud.db.pool import Pool
from cloud.web.reads.faults import Texts
from cloud.web.reads.rows import Shape, values

DAY = timedelta(days=1)
SPAN = timedelta(days=30)
STEP = timedelta(hours=12)
REFILL = 0.08  # [K] a rise by so much of the whole between two steps is a refill or a change, and no noise
LEAST_SPAN, LEAST_STEPS = timedelta(days=2), 4  # [K] of what was seen since, to speak of a slope
LEAST_USE = 0.005  # [K] of the whole; less was used: nothing to reckon with


class Level(NamedTuple):
    """How much was left at a time, as a share of the whole."""

    at: datetime
    left: float


class Consumable(Shape):
    """One consumable of a device."""

    channel: str
    name: Texts
    left: float = Field(description="Share of the whole that is left, 0 to 1.")
    at: datetime = Field(description="When that was measured, event time, to half a day.")
    days: float | None = Field(description="How long it lasts at the pace since it was filled; null if none is seen.")


def lasts(levels: Sequence[Level]) -> float | None:
    """Days until nothing is left, at the pace since the last refill; None where no use is seen or too little time.

    The slope is the median of those between all pairs (Theil and Sen): single wrong readings do not bend it.
    """
    since = next((n for n in range(len(levels) - 1, 0, -1) if levels[n].left - levels[n - 1].left >= REFILL), 0)
    seen = levels[since:]
    if len(seen) < LEAST_STEPS or seen[-1].at - seen[0].at < LEAST_SPAN:
        return None
    a_day = median((b.left - a.left) / ((b.at - a.at) / DAY) for a, b in combinations(seen, 2))
    if -a_day * ((seen[-1].at - seen[0].at) / DAY) < LEAST_USE:
        return None
    return max(0.0, seen[-1].left) / -a_day


async def read(pool: Pool, device_no: int, model: str | None, until: datetime) -> list[Consumable]:
    """The consumables that this device reports, by channel; none where its model declares none."""
    declared = {row["channel"]: row for row in await values(pool, "consumables", {"model": model})} if model else {}
    if not declared:
        return []
    asked = {"device_no": device_no, "channels": list(declared), "since": until - SPAN, "until": until, "step": STEP}
    rows = await values(pool, "consumable_levels", asked)
    found = []
    for channel, group in groupby(rows, key=lambda row: row["channel"]):
        levels = [Level(row["at"], _left(row["mean"], declared[channel])) for row in group]
        newest = levels[-1]
        left = min(max(newest.left, 0.0), 1.0)
        name = declared[channel]["name"]
        found.append(Consumable(channel=channel, name=name, left=left, at=newest.at, days=lasts(levels)))
    return found


def _left(reading: float, declared: Mapping[str, float]) -> float:
    return (reading - declared["when_spent"]) / (declared["when_new"] - declared["when_spent"])
