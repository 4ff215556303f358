"""My day: an engineer's visits on a phone, and the finding at the end of each.

Plain HTML from the server and one small script, not NiceGUI: its pages live on an open socket, and in a cellar there is
none. The page is kept by the browser (a service worker), a form's draft too, and a finding that could not be sent is
sent again until the server has it; the desk takes the same finding twice as once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from cloud.desk.dispatch import visits as dispatch
from cloud.desk.dispatch.visits import NoSuchVisit, VisitReport
from cloud.desk.errors import DeskError
from cloud.desk.tickets import Outcome
from cloud.web import personal
from cloud.web.auth.changes import changing
from cloud.web.auth.identity import acting
from cloud.web.auth.permissions import Permission
from cloud.web.console.frame import PLACES, Visit, icon, more, preferences
from cloud.web.console.language import asked_for, language, scheme_of, speaking
from cloud.web.console.words import OUTCOME, SAFETY, SEVERITY, _, in_language, problem_name
from cloud.web.context import context_of, operator_of
from cloud.web.problems import Problem, conflict, not_found
from cloud.web.reads import devices, tickets, visits
from cloud.web.reads.visits import Engineer

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
WORKER_HEADERS = {"Cache-Control": "no-cache", "Service-Worker-Allowed": "/my-day"}
PHOTO_BYTES = 8_388_608


class SentFinding(BaseModel):
    """What the phone sends at the end of a visit."""

    model_config = ConfigDict(extra="forbid")

    outcome: Outcome
    found_at: AwareDatetime = Field(description="When the engineer pressed the button, however late it arrives.")
    code: str | None = Field(default=None, max_length=64)
    part: str | None = Field(default=None, max_length=64)
    note: str = Field(default="", max_length=2000)

    @field_validator("code", "part", mode="after")
    @classmethod
    def _empty_is_none(cls, text: str | None) -> str | None:
        return text or None

    @field_validator("code", "part", "note")
    @classmethod
    def _storable(cls, text: str | None) -> str | None:
        if text and "\0" in text:
            raise ValueError("a zero byte cannot be stored")
        return text


def router(signed_in: Callable[[], bool]) -> APIRouter:
    """The routes; `signed_in` tells whether people sign in here."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/my-day")
    async def my_day(request: Request, day: date | None = None, engineer: str = "") -> Response:
        with speaking(asked_for(request)):
            visit = Visit(context_of(request), operator_of(request), signed_in(), scheme_of(request))
            return await _page(visit, engineer.replace("\0", ""), day)

    @routes.get("/my-day/worker.js")
    async def worker() -> Response:
        """The script that keeps the page."""
        path = Path(__file__).parent.parent / "static" / "day_worker.js"
        return FileResponse(path, media_type="text/javascript", headers=WORKER_HEADERS)

    @routes.post("/my-day/visits/{number}/finding")
    async def finding(request: Request, number: int, sent: SentFinding) -> dict[str, int]:
        """The visit ends. The same again answers the same."""
        report = VisitReport(sent.outcome, sent.found_at, sent.code, sent.part, sent.note.strip())
        context = context_of(request)
        try:
            async with changing(context.pool, Permission.RESOLVE) as connection:
                return {
                    "finding_no": await dispatch.finish(connection, number, await _engineer_of(request, number), report)
                }
        except NoSuchVisit as error:
            raise not_found(f"visit {number}") from error
        except DeskError as error:
            raise conflict(str(error)) from error

    @routes.post("/my-day/visits/{number}/photo")
    async def photo(request: Request, number: int) -> dict[str, str]:
        """A photo of the visit; the same again is kept once."""
        body = await _body(request, PHOTO_BYTES)
        kind = request.headers.get("content-type", "")
        try:
            async with changing(context_of(request).pool, Permission.RESOLVE) as connection:
                digest = await dispatch.add_photo(connection, number, kind, body)  # type: ignore[arg-type]
        except NoSuchVisit as error:
            raise not_found(f"visit {number}") from error
        except DeskError as error:
            raise Problem(422, "invalid", str(error)) from error
        return {"digest": digest}

    @routes.post("/my-day/visits/{number}/contact")
    async def contact(request: Request, number: int) -> dict[str, str]:
        """Name, phone and address for this visit; the look is logged."""
        context = context_of(request)
        order = await visits.work_order(context.pool, number)
        if order is None:
            raise not_found(f"visit {number}")
        return await personal.look(context, order.user_id, operator_of(request), f"visit {number}")

    return routes


async def _body(request: Request, most: int) -> bytes:
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > most:
            raise Problem(413, "too-large", f"a photo may have {most} bytes at most")
    return bytes(found)


async def _engineer_of(request: Request, number: int) -> str:
    """Under whose name the finding goes: the person who sends it, if they visit; else whose visit it is."""
    order = await visits.work_order(context_of(request).pool, number)
    known = {e.engineer for e in await visits.engineers(context_of(request).pool)}
    operator = _self(operator_of(request))
    return operator if operator in known or order is None or order.engineer is None else order.engineer


def _self(operator: str) -> str:
    """Which engineer somebody is: as their account says, else of the same name."""
    identity = acting()
    return (identity.engineer if identity else None) or operator


async def _page(visit: Visit, wanted: str, day: date | None) -> Response:
    pool = visit.context.pool
    people = await visits.engineers(pool)
    mine = next((e for e in people if e.engineer == (wanted or _self(visit.operator))), None)
    if mine is None and not wanted and len(people) == 1:
        return RedirectResponse(f"/my-day?engineer={people[0].engineer}", status_code=303)
    zone = _zone(mine)
    now = (await devices.clocks(pool)).desk_at
    chosen = day or now.astimezone(zone).date()
    start = datetime.combine(chosen, time(), zone).astimezone(UTC)
    end = datetime.combine(chosen + timedelta(days=1), time(), zone).astimezone(UTC)
    stops = await visits.day(pool, mine.engineer, start, end) if mine else []
    choices = {model: await _choices(visit, model) for model in {stop.model for stop in stops}}
    page = _templates.get_template("day.html").render(
        _=_,
        language=language(),
        scheme=visit.scheme,
        places=[(name, target, _(label), icon(name)) for name, target, label in PLACES],
        more=more("day", visit),
        preferences=preferences(visit),
        operator=visit.operator,
        own=_self(visit.operator),
        people=people,
        mine=mine,
        chosen=chosen,
        days=[chosen + timedelta(days=n) for n in (-1, 1)],
        zone=zone,
        stops=stops,
        choices=choices,
        outcomes=dict(OUTCOME),
        severities=dict(SEVERITY),
        hazards=dict(SAFETY),
        name_of=problem_name,
        in_language=in_language,
        said={
            "sent": _("Sent."),
            "waiting": _("Not sent yet: it is kept here and goes out by itself."),
            "kept": _("Draft kept on this phone."),
            "away": _("No network: you see what was loaded last."),
            "refused": _("Not taken: {why}"),
            "photo": _("Photo sent."),
        },
    )
    return HTMLResponse(page, headers={"Cache-Control": "no-store"})


def _zone(engineer: Engineer | None) -> ZoneInfo:
    try:
        return ZoneInfo(engineer.time_zone if engineer else "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


async def _choices(visit: Visit, model: str) -> tuple[dict[str, str], dict[str, str]]:
    codes, parts = await tickets.finding_choices(visit.context.pool, model)
    return (
        {code: f"{code} · {in_language(meaning)}" for code, meaning in codes.items()},
        {part: in_language(name) for part, name in parts.items()},
    )
