"""The alarm machine: from a device's scores over event time to alarms that a person can act on.

Pure: scores and event times go in, transitions come out. One alarm a device and problem is

    quiet -> pending -> active -> (clearing) -> quiet,       and no-data beside them

after ISA-18.2 / IEC 62682 (on-delay, off-delay, deadband, chattering) with one more rule: a device that falls silent
is neither well nor ill. Its alarms are kept as they are, and the silence is a state of its own.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class AlarmSettings(BaseModel):
    """How scores become alarms. Lengths in seconds of event time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on_delay: float = Field(0.0, ge=0, description="a score must stay high for so long before the alarm is raised")
    off_delay: float = Field(86_400.0, ge=0, description="a score must stay low for so long before it is cleared")
    raise_score: float = Field(0.5, gt=0, le=1, description="high means at least this")
    clear_score: float = Field(0.25, ge=0, le=1, description="low means below this; between, the alarm stays as it is")
    chatter_count: int = Field(3, ge=2, description="so many raises within chatter_window are chattering")
    chatter_window: float = Field(7 * 86_400.0, gt=0, description="length of that window")
    silence: float = Field(6 * 3_600.0, gt=0, description="a device without samples for so long has no data")


class Change(StrEnum):
    """What an alarm machine can decide."""

    RAISED = "raised"
    CLEARED = "cleared"
    CHATTERING = "chattering"
    NO_DATA = "no_data"
    DATA_BACK = "data_back"


@dataclass(frozen=True, slots=True)
class Transition:
    """One decision. `at` is event time, epoch s; `problem` is empty for the two that concern a device's data."""

    device: str
    at: float
    change: Change
    problem: str = ""


@dataclass(slots=True)
class _Alarm:
    high_since: float | None = None
    low_since: float | None = None
    called_for: bool = False
    active: bool = False
    chattering: bool = False
    raises: deque[float] = field(default_factory=deque)


@dataclass(slots=True)
class AlarmMachine:
    """All alarms of a set of devices. `step` takes one score, `advance` tells how far event time has come."""

    settings: AlarmSettings
    _alarms: dict[tuple[str, str], _Alarm] = field(default_factory=dict)
    _last: dict[str, float] = field(default_factory=dict)
    _silent: set[str] = field(default_factory=set)

    def watched(self) -> dict[str, tuple[str, ...]]:
        """Devices with an alarm that is not quiet, and its problems: their low scores matter too."""
        found: dict[str, tuple[str, ...]] = {}
        for device, problem in self._alarms:
            found[device] = (*found.get(device, ()), problem)
        return found

    def seen(self, devices: Collection[str], at: float) -> Iterator[Transition]:
        """These devices gave samples, the last of them at `at`."""
        last = self._last
        for device in devices:
            if last.get(device, -math.inf) < at:
                last[device] = at
        if self._silent.isdisjoint(devices):
            return
        for device in devices:
            if device in self._silent:
                self._silent.discard(device)
                yield Transition(device, at, Change.DATA_BACK)

    def advance(self, now: float) -> Iterator[Transition]:
        """Event time has come to `now`: name the devices that have fallen silent."""
        for device, last in self._last.items():
            if now - last > self.settings.silence and device not in self._silent:
                self._silent.add(device)
                yield Transition(device, last + self.settings.silence, Change.NO_DATA)

    def step(self, device: str, problem: str, at: float, score: float, called_for: bool = True) -> Iterator[Transition]:
        """One score of a device for one problem; `called_for` says that the decision rule wants a ticket."""
        alarm = self._alarms.get((device, problem))
        if alarm is None:
            if score < self.settings.raise_score:
                return
            alarm = self._alarms[device, problem] = _Alarm()
        if score >= self.settings.raise_score:
            yield from self._high(alarm, device, problem, at, called_for)
        elif score < self.settings.clear_score:
            yield from self._low(alarm, device, problem, at)
        else:
            alarm.low_since = None
            if not alarm.active:
                alarm.high_since, alarm.called_for = None, False

    def _high(self, alarm: _Alarm, device: str, problem: str, at: float, called_for: bool) -> Iterator[Transition]:
        alarm.low_since = None
        if alarm.high_since is None:
            alarm.high_since = at
        alarm.called_for = alarm.called_for or called_for
        if alarm.active or not alarm.called_for or at - alarm.high_since < self.settings.on_delay:
            return
        alarm.active = True
        alarm.raises.append(at)
        while alarm.raises[0] <= at - self.settings.chatter_window:
            alarm.raises.popleft()
        yield Transition(device, at, Change.RAISED, problem)
        if len(alarm.raises) >= self.settings.chatter_count and not alarm.chattering:
            alarm.chattering = True
            yield Transition(device, at, Change.CHATTERING, problem)

    def _low(self, alarm: _Alarm, device: str, problem: str, at: float) -> Iterator[Transition]:
        alarm.high_since, alarm.called_for = None, False
        if alarm.low_since is None:
            alarm.low_since = at
        delay = self.settings.chatter_window if alarm.chattering else self.settings.off_delay
        if at - alarm.low_since < delay:
            return
        if alarm.active:
            alarm.active = alarm.chattering = False
            yield Transition(device, at, Change.CLEARED, problem)
        if not alarm.raises or alarm.raises[-1] <= at - self.settings.chatter_window:
            del self._alarms[device, problem]
