"""`firstcall detect`: follow committed records, judge them, write predictions, learn from findings."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from cloud.db import queries
from cloud.db.settings import DatabaseSettings
from cloud.db.waiting import despite_losses, notice_within
from cloud.detection.alarms import AlarmSettings
from cloud.detection.engine import Engine
from cloud.detection.intake import Intake
from cloud.detection.pipeline import CohortNote, Lesson, Pipeline, Run
from cloud.detection.settings import EngineSettings
from cloud.detection.store import read_checkpoint, write_checkpoint, write_health, write_run
from cloud.detection.tail import (
    Catalogue,
    Connection,
    Cursor,
    families_of_models,
    models_of,
    new_lessons,
    read_batches,
    taken_cohorts,
    taken_lessons,
)
from cloud.registry.costs import Costs

log = structlog.get_logger(__name__)


class DetectSettings(BaseSettings):
    """Settings of the detector. Each can be given as an environment variable FIRSTCALL_DETECT_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="FIRSTCALL_DETECT_", frozen=True, env_nested_delimiter="__")

    detector: str = Field(default="champion", min_length=1, max_length=64, description="Name under which it decides.")
    lateness_s: float = Field(
        default=900.0, ge=0, description="How far behind the newest record one may come and still be judged in order."
    )
    tick_s: float = Field(default=60.0, gt=0, description="Length of the windows of event time judged at once.")
    batches_at_once: int = Field(default=200, ge=1, description="Committed batches read at a time.")
    poll_s: float = Field(default=1.0, gt=0, description="Seconds without a notice after which it looks by itself.")
    checkpoint_s: float = Field(default=60.0, gt=0, description="Seconds between two checkpoints.")
    registry_s: float = Field(default=30.0, gt=0, description="Seconds between two looks at the devices' models.")
    costs_file: Path | None = Field(
        default=None, description="Costs by family in place of those that ship (cloud/registry/costs.toml)."
    )
    seed: int = Field(default=0, description="Seed of everything random in the detector.")
    alarms: AlarmSettings = Field(default=AlarmSettings(), description="How scores become alarms.")
    engine: EngineSettings = Field(default=EngineSettings(), description="The engine's settings, docs/detection.md.")


def new_pipeline(settings: DetectSettings) -> Pipeline:
    """An empty pipeline: nothing seen, nothing learnt."""
    intake = Intake(lateness=settings.lateness_s, tick=settings.tick_s)
    return Pipeline(Engine(settings.engine, seed=settings.seed), intake, settings.alarms)


async def weigh_calls(connection: Connection, costs: Costs, pipeline: Pipeline) -> None:
    """From which probability on a call pays, by model: the costs of its family."""
    families = await families_of_models(connection)
    pipeline.engine.pays_from = {model: costs.of(family).least_probability() for model, family in families.items()}


@dataclass(slots=True)
class Counters:
    """What the detector did since it started; written to program_health."""

    samples: int = 0
    ticks: int = 0
    decisions: int = 0
    lessons: int = 0
    late_samples: int = 0
    checkpoint_bytes: int = 0


