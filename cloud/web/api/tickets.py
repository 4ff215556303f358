"""Tickets: the queue, one with its evidence, and its steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud.desk.tickets import Finding as DeskFinding
from cloud.desk.tickets import Outcome as DeskOutcome
from cloud.web import cursors, problems, steps
from cloud.web.api.allowing import allowed
from cloud.web.api.changing import IdempotentRoute
from cloud.web.api.parameters import LARGEST, Context, Cursor, DeviceCode, Limit, Operator, person, position
from cloud.web.auth.permissions import Permission
from cloud.web.cursors import Page
from cloud.web.reads import tickets
from cloud.web.reads.faults import Severity
from cloud.web.reads.tickets import Outcome, State, Ticket, TicketFile, TicketFilter
from cloud.web.steps import Actor

router = APIRouter(
    prefix="/tickets", tags=["tickets"], route_class=IdempotentRoute, dependencies=[allowed(Permission.LOOK)]
)
IN_ORDER, BY_TIME = "tickets in order", "tickets by time"
TicketNo = Annotated[int, Path(ge=1, le=LARGEST, description="The ticket's number.")]
IfMatch = Annotated[
    str | None,
    Header(description="The ETag that you read: the step is refused (412) if somebody changed the ticket since."),
]
Line = Annotated[str, Field(max_length=2_000, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")]
STEP_PROBLEMS = problems.documented(400, 401, 403, 404, 409, 412, 422, 429, 503)


class WhoBody(BaseModel):
    """Who takes the step."""

    model_config = ConfigDict(extra="forbid")
    who: Name | None = Field(
        default=None, description="The person. Needed with the API token; a signed-in operator is always themselves."
    )


class StepBody(WhoBody):
    """Who takes the step, and what they say about it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"who": "mei", "reason": "the pump can be heard"}]})
    reason: Line = ""


class DismissBody(WhoBody):
    """Why there is nothing to do."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"who": "mei", "reason": "the customer moved it"}]})
    reason: Line = Field(min_length=1)


class ScheduleBody(WhoBody):
    """When the visit is."""

    at: AwareDatetime = Field(description="ISO 8601 with zone.", examples=["2026-03-04T10:00:00+01:00"])


class FindingBody(WhoBody):
    """What was found."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"who": "mei", "outcome": "fault_confirmed", "code": "5E", "part": "drain-pump"}]
        }
    )
    outcome: Outcome
    code: Name | None = Field(default=None, description="The fault code that it really was.")
    part: Name | None = Field(default=None, description="The part that was used.")
    note: Line = ""
    failed_at: AwareDatetime | None = Field(default=None, description="When the appliance stopped, if it did.")
    found_at: AwareDatetime | None = Field(default=None, description="When it was found; now, if left out.")

    def finding(self) -> DeskFinding:
        """The same for the desk."""
        return DeskFinding(
            DeskOutcome(self.outcome),
            code=self.code or None,
            part=self.part or None,
            note=self.note,
            failed_at=self.failed_at,
            found_at=self.found_at,
        )


@router.get("", summary="List tickets", responses=problems.documented(400, 401, 403, 422, 429, 503))
async def list_tickets(
    *,
    context: Context,
    limit: Limit = 50,
    cursor: Cursor = None,
    order: Annotated[
        Literal["value", "newest"],
        Query(
            description="`value`: open tickets, the one most worth a call now first (`place`), then those called, then "
            "agreed visits. It is made anew while you page: what moves up past your cursor is on the page before. "
            "`newest`: all, by when raised."
        ),
    ] = "value",
    state: State | None = None,
    severity: Severity | None = None,
    device: DeviceCode = None,
) -> Page[Ticket]:
    """The queue, or all tickets."""
    wanted = TicketFilter(state=state, severity=severity, device=device)
    if order == "value":
        rows = await tickets.in_order(context.pool, wanted, limit + 1, position(IN_ORDER, cursor, float))
        items, following = cursors.page(IN_ORDER, rows, limit, lambda t: (t.turn, t.ticket_no))
    else:
        rows = await tickets.by_time(context.pool, wanted, limit + 1, position(BY_TIME, cursor, datetime))
        items, following = cursors.page(BY_TIME, rows, limit, lambda t: (t.raised_at, t.ticket_no))
    return Page(items=items, next=following)


