"""From committed records to decisions, the same for the live service and for a replay. Pure: no clock, no I/O.

Records go through the intake (event-time order), the engine (judgement) and the alarm machine (what a person is told).
Two kinds of input have no place in the stream of records: a finding, and what the registry says of a device's model.
They take effect at the start of a tick, and `Pipeline.run` says at which: written down, a replay does the same.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from cloud.detection.alarms import AlarmMachine, AlarmSettings, Change, Transition
from cloud.detection.columns import DeviceColumn
from cloud.detection.engine import Engine
from cloud.detection.intake import Intake, StoredFrame, Tick
from cloud.detection.judgement import Judgement, Judgements
from cloud.detection.records import DeviceEvent, EventKind, Outcome, RecordBlock

HEALTH_EVERY = 600.0
"""Seconds of event time between two looks at a device's latest figures: they are for people, not for decisions."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A finding on its way to the engine. `part` was replaced at the visit, if any; `upkeep`: and that is all."""

    finding_no: int
    outcome: Outcome
    part: str = ""
    upkeep: bool = False


@dataclass(frozen=True, slots=True)
class CohortNote:
    """The registry's word that a device is of a model."""

    device: str
    cohort: str


@dataclass(frozen=True, slots=True)
class Taken:
    """An input took effect at the start of this tick."""

    tick: int
    note: Lesson | CohortNote


@dataclass(frozen=True, slots=True)
class Decision:
    """What the alarm machine decided, with the judgement that moved it (None for a device's silence)."""

    transition: Transition
    judgement: Judgement | None = None


@dataclass(slots=True)
class Latest:
    """The newest judgement of a device, in numbers."""

    at: float
    score: float
    probability: float
    completeness: float
    judgeable: bool
    silent: bool = False


@dataclass(slots=True)
class Run:
    """What one call of `Pipeline.run` brought about."""

    decisions: list[Decision] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    ticks: int = 0
    samples: int = 0
    touched: set[str] = field(default_factory=set)


