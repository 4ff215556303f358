"""The web application, put together: API, console, guard."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from cloud.db.settings import DatabaseSettings
from cloud.registry.settings import RegistrySettings
from cloud.web import problems
from cloud.web.api import (
    audit,
    devices,
    faults,
    findings,
    health,
    ingest,
    me,
    predictions,
    reference,
    stream,
    tickets,
    users,
    webhooks,
)
from cloud.web.auth import sign_in
from cloud.web.context import open_context
from cloud.web.customer.mount import mount as mount_customer_pages
from cloud.web.guard import Door, Guard
from cloud.web.metrics import Measured, Metrics
from cloud.web.settings import WebSettings

PARTS = (faults, tickets, devices, predictions, findings, users, ingest, stream, webhooks, audit, me)
"""The API's rooms, in the order in which its description shows them."""

DESCRIPTION = """
Faults, tickets, devices and predictions of a fleet of connected appliances.

* Times are ISO 8601 with zone. `…_at` of a fault, ticket or reading is **event time**; `recorded_at` is
  when it was written.
* Lists are paged by cursor: follow `next` until it is null.
* Errors are problem documents (RFC 9457): `type` is stable, `detail` says what was wrong.
* Users are pseudonymous codes. Contacts are given out for a stated purpose only, and each look is logged.
"""


def create_app(settings: WebSettings, database: DatabaseSettings, *, console: bool = True) -> FastAPI:
    """The application for an ASGI server.

    With the console, at most once a process: NiceGUI keeps its pages in one place.

    Contacts can be read when the registry's master key is given (FIRSTCALL_REGISTRY_…).
    The parts of the running program are in `app.state.context` from start-up to shutdown.
    """
    metrics = Metrics()
    master_key = RegistrySettings().load_master_key()
    key = settings.session_secret.get_secret_value().encode() if settings.session_secret else secrets.token_bytes(32)
    door = Door(settings)

    @asynccontextmanager
    async def lifespan(running: FastAPI) -> AsyncIterator[None]:
        async with open_context(settings, database, metrics, master_key) as context:
            running.state.context = context
            yield

    app = FastAPI(
        title="firstcall",
        version="1",
        summary="Call the customer before the customer calls you.",
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere; /api is ours
        redoc_url=None,
        lifespan=lifespan,
    )
    problems.install(app)
    app.include_router(_version_1())
    app.include_router(health.router)
    app.include_router(reference.router)
    mount_customer_pages(app, key)
    app.include_router(sign_in.router(door, metrics))
    if console:
        from cloud.web.console import pages  # noqa: PLC0415 - NiceGUI takes a second to import, the API alone needs none

        pages.mount(app, door, metrics)
    app.add_middleware(Guard, door=door)
    app.add_middleware(Measured, metrics=metrics)
    return app


def _version_1() -> APIRouter:
    router = APIRouter(prefix="/api/v1")
    for part in PARTS:
        router.include_router(part.router)
    return router
