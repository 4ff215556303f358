"""The console's addresses."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.staticfiles import StaticFiles
from nicegui import ui

from cloud.web.console import day
from cloud.web.console.device import device_page, devices_page
from cloud.web.console.fleet import fleet_page
from cloud.web.console.frame import Visit, framed
from cloud.web.console.ingest import ingest_page
from cloud.web.console.language import dress, scheme_of
from cloud.web.console.live import live_page
from cloud.web.console.parts import box, text
from cloud.web.console.queue import queue_page
from cloud.web.console.ticket import ticket_page
from cloud.web.console.trust import trust_page
from cloud.web.console.words import _
from cloud.web.guard import Door
from cloud.web.metrics import Metrics

ASSETS = Path(__file__).parent.parent / "static"


def mount(app: FastAPI, door: Door, metrics: Metrics) -> None:
    """Put the console under `/` of the application, behind its API. Once a process."""
    app.include_router(day.router(lambda: not door.console_open))
    app.mount("/assets", StaticFiles(directory=ASSETS), name="assets")

    def visit(request: Request) -> Visit:
        dress(ui.context.client, request)
        return Visit(app.state.context, str(request.state.operator), not door.console_open, scheme_of(request))

    @ui.page("/")
    async def live(request: Request, show: str = "", severity: str = "") -> None:
        await live_page(visit(request), show, severity)

    @ui.page("/queue")
    async def queue(request: Request, state: str = "", severity: str = "", late: str = "", after: str = "") -> None:
        await queue_page(visit(request), state, severity, late == "1", after)

    @ui.page("/tickets/{ticket_no}")
    async def ticket(request: Request, ticket_no: int) -> None:
        looks = visit(request)
        if not 0 < ticket_no < 2**63 or not await ticket_page(looks, ticket_no):
            await _nothing(looks, "queue", _("There is no ticket {n}").format(n=ticket_no))

    @ui.page("/devices")
    async def devices(request: Request, beginning: str = "", show: str = "", after: str = "") -> None:
        await devices_page(visit(request), beginning.replace("\0", ""), show, after.replace("\0", ""))

    @ui.page("/devices/{code}")
    async def device(request: Request, code: str, span: str = "", fault: int | None = None) -> None:
        looks = visit(request)
        if not await device_page(looks, code.replace("\0", ""), span, fault):
            await _nothing(looks, "devices", _("There is no device {code}").format(code=code))

    @ui.page("/fleet")
    async def fleet(request: Request, by: str = "", span: str = "", problem: str = "", region: str = "") -> None:
        await fleet_page(visit(request), by, span, problem.replace("\0", ""), region.replace("\0", ""))

    @ui.page("/trust")
    async def trust(request: Request, span: str = "") -> None:
        await trust_page(visit(request), span)

    @ui.page("/ingest")
    async def ingest(request: Request) -> None:
        await ingest_page(visit(request))

    ui.run_with(
        app,
        title="firstcall",
        favicon=ASSETS / "mark.svg",
        dark=None,
        language="en-US",
        tailwind=False,
        reconnect_timeout=10.0,
        show_welcome_message=False,
    )


async def _nothing(visit: Visit, place: str, words: str) -> None:
    ui.context.client.status_code = 404
    async with framed(visit, place, words) as frame:
        frame.head(words)
        with box("fc-more"), box(tag="a").props(f'href="/{place}"'):
            text(_("Back to the list"))