class Pipeline:
    """Intake, engine and alarm machine of one set of devices."""

    def __init__(self, engine: Engine, intake: Intake, alarms: AlarmSettings) -> None:
        self.engine = engine
        self.intake = intake
        self.alarms = AlarmMachine(alarms)
        self.latest: dict[str, Latest] = {}
        self._notes: list[tuple[int, int, Lesson | CohortNote]] = []
        self._counter = 0

    def take(self, frames: Iterable[StoredFrame], events: Iterable[tuple[DeviceEvent, float]] = ()) -> None:
        """Committed frames and events, in any order; an event comes with its time of receipt, epoch s."""
        self.intake.add(frames, events)

    def note(self, note: Lesson | CohortNote, tick: int | None = None) -> None:
        """Let an input take effect: at `tick` in a replay, else at the next one (a finding: not before its time)."""
        if tick is None:
            tick = self.intake.next_tick if self.intake.next_tick is not None else -(2**62)
            if isinstance(note, Lesson):
                tick = max(tick, math.floor(note.outcome.known_at / self.intake.tick) + 1)
        self._counter += 1
        heapq.heappush(self._notes, (tick, self._counter, note))

    def pending_findings(self) -> set[int]:
        """Findings that wait for their tick."""
        return {note.finding_no for _, _, note in self._notes if isinstance(note, Lesson)}

    def cohorts_noted(self) -> dict[str, str]:
        """Device -> model, with what waits for its tick already in force."""
        waiting = {
            note.device: note.cohort
            for _, _, note in sorted(self._notes, key=lambda n: n[:2])
            if isinstance(note, CohortNote)
        }
        return self.intake.cohorts | waiting

    def run(self, *, flush: bool = False) -> Run:
        """Judge every tick that is complete (with `flush`, whatever is held)."""
        run = Run()
        for tick in self.intake.flush() if flush else self.intake.ready():
            replaced = self._apply_notes(tick, run)
            for block in _with_events(self.intake.blocks(tick), replaced):
                run.decisions.extend(self._judge(block))
                run.samples += len(block.devices)
                run.touched.update(DeviceColumn.of(block.devices).names)
            now = (tick.number + 1) * self.intake.tick
            run.decisions.extend(self._alarms(self.engine.wake(now)))
            for transition in self.alarms.advance(now):
                self._mark_silent(transition)
                run.touched.add(transition.device)
                run.decisions.append(Decision(transition))
            run.ticks += 1
        return run

    def _apply_notes(self, tick: Tick, run: Run) -> list[DeviceEvent]:
        replaced = []
        start = tick.number * self.intake.tick
        while self._notes and self._notes[0][0] <= tick.number:
            _due, _counter, note = heapq.heappop(self._notes)
            if isinstance(note, CohortNote):
                self.intake.cohorts[note.device] = note.cohort
            else:
                if not note.upkeep:
                    self.engine.learn(note.outcome)
                if note.part:
                    replaced.append(DeviceEvent(start, note.outcome.device, EventKind.PART_REPLACED, note.part))
            run.taken.append(Taken(tick.number, note))
        return replaced

    def _judge(self, block: RecordBlock) -> Iterator[Decision]:
        judgements = self.engine.observe(block)
        if not len(block.devices):
            return
        devices = DeviceColumn.of(block.devices)
        newest = float(block.times[-1])
        for transition in self.alarms.seen(devices.names, newest):
            self._mark_silent(transition)
            yield Decision(transition)
        yield from self._alarms(judgements)
        self._remember(judgements, devices)

    def _alarms(self, judgements: Judgements) -> Iterator[Decision]:
        if not len(judgements):
            return
        devices = DeviceColumn.of(judgements.devices)
        watched = self.alarms.watched()
        concerned = (judgements.scores >= self.alarms.settings.raise_score) | judgements.tickets
        if watched:
            concerned |= np.array([name in watched for name in devices.names])[devices.place]
        for row in np.flatnonzero(concerned).tolist():
            yield from self._alarm(judgements, row, watched.get(devices[row], ()))

    def _alarm(self, judgements: Judgements, row: int, problems: Iterable[str]) -> Iterator[Decision]:
        device, at, score = judgements.devices[row], float(judgements.times[row]), float(judgements.scores[row])
        called_for = bool(judgements.tickets[row])
        if called_for:  # a call may pay below what is high for an alarm: then it is high enough
            score = max(score, self.alarms.settings.raise_score)
        low = score < self.alarms.settings.clear_score
        concerned = set(problems) if low else set()
        for problem in sorted(concerned | {judgements.problem(row)}):
            for transition in self.alarms.step(device, problem, at, score, called_for):
                yield Decision(transition, judgements[row])

    def _remember(self, judgements: Judgements, devices: DeviceColumn) -> None:
        due: dict[str, int] = {}
        last = devices.last_rows()
        for device, row, at in zip(devices.names, last, judgements.times[last].tolist(), strict=True):
            known = self.latest.get(device)
            if known is None or at - known.at >= HEALTH_EVERY:
                due[device] = row
        if not due:
            return
        columns = [judgements.times, judgements.scores, judgements.probabilities]
        figures = [column[list(due.values())].tolist() for column in columns]
        completeness, judgeable = self.engine.fitness(list(due))
        for device, *latest in zip(due, *figures, completeness.tolist(), judgeable.tolist(), strict=True):
            self.latest[device] = Latest(*latest)

    def _mark_silent(self, transition: Transition) -> None:
        latest = self.latest.get(transition.device)
        if latest is not None:
            latest.silent = transition.change is Change.NO_DATA


def _with_events(blocks: Iterable[RecordBlock], events: list[DeviceEvent]) -> Iterator[RecordBlock]:
    """The tick's blocks, with what happened at visits put before what devices reported."""
    for place, block in enumerate(blocks):
        yield replace(block, events=[*events, *block.events]) if place == 0 and events else block


def decision_digest(decisions: Iterable[tuple[str, str, float, float | None, float]]) -> str:
    """SHA-256, in hexadecimal, of decisions in canonical order: what a replay is compared by.

    A decision is (device, problem, raised_at, cleared_at, probability): times in epoch s, compared to the ms;
    the probability as float32, as the database keeps it.
    """
    lines = sorted(
        f"{raised_at:.3f}|{device}|{problem}|{'' if cleared_at is None else f'{cleared_at:.3f}'}"
        f"|{float(np.float32(probability)).hex()}"
        for device, problem, raised_at, cleared_at, probability in decisions
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
