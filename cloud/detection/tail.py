"""Read committed frames, fault reports and findings from the database, as the pipeline wants them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from psycopg import AsyncConnection

from cloud.db import queries
from cloud.detection.intake import StoredFrame
from cloud.detection.pipeline import CohortNote, Lesson
from cloud.detection.records import DeviceEvent, EventKind, Outcome, Verdict

Connection = AsyncConnection[tuple[object, ...]]
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything up to this batch was read. `xid` is a full transaction id, as text."""

    xid: str = "0"
    batch_no: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """What some batches held: frames, and events with the time of their receipt (epoch s)."""

    frames: list[StoredFrame]
    events: list[tuple[DeviceEvent, float]]
    cursor: Cursor


@dataclass(slots=True)
class Catalogue:
    """What is known of devices' channel sets and models; asked once and kept."""

    channels: dict[tuple[int, int], tuple[tuple[str, ...], float]] = field(default_factory=dict)
    devices: dict[int, str] = field(default_factory=dict)

    async def learn(self, connection: Connection, keys: Iterable[tuple[int, int]]) -> None:
        """Fetch the channel sets among `keys` (device number, channel set) that are not known yet."""
        missing = {device_no for device_no, channel_set in keys if (device_no, channel_set) not in self.channels}
        if not missing:
            return
        sql = queries.load("detection")["channel_sets"]
        rows: list[Any] = await (await connection.execute(sql, {"devices": sorted(missing)})).fetchall()
        for device_no, channel_set, names, roles, hold_ms in rows:
            prefixed = tuple(f"op.{name}" if role == "mode" else name for name, role in zip(names, roles, strict=True))
            self.channels[device_no, channel_set] = (prefixed, hold_ms / 1000)

    def frame(self, row: Row) -> StoredFrame:
        """A stored frame from its row; a channel set that was never declared has numbered channels."""
        device, boot, seq, started_at, period_ms, samples, width, readings, received_at, device_no, channel_set = row
        names, hold = self.channels.get((device_no, channel_set), ((), 0.0))
        if len(names) != width:
            names = tuple(f"#{place}" for place in range(1, width + 1))
        values = np.array(readings, np.float64).reshape(samples, width)
        return StoredFrame(device, boot, seq, started_at, period_ms / 1000, names, values, received_at, hold)


async def read_batches(connection: Connection, after: Cursor, at_most: int, catalogue: Catalogue) -> Arrival | None:
    """The next committed batches after the cursor, or None when there are none yet."""
    sql = queries.load("detection")
    asked = {"xid": after.xid, "batch_no": after.batch_no, "at_most": at_most}
    batches: list[Any] = await (await connection.execute(sql["committed_batches"], asked)).fetchall()
    if not batches:
        return None
    span = {
        "batches": [batch_no for batch_no, *_ in batches],
        "first_at": min(first_at for _, _, first_at, _ in batches),
        "last_at": max(last_at for *_, last_at in batches),
    }
    frames = await _frames(connection, catalogue, "frames_of_batches", span)
    events = await _events(connection, "fault_reports_of_batches", span)
    return Arrival(frames, events, Cursor(batches[-1][1], batches[-1][0]))


async def read_span(
    connection: Connection, since: datetime, before: datetime, catalogue: Catalogue
) -> AsyncIterator[Arrival]:
    """Stored records with event times in [since, before), an hour at a time, in event-time order."""
    step = timedelta(hours=1)
    at = since.astimezone(UTC)
    while at < before:
        span = {"since": at, "before": min(at + step, before)}
        frames = await _frames(connection, catalogue, "frames_between", span)
        events = await _events(connection, "fault_reports_between", span)
        yield Arrival(frames, events, Cursor())
        at += step


async def stored_span(connection: Connection) -> tuple[datetime, datetime] | None:
    """Event times of the first and the last stored frame, or None when there is none."""
    row: Any = await (await connection.execute(queries.load("detection")["stored_span"])).fetchone()
    return None if row is None or row[0] is None else (row[0], row[1])


async def new_lessons(connection: Connection, detector: str) -> list[Lesson]:
    """Findings that this detector has not learnt from yet."""
    rows: list[Any] = await (
        await connection.execute(queries.load("detection")["new_findings"], {"detector": detector})
    ).fetchall()
    return [_lesson(row) for row in rows]


async def taken_lessons(connection: Connection, detector: str, since_tick: int) -> list[tuple[Lesson, int]]:
    """Findings that it learnt from at `since_tick` or later, each with its tick."""
    rows: list[Any] = await (
        await connection.execute(queries.load("detection")["lessons"], {"detector": detector, "since_tick": since_tick})
    ).fetchall()
    return [(_lesson(row[:-1]), row[-1]) for row in rows]


async def models_of(connection: Connection, devices: dict[int, str]) -> list[CohortNote]:
    """The registry's model of each device (number -> device) that has one."""
    rows: list[Any] = await (
        await connection.execute(queries.load("detection")["models"], {"devices": sorted(devices)})
    ).fetchall()
    return [CohortNote(devices[device_no], model) for device_no, model in rows]


async def families_of_models(connection: Connection) -> dict[str, str]:
    """The family of every model that the registry knows."""
    rows: list[Any] = await (await connection.execute(queries.load("detection")["families_of_models"])).fetchall()
    return {str(model): str(family) for model, family in rows}


async def taken_cohorts(connection: Connection, detector: str) -> list[tuple[CohortNote, int]]:
    """What this detector took devices for, each with the tick since when."""
    rows: list[Any] = await (
        await connection.execute(queries.load("detection")["cohorts"], {"detector": detector})
    ).fetchall()
    return [(CohortNote(device, cohort), tick) for device, tick, cohort in rows]


async def _frames(
    connection: Connection, catalogue: Catalogue, query: str, parameters: dict[str, Any]
) -> list[StoredFrame]:
    cursor = connection.cursor(binary=True)
    rows: list[Any] = await (await cursor.execute(queries.load("detection")[query], parameters)).fetchall()
    for row in rows:
        catalogue.devices[row[9]] = row[0]
    await catalogue.learn(connection, {(row[9], row[10]) for row in rows})
    return [catalogue.frame(row) for row in rows]


async def _events(connection: Connection, query: str, parameters: dict[str, Any]) -> list[tuple[DeviceEvent, float]]:
    rows: Sequence[Any] = await (await connection.execute(queries.load("detection")[query], parameters)).fetchall()
    kinds = {True: EventKind.CODE_RAISED, False: EventKind.CODE_CLEARED}
    return [(DeviceEvent(at, device, kinds[raised], code), received) for device, at, code, raised, received in rows]


def _lesson(row: Row) -> Lesson:
    finding_no, device, outcome, kind, at, known_at, unasked, part = row
    # A failure that nobody foresaw was told by the customer: it was found because it happened, not because we looked.
    verdict = Verdict.FAILURE if unasked and outcome == "fault_confirmed" else Verdict(outcome)
    # A part that was replaced though nothing was wrong, unasked, is upkeep: it says nothing about what was seen before.
    upkeep = unasked and outcome == "no_fault_found" and bool(part)
    return Lesson(finding_no, Outcome(device, at, known_at, verdict, kind), part or "", upkeep)
