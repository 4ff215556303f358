"""One detector through one world: records in order, calls out, labels back, until the span ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulator.people import DAY_S, Habits, People
from benchmarks.simulator.port import Answer, Block, Code, Detector, Label, Tick
from device_sim.failure.life import Span
from device_sim.fleet.population import Appliance
from device_sim.fleet.records import BulkFleet, Day
from device_sim.people.money import Call

TICK_S = 3600.0


@dataclass
class Course:
    """What came of it. ``swept`` holds, for each threshold, the calls that it would have made under the same desk rule
    (a device at most once in ``quiet_days``); labels followed only the detector's own ``calls``."""

    calls: list[Call] = field(default_factory=list)
    checks: list[Call] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    thresholds: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    swept: list[list[Call]] = field(default_factory=list)
    records: int = 0


def ticks_of(day: Day, names: Sequence[str], tick_s: float = TICK_S) -> Iterator[Tick]:
    """A day in ticks closed on the right, so that a record on the hour meets the codes of before it, none of after."""
    ends = [day.start + k * tick_s for k in range(int(DAY_S / tick_s))] + [np.nextafter(day.start + DAY_S, 0.0)]
    cuts = [np.searchsorted(block.times, ends, side="right") for block in day.blocks]
    codes = [Code(c.at, c.device, names[c.device], c.code, c.raised) for c in day.codes]
    begun, start = [0] * len(cuts), day.start - tick_s
    place = 0
    for k, end in enumerate(ends):
        blocks = []
        for b, block in enumerate(day.blocks):
            rows = slice(begun[b], int(cuts[b][k]))
            begun[b] = rows.stop
            if rows.start < rows.stop:
                numbers = block.devices[rows]
                devices = [names[i] for i in numbers.tolist()]
                blocks.append(
                    Block(block.model, block.channels, numbers, devices, block.times[rows], block.values[rows])
                )
        first = place
        while place < len(codes) and codes[place].at <= end:
            place += 1
        if blocks or place > first:
            yield Tick(start, float(end), tuple(blocks), tuple(codes[first:place]))
        start = float(end)


class Desk:
    """The rule of the desk, the same for every detector: a device is called at most once in ``quiet_days``."""

    def __init__(self, devices: int, thresholds: NDArray[np.float64], quiet_s: float) -> None:
        self.quiet_s = quiet_s
        self.thresholds = thresholds
        self.swept: list[list[Call]] = [[] for _ in thresholds]
        self._called = np.full(devices, -np.inf)
        self._would = np.full((len(thresholds), devices), -np.inf)

    def calls(self, answer: Answer, at: float) -> list[int]:
        """Those of the detector's calls that are made."""
        made = sorted({n for n in answer.calls if at - self._called[n] >= self.quiet_s})
        self._called[made] = at
        return made

    def sweep(self, answer: Answer, at: float) -> None:
        """What every threshold would have called."""
        if not len(self.thresholds) or not len(answer.scores):
            return
        for k in range(int(np.searchsorted(self.thresholds, answer.scores.max(), side="right"))):
            due = answer.numbers[answer.scores >= self.thresholds[k]]
            due = np.unique(due[at - self._would[k, due] >= self.quiet_s])
            self._would[k, due] = at
            self.swept[k].extend(Call(n, at) for n in due.tolist())


def run(
    fleet: BulkFleet,
    appliances: Sequence[Appliance],
    span: Span,
    detectors: Sequence[Detector],
    *,
    people_seed: int,
    thresholds: Sequence[Sequence[float]],
    habits: Habits | None = None,
    after_day: Callable[[int, Day], None] = lambda number, day: None,
) -> list[Course]:
    """Lead detectors through the same records side by side, each with people of its own (who are alike)."""
    habits = habits or Habits()
    names = [appliance.device for appliance in appliances]
    courses = [Course(thresholds=np.sort(np.array(t, np.float64))) for t in thresholds]
    people = [People(appliances, span, people_seed, habits) for _ in detectors]
    desks = [Desk(len(names), course.thresholds, habits.quiet_days * DAY_S) for course in courses]
    for number, day in enumerate(fleet.days()):
        for tick in ticks_of(day, names):
            for detector, course, crowd, desk in zip(detectors, courses, people, desks, strict=True):
                _step(detector, course, crowd, desk, tick)
        for detector, course, crowd in zip(detectors, courses, people, strict=True):
            course.records += len(day)
            end = day.start + DAY_S
            for device, share in detector.checks(end):
                course.checks.append(Call(device, end))
                crowd.called(device, end, share)
        after_day(number, day)
    for course, desk in zip(courses, desks, strict=True):
        course.swept = desk.swept
    return courses


def _step(detector: Detector, course: Course, people: People, desk: Desk, tick: Tick) -> None:
    for label in people.known_by(tick.start):
        course.labels.append(label)
        detector.learn(label)
    answer = detector.observe(tick)
    desk.sweep(answer, tick.end)
    for device in desk.calls(answer, tick.end):
        course.calls.append(Call(device, tick.end))
        people.called(device, tick.end)
