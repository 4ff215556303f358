"""Write what the detector decided, and what it needs to go on after a restart."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable
from typing import Any

import structlog
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from cloud.db import queries
from cloud.detection.alarms import Change
from cloud.detection.checkpoint import CheckpointError
from cloud.detection.engine import Engine
from cloud.detection.pipeline import CohortNote, Decision, Lesson, Pipeline, Run, Taken
from cloud.detection.tail import Connection, Cursor

log = structlog.get_logger(__name__)

CHUNK_BYTES = 16 * 1024 * 1024


async def write_run(connection: Connection, detector: str, run: Run) -> None:
    """Decisions and taken inputs of one run, in the caller's transaction; idempotent."""
    for taken in run.taken:
        await _write_taken(connection, detector, taken)
    for decision in run.decisions:
        await _write_decision(connection, detector, decision)
    if run.decisions:
        await connection.execute("SELECT pg_notify('prediction', %s)", [detector])


async def write_health(connection: Connection, pipeline: Pipeline, devices: Iterable[str]) -> None:
    """The latest figures of these devices."""
    rows = [(device, pipeline.latest[device]) for device in sorted(set(devices)) if device in pipeline.latest]
    if not rows:
        return
    late = pipeline.intake.late
    await connection.execute(
        queries.load("detection")["record_health"],
        {
            "devices": [device for device, _ in rows],
            "judged_at": [latest.at for _, latest in rows],
            "scores": [latest.score for _, latest in rows],
            "probabilities": [latest.probability for _, latest in rows],
            "completeness": [latest.completeness for _, latest in rows],
            "judgeable": [latest.judgeable for _, latest in rows],
            "silent": [latest.silent for _, latest in rows],
            "late": [late[device] for device, _ in rows],
        },
    )


async def write_checkpoint(connection: Connection, detector: str, pipeline: Pipeline, cursor: Cursor) -> int:
    """Keep the whole state, replacing the one before; returns its size in bytes. One transaction."""
    sql = queries.load("detection")
    body = zlib.compress(_freeze(pipeline), 1)
    chunks = [body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES)]
    async with connection.transaction():
        await connection.execute(sql["drop_checkpoint"], {"detector": detector})
        await connection.execute(
            sql["write_checkpoint"],
            {"detector": detector, "xid": cursor.xid, "batch_no": cursor.batch_no, "chunks": len(chunks)},
        )
        for number, chunk in enumerate(chunks):
            await connection.execute(
                sql["write_checkpoint_chunk"], {"detector": detector, "chunk": number, "body": chunk}
            )
    return len(body)


async def read_checkpoint(connection: Connection, detector: str, fresh: Pipeline) -> tuple[Pipeline, Cursor] | None:
    """The state that was kept last, or None. `fresh` lends its settings: those of today hold.

    A checkpoint that this version cannot take up counts as none: what is stored is then judged from its beginning.
    """
    sql = queries.load("detection")
    head: Any = await (await connection.execute(sql["checkpoint_head"], {"detector": detector})).fetchone()
    if head is None:
        return None
    xid, batch_no, chunks = head
    rows: list[Any] = await (await connection.execute(sql["checkpoint_chunks"], {"detector": detector})).fetchall()
    if len(rows) != chunks:
        raise RuntimeError(f"the checkpoint of detector {detector!r} has {len(rows)} of its {chunks} chunks")
    try:
        return _thaw(zlib.decompress(b"".join(body for (body,) in rows)), fresh), Cursor(xid, batch_no)
    except CheckpointError as error:
        log.warning("checkpoint_refused", detector=detector, reason=str(error))
        return None


async def stored_decisions(connection: Connection, detector: str) -> list[tuple[str, str, float, float | None, float]]:
    """(device, problem, raised_at, cleared_at, probability) of every prediction of a detector."""
    rows: list[Any] = await (
        await connection.execute(queries.load("detection")["decisions"], {"detector": detector})
    ).fetchall()
    return [tuple(row) for row in rows]


async def _write_taken(connection: AsyncConnection[Any], detector: str, taken: Taken) -> None:
    sql = queries.load("detection")
    match taken.note:
        case Lesson(finding_no=finding_no):
            await connection.execute(
                sql["record_lesson"], {"detector": detector, "finding_no": finding_no, "tick": taken.tick}
            )
        case CohortNote(device=device, cohort=cohort):
            await connection.execute(
                sql["record_cohort"],
                {"detector": detector, "device": device, "cohort": cohort, "since_tick": taken.tick},
            )


async def _write_decision(connection: AsyncConnection[Any], detector: str, decision: Decision) -> None:
    transition, judgement = decision.transition, decision.judgement
    names = {
        Change.RAISED: "raise_prediction",
        Change.CLEARED: "clear_prediction",
        Change.CHATTERING: "mark_chattering",
    }
    if transition.change not in names or judgement is None:
        return
    low, high = judgement.time_left or (None, None)
    await connection.execute(
        queries.load("detection")[names[transition.change]],
        {
            "device": transition.device,
            "problem": transition.problem,
            "at": transition.at,
            "probability": judgement.probability,
            "horizon_hours": judgement.horizon_s / 3600,
            "hours_left_low": None if low is None else low / 3600,
            "hours_left_high": None if high is None else high / 3600,
            "reason": Jsonb(judgement.reason.as_json()),
            "detector": detector,
        },
    )


def _freeze(pipeline: Pipeline) -> bytes:
    around = (pipeline.intake, pipeline.alarms, pipeline.latest, pipeline._notes, pipeline._counter)
    return pickle.dumps((pipeline.engine.checkpoint(), around), protocol=5)


def _thaw(blob: bytes, fresh: Pipeline) -> Pipeline:
    # The checkpoint table is writable by the detector's own role only: reading it back is reading our own memory.
    engine, around = pickle.loads(blob)  # noqa: S301
    fresh.engine = Engine.restore(engine)
    fresh.intake, fresh.alarms, fresh.latest, fresh._notes, fresh._counter = around
    return fresh