@dataclass(slots=True)
class Detector:
    """The running detector: one connection to read and write, its pipeline, and how far it has read."""

    settings: DetectSettings
    pipeline: Pipeline
    costs: Costs
    cursor: Cursor = field(default_factory=Cursor)
    catalogue: Catalogue = field(default_factory=Catalogue)
    counters: Counters = field(default_factory=Counters)
    _noted: set[int] = field(default_factory=set)
    _touched: set[str] = field(default_factory=set)
    _checkpointed: float = 0.0
    _asked_registry: float = 0.0

    @classmethod
    async def resume(cls, connection: Connection, settings: DetectSettings) -> Detector:
        """The detector as it was at its last checkpoint, or a new one."""
        kept = await read_checkpoint(connection, settings.detector, new_pipeline(settings))
        pipeline, cursor = kept or (new_pipeline(settings), Cursor())
        costs = Costs.load(settings.costs_file)
        await weigh_calls(connection, costs, pipeline)
        detector = cls(settings, pipeline, costs, cursor, _checkpointed=time.monotonic())
        since = pipeline.intake.next_tick
        since = -(2**62) if since is None else since
        for lesson, tick in await taken_lessons(connection, settings.detector, since):
            pipeline.note(lesson, tick)
        for note, tick in await taken_cohorts(connection, settings.detector):
            if tick >= since:
                pipeline.note(note, tick)
        detector._noted.update(pipeline.pending_findings())
        log.info("resumed", detector=settings.detector, batch=cursor.batch_no, from_checkpoint=kept is not None)
        return detector

    async def step(self, connection: Connection) -> bool:
        """Read what was committed, judge what is complete, write what was decided; whether there was anything."""
        arrival = await read_batches(connection, self.cursor, self.settings.batches_at_once, self.catalogue)
        if arrival is not None:
            self.pipeline.take(arrival.frames, arrival.events)
            self.cursor = arrival.cursor
        await self._take_notes(connection, fresh=arrival is not None)
        run = self.pipeline.run()
        async with connection.transaction():
            await write_run(connection, self.settings.detector, run)
        self._count(run)
        return arrival is not None

    async def keep(self, connection: Connection, *, now: float, final: bool = False) -> None:
        """Write health figures, and a checkpoint when one is due. `now`: monotonic s."""
        await write_health(connection, self.pipeline, self._touched)
        self._touched.clear()
        if final or now - self._checkpointed >= self.settings.checkpoint_s:
            size = await write_checkpoint(connection, self.settings.detector, self.pipeline, self.cursor)
            self.counters.checkpoint_bytes, self._checkpointed = size, now
        counters = {name: getattr(self.counters, name) for name in Counters.__slots__}
        await connection.execute(
            queries.load("detection")["record_program_health"],
            {"instance": f"{socket.gethostname()}-{os.getpid()}", "counters": Jsonb(counters)},
        )

    async def _take_notes(self, connection: Connection, *, fresh: bool) -> None:
        for lesson in await new_lessons(connection, self.settings.detector):
            if lesson.finding_no not in self._noted:
                self._noted.add(lesson.finding_no)
                self.pipeline.note(lesson)
        if fresh and time.monotonic() - self._asked_registry >= self.settings.registry_s:
            self._asked_registry = time.monotonic()
            await weigh_calls(connection, self.costs, self.pipeline)
            held = self.pipeline.cohorts_noted()
            for note in await models_of(connection, self.catalogue.devices):
                if held.get(note.device) != note.cohort:
                    self.pipeline.note(note)

    def _count(self, run: Run) -> None:
        self._touched |= run.touched
        self.counters.samples += run.samples
        self.counters.ticks += run.ticks
        self.counters.decisions += len(run.decisions)
        self.counters.lessons += sum(isinstance(taken.note, Lesson) for taken in run.taken)
        self.counters.late_samples = self.pipeline.intake.late.total()


async def run(settings: DetectSettings, database: DatabaseSettings, stop: asyncio.Event | None = None) -> None:
    """Run until `stop` is set. A lost database connection is made again; nothing is skipped or decided twice."""
    stopping = stop or asyncio.Event()
    await despite_losses(lambda: _follow(settings, database, stopping), stopping, settings.poll_s)


async def _follow(settings: DetectSettings, database: DatabaseSettings, stop: asyncio.Event) -> None:
    url = database.url.get_secret_value()
    options = "-c timezone=UTC"
    async with (
        await AsyncConnection.connect(
            url, autocommit=True, options=options, application_name="firstcall-detect"
        ) as work,
        await AsyncConnection.connect(url, autocommit=True, application_name="firstcall-detect-listen") as notices,
    ):
        await notices.execute("LISTEN ingest_batch")
        await notices.execute("LISTEN finding")
        detector = await Detector.resume(work, settings)
        kept_at = 0.0
        while not stop.is_set():
            busy = await detector.step(work)
            if time.monotonic() - kept_at >= settings.poll_s:
                kept_at = time.monotonic()
                await detector.keep(work, now=kept_at)
            if not busy:
                await notice_within(notices, settings.poll_s, stop)
        await detector.keep(work, now=time.monotonic(), final=True)


__all__ = ["CohortNote", "DetectSettings", "Detector", "new_pipeline", "run", "weigh_calls"]
