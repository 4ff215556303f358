"""Pure: service clocks that stop while the delay is not ours, and what they say when time runs out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

ClockName = Literal["contact", "visit"]
Level = Literal["warning", "breach", "critical"]
Pause = tuple[datetime, datetime | None]
"""From when until when; None: it lasts."""

LEVELS: tuple[tuple[Level, float], ...] = (("warning", 0.75), ("breach", 1.0), ("critical", 1.5))
"""At which share of the allowance each level is reached; [K]."""


@dataclass(frozen=True, slots=True)
class Clock:
    """A service clock: running, paused or stopped, with what it has counted. Times are the desk's."""

    name: ClockName
    allowance: timedelta
    elapsed: timedelta
    paused: bool
    stopped: bool
    due_at: datetime | None  # when the allowance ends if it is not paused again; None while paused or stopped

    @property
    def level(self) -> Level | None:
        """The highest level reached."""
        reached = [level for level, share in LEVELS if self.elapsed >= share * self.allowance]
        return reached[-1] if reached else None


@dataclass(frozen=True, slots=True)
class Milestones:
    """When a ticket was confirmed, first contacted, and closed."""

    confirmed_at: datetime | None
    contacted_at: datetime | None
    closed_at: datetime | None


def clocks(
    severity: str,
    m: Milestones,
    pauses: Sequence[Pause],
    now: datetime,
    allowances: Mapping[ClockName, Mapping[str, float]],
) -> list[Clock]:
    """Both clocks of a ticket: contact runs from confirmation to contact, visit from contact to the end."""
    spans: tuple[tuple[ClockName, datetime | None, datetime | None], ...] = (
        ("contact", m.confirmed_at, m.contacted_at or m.closed_at),
        ("visit", m.contacted_at, m.closed_at),
    )
    return [
        _clock(name, timedelta(hours=allowances[name][severity]), (start, end), pauses, now)
        for name, start, end in spans
        if start is not None
    ]


def _clock(
    name: ClockName,
    allowance: timedelta,
    runs: tuple[datetime, datetime | None],
    pauses: Sequence[Pause],
    now: datetime,
) -> Clock:
    start, end = runs
    until = min(end or now, now)
    elapsed = max(timedelta(0), until - start - paused_within(pauses, start, until))
    stopped = end is not None and end <= now
    paused = not stopped and any(begin <= now and (over is None or now < over) for begin, over in pauses)
    due_at = None if stopped or paused else now + (allowance - elapsed)
    return Clock(name, allowance, elapsed, paused, stopped, due_at)


def paused_within(pauses: Sequence[Pause], start: datetime, end: datetime) -> timedelta:
    """How much of [start, end) is paused; where pauses overlap, time counts once."""
    total, reached = timedelta(0), start
    for begin, over in sorted(pauses, key=lambda pause: pause[0]):
        low, high = max(begin, reached), min(over or end, end)
        if high > low:
            total += high - low
            reached = high
    return total


def escalations(clock: Clock, already: frozenset[Level]) -> list[Level]:
    """Levels that are reached and were not told yet. A stopped or paused clock tells nothing new."""
    if clock.stopped or clock.paused:
        return []
    return [level for level, share in LEVELS if clock.elapsed >= share * clock.allowance and level not in already]
