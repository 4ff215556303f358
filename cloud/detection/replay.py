"""`firstcall replay`: judge stored records again, and compare with what was decided live."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cloud.detection.alarms import Change
from cloud.detection.pipeline import Decision, Pipeline, decision_digest
from cloud.detection.service import DetectSettings, new_pipeline, weigh_calls
from cloud.detection.store import stored_decisions
from cloud.detection.tail import (
    Catalogue,
    Connection,
    models_of,
    new_lessons,
    read_span,
    stored_span,
    taken_cohorts,
    taken_lessons,
)
from cloud.registry.costs import Costs

Stored = tuple[str, str, float, float | None, float]


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay came to. `digest` and `live_digest` are equal when it decided as live did."""

    samples: int
    decisions: tuple[Stored, ...]
    live: tuple[Stored, ...]

    @property
    def digest(self) -> str:
        """Digest of the replay's decisions."""
        return decision_digest(self.decisions)

    @property
    def live_digest(self) -> str:
        """Digest of what the database holds of the same detector."""
        return decision_digest(self.live)

    @property
    def same(self) -> bool:
        """Whether the replay decided as live did."""
        return self.digest == self.live_digest


@dataclass(slots=True)
class DecisionBook:
    """Raised and cleared alarms, gathered from transitions in order."""

    open: dict[tuple[str, str], Stored] = field(default_factory=dict)
    closed: list[Stored] = field(default_factory=list)

    def enter(self, decision: Decision) -> None:
        """Take one decision."""
        at, judgement = decision.transition, decision.judgement
        if at.change is Change.RAISED and judgement is not None:
            self.open[at.device, at.problem] = (at.device, at.problem, at.at, None, judgement.probability)
        elif at.change is Change.CLEARED and (at.device, at.problem) in self.open:
            device, problem, raised_at, _, probability = self.open.pop((at.device, at.problem))
            self.closed.append((device, problem, raised_at, at.at, probability))

    def all(self) -> tuple[Stored, ...]:
        """Every alarm, cleared or not."""
        return (*self.closed, *self.open.values())


async def replay(
    connection: Connection,
    settings: DetectSettings,
    since: datetime | None = None,
    before: datetime | None = None,
    progress: Callable[[datetime, int], None] = lambda at, samples: None,
) -> ReplayResult:
    """Judge the stored records with event times in [since, before), by default all, with the settings given.

    Findings and models take effect at the ticks at which the live detector of the same name took them; what it has
    not taken yet, at their own time. `progress` is told the event time reached and the samples judged.
    """
    pipeline, book, samples = new_pipeline(settings), DecisionBook(), 0
    catalogue = Catalogue()
    span = await stored_span(connection)
    if span is not None:
        await weigh_calls(connection, Costs.load(settings.costs_file), pipeline)
        await _note_all(connection, settings.detector, pipeline)
        first, last = since or span[0], before or span[1] + timedelta(seconds=1)
        async for arrival in read_span(connection, first, last, catalogue):
            pipeline.take(arrival.frames, arrival.events)
            run = pipeline.run()
            for decision in run.decisions:
                book.enter(decision)
            samples += run.samples
            if arrival.frames:
                progress(datetime.fromtimestamp(arrival.frames[-1].started_at, tz=first.tzinfo), samples)
    live = tuple(await stored_decisions(connection, settings.detector))
    return ReplayResult(samples, book.all(), live)


async def _note_all(connection: Connection, detector: str, pipeline: Pipeline) -> None:
    noted = set()
    for note, tick in await taken_cohorts(connection, detector):
        pipeline.note(note, tick)
        noted.add(note.device)
    for lesson, tick in await taken_lessons(connection, detector, -(2**62)):
        pipeline.note(lesson, tick)
    if noted:
        return
    for lesson in await new_lessons(connection, detector):
        pipeline.note(lesson)
    rows = await (await connection.execute("SELECT device_no, device FROM device")).fetchall()
    for note in await models_of(connection, {int(str(number)): str(device) for number, device in rows}):
        pipeline.note(note)