@router.get("/{ticket_no}", summary="Get one ticket", responses=problems.documented(401, 403, 404, 422, 429, 503))
async def get_ticket(context: Context, ticket_no: TicketNo, response: Response) -> TicketFile:
    """One ticket with its four codes, evidence, history and finding."""
    return await _answer(context, ticket_no, response)


@dataclass(frozen=True, slots=True)
class Stance:
    """From where a step is asked for: the request, whose it is, and the version that they had read."""

    request: Request
    operator: str
    version: int | None

    def actor(self, body: WhoBody) -> Actor:
        """In whose name the step is taken."""
        return Actor(person(self.request, self.operator, body.who), self.version)


def _stance(request: Request, operator: Operator, if_match: IfMatch = None) -> Stance:
    return Stance(request, operator, _version(if_match))


Who = Annotated[Stance, Depends(_stance)]


@router.post(
    "/{ticket_no}/confirm",
    summary="Confirm the fault",
    responses=STEP_PROBLEMS,
    dependencies=[allowed(Permission.CONFIRM)],
)
async def confirm(context: Context, ticket_no: TicketNo, body: StepBody, who: Who, response: Response) -> TicketFile:
    """proposed → confirmed."""
    await steps.move(context.pool, ticket_no, "confirmed", who.actor(body), reason=body.reason)
    return await _answer(context, ticket_no, response)


@router.post(
    "/{ticket_no}/contact",
    summary="The customer was contacted",
    responses=STEP_PROBLEMS,
    dependencies=[allowed(Permission.CONTACT)],
)
async def contact(context: Context, ticket_no: TicketNo, body: StepBody, who: Who, response: Response) -> TicketFile:
    """confirmed → contacted; scheduled → contacted when the visit fell through. Refused for a former owner."""
    await steps.move(context.pool, ticket_no, "contacted", who.actor(body), reason=body.reason)
    return await _answer(context, ticket_no, response)


@router.post(
    "/{ticket_no}/schedule",
    summary="Agree on a visit",
    responses=STEP_PROBLEMS,
    dependencies=[allowed(Permission.SCHEDULE)],
)
async def schedule(
    context: Context, ticket_no: TicketNo, body: ScheduleBody, who: Who, response: Response
) -> TicketFile:
    """contacted → scheduled. Refused for a former owner."""
    await steps.schedule(context.pool, ticket_no, body.at, who.actor(body))
    return await _answer(context, ticket_no, response)


@router.post(
    "/{ticket_no}/resolve",
    summary="Close with a finding",
    responses=STEP_PROBLEMS,
    dependencies=[allowed(Permission.RESOLVE)],
)
async def resolve(context: Context, ticket_no: TicketNo, body: FindingBody, who: Who, response: Response) -> TicketFile:
    """contacted or scheduled → resolved. The finding goes to the detector as its label."""
    await steps.resolve(context.pool, ticket_no, body.finding(), who.actor(body))
    return await _answer(context, ticket_no, response)


@router.post(
    "/{ticket_no}/dismiss", summary="Dismiss", responses=STEP_PROBLEMS, dependencies=[allowed(Permission.DISMISS)]
)
async def dismiss(context: Context, ticket_no: TicketNo, body: DismissBody, who: Who, response: Response) -> TicketFile:
    """Any open state → dismissed, with a reason."""
    await steps.dismiss(context.pool, ticket_no, body.reason, who.actor(body))
    return await _answer(context, ticket_no, response)


def _version(if_match: str | None) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    digits = if_match.strip().strip('"')
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise problems.Problem(412, "changed", "If-Match is no ETag of a ticket; give back the one that you read")
    return int(digits)


async def _answer(context: Context, ticket_no: int, response: Response) -> TicketFile:
    found = await tickets.get(context.pool, ticket_no)
    if found is None:
        raise problems.not_found(f"ticket {ticket_no}")
    response.headers["ETag"] = f'"{found.ticket.version}"'
    return found
