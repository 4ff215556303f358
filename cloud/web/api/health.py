"""For those who operate it: alive, ready, and metrics. Outside of /api: orchestrators expect them at the top."""

from __future__ import annotations

from typing import Annotated, Literal

import psycopg
from fastapi import APIRouter, Depends, Response
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field

from cloud.web import problems
from cloud.web.api.allowing import allowed
from cloud.web.api.parameters import Context
from cloud.web.auth.permissions import Permission
from cloud.web.metrics import families
from cloud.web.reads import devices, faults, ingest, tickets

router = APIRouter(tags=["operation"])


class Alive(BaseModel):
    """The program answers."""

    state: Literal["alive"] = "alive"


class Ready(BaseModel):
    """The program can do its work."""

    state: Literal["ready"] = "ready"
    ingest_lag_s: float | None = Field(description="Seconds since the newest committed batch; null before the first.")
    notices: bool = Field(description="Whether changes are pushed at once, or only found by the regular look.")


@router.get("/health", summary="Alive?", include_in_schema=False)
@router.get("/health/live", summary="Alive?")
async def live() -> Alive:
    """Answers as long as the program runs; looks at nothing else."""
    return Alive()


@router.get("/ready", summary="Ready?", include_in_schema=False)
@router.get("/health/ready", summary="Ready?", responses=problems.documented(503))
async def ready(context: Context) -> Ready:
    """Answers 200 when the database does, with the lag of ingest; a silent ingest is no reason to be unready."""
    try:
        health = await ingest.health(context.pool)
        now = (await devices.clocks(context.pool)).wall_at
    except (psycopg.Error, PoolTimeout) as error:
        detail = (
            "the database does not answer"
            if isinstance(error, psycopg.OperationalError | PoolTimeout)
            else ("the database answers without our tables: run `firstcall migrate`")
        )
        raise problems.Problem(503, "not-ready", detail) from error
    return Ready(ingest_lag_s=health.lag_s(now), notices=context.notices.connected)


async def _metrics(context: Context) -> bytes:
    clocks = await devices.clocks(context.pool)
    return context.metrics.text(
        families(
            await ingest.health(context.pool),
            await faults.standing_by_severity(context.pool),
            await tickets.counts(context.pool),
            clocks.wall_at,
        )
    )


@router.get(
    "/metrics", summary="Prometheus metrics", response_class=Response, dependencies=[allowed(Permission.METRICS)]
)
async def metrics(text: Annotated[bytes, Depends(_metrics)]) -> Response:
    """Lag, losses, dead letters, faults, tickets, each program's counters, and this program's own."""
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
