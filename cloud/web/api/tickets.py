"""Tickets: the queue, one with its evidence, and its steps."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud.web import cursors, problems, steps
from cloud.web.api.parameters import LARGEST, Code, Context, Cursor, Limit, Operator, person, position
from cloud.web.cursors import Page
from cloud.web.reads import tickets
from cloud.web.reads.faults import Severity
from cloud.web.reads.tickets import Outcome, State, Ticket, TicketFile, TicketFilter
from cloud.web.steps import Actor, FindingWords

router = APIRouter(prefix="/tickets", tags=["tickets"])
BY_VALUE, BY_TIME = "tickets by value", "tickets by time"
TicketNo = Annotated[int, Path(ge=1, le=LARGEST, description="The ticket's number.")]
IfMatch = Annotated[
    str | None,
    Header(description="The ETag that you read: the step is refused (412) if somebody changed the ticket since."),
]
Line = Annotated[str, Field(max_length=2_000, pattern=r"^[^\x00]*$")]
STEP_PROBLEMS = problems.documented(401, 403, 404, 409, 412, 422, 503)


class StepBody(BaseModel):
    """Who takes the step, and what they say about it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"who": "mei", "reason": "heard it too"}]}
    )
    who: Annotated[str | None, Field(max_length=64, pattern=r"^[^\x00]*$")] = Field(
        default=None, description="The person. Needed with the API token; a signed-in operator is always themselves."
    )
    reason: Line = ""


class DismissBody(StepBody):
    """Why there is nothing to do."""

    reason: Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"^[^\x00]*$")]


class ScheduleBody(StepBody):
    """When the visit is."""

    at: AwareDatetime = Field(description="ISO 8601 with zone.", examples=["2026-03-04T10:00:00+01:00"])


class ResolveBody(StepBody):
    """What was found."""

    outcome: Outcome
    code: Annotated[str | None, Field(max_length=64, pattern=r"^[^\x00]*$")] = Field(
        default=None, description="The fault code that it really was."
    )
    part: Annotated[str | None, Field(max_length=64, pattern=r"^[^\x00]*$")] = Field(
        default=None, description="The part that was used."
    )
    failed_at: AwareDatetime | None = Field(default=None, description="When the appliance stopped, if it did.")
    found_at: AwareDatetime | None = Field(default=None, description="When it was found; now, if left out.")


@router.get("", summary="List tickets", responses=problems.documented(400, 401, 422, 503))
async def list_tickets(
    context: Context,
    limit: Limit = 50,
    cursor: Cursor = None,
    order: Annotated[
        Literal["value", "newest"],
        Query(description="`value`: open tickets, the one most worth acting on first; `newest`: all, by when raised."),
    ] = "value",
    state: State | None = None,
    severity: Severity | None = None,
    device: Code = None,
) -> Page[Ticket]:
    """The queue, or all tickets."""
    wanted = TicketFilter(state=state, severity=severity, device=device)
    if order == "value":
        rows = await tickets.by_value(context.pool, wanted, limit + 1, position(BY_VALUE, cursor, float))
        items, following = cursors.page(BY_VALUE, rows, limit, lambda t: (t.expected_value, t.ticket_no))
    else:
        rows = await tickets.by_time(context.pool, wanted, limit + 1, position(BY_TIME, cursor, datetime))
        items, following = cursors.page(BY_TIME, rows, limit, lambda t: (t.raised_at, t.ticket_no))
    return Page(items=items, next=following)


@router.get("/{ticket_no}", summary="Get one ticket", responses=problems.documented(401, 404, 422, 503))
async def get_ticket(context: Context, ticket_no: TicketNo, response: Response) -> TicketFile:
    """One ticket with its four codes, evidence, history and finding."""
    return await _answer(context, ticket_no, response)


@router.post("/{ticket_no}/confirm", summary="Confirm the fault", responses=STEP_PROBLEMS)
async def confirm(
    context: Context,
    request: Request,
    operator: Operator,
    ticket_no: TicketNo,
    body: StepBody,
    response: Response,
    if_match: IfMatch = None,
) -> TicketFile:
    """proposed → confirmed."""
    actor = _actor(request, operator, body, if_match)
    await steps.move(context.pool, ticket_no, "confirmed", actor, reason=body.reason)
    return await _answer(context, ticket_no, response)


@router.post("/{ticket_no}/contact", summary="The customer was contacted", responses=STEP_PROBLEMS)
async def contact(
    context: Context,
    request: Request,
    operator: Operator,
    ticket_no: TicketNo,
    body: StepBody,
    response: Response,
    if_match: IfMatch = None,
) -> TicketFile:
    """confirmed → contacted; scheduled → contacted when the visit fell through. Refused for a former owner."""
    actor = _actor(request, operator, body, if_match)
    await steps.move(context.pool, ticket_no, "contacted", actor, reason=body.reason)
    return await _answer(context, ticket_no, response)


@router.post("/{ticket_no}/schedule", summary="Agree on a visit", responses=STEP_PROBLEMS)
async def schedule(
    context: Context,
    request: Request,
    operator: Operator,
    ticket_no: TicketNo,
    body: ScheduleBody,
    response: Response,
    if_match: IfMatch = None,
) -> TicketFile:
    """contacted → scheduled. Refused for a former owner."""
    actor = _actor(request, operator, body, if_match)
    await steps.schedule(context.pool, ticket_no, body.at, actor, reason=body.reason)
    return await _answer(context, ticket_no, response)


@router.post("/{ticket_no}/resolve", summary="Close with a finding", responses=STEP_PROBLEMS)
async def resolve(
    context: Context,
    request: Request,
    operator: Operator,
    ticket_no: TicketNo,
    body: ResolveBody,
    response: Response,
    if_match: IfMatch = None,
) -> TicketFile:
    """contacted or scheduled → resolved. The finding goes to the detector as its label."""
    finding = FindingWords(
        outcome=body.outcome,
        code=body.code or None,
        part=body.part or None,
        note=body.reason,
        failed_at=body.failed_at,
        found_at=body.found_at,
    )
    await steps.resolve(context.pool, ticket_no, finding, _actor(request, operator, body, if_match))
    return await _answer(context, ticket_no, response)


@router.post("/{ticket_no}/dismiss", summary="Dismiss", responses=STEP_PROBLEMS)
async def dismiss(
    context: Context,
    request: Request,
    operator: Operator,
    ticket_no: TicketNo,
    body: DismissBody,
    response: Response,
    if_match: IfMatch = None,
) -> TicketFile:
    """Any open state → dismissed, with a reason."""
    actor = _actor(request, operator, body, if_match)
    await steps.move(context.pool, ticket_no, "dismissed", actor, reason=body.reason)
    return await _answer(context, ticket_no, response)


def _actor(request: Request, operator: str, body: StepBody, if_match: str | None) -> Actor:
    version: int | None = None
    if if_match is not None and if_match.strip() != "*":
        digits = if_match.strip().strip('"')
        if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
            raise problems.Problem(412, "changed", "If-Match is no ETag of a ticket; give back the one that you read")
        version = int(digits)
    return Actor(person(request, operator, body.who), version)


async def _answer(context: Context, ticket_no: int, response: Response) -> TicketFile:
    found = await tickets.get(context.pool, ticket_no)
    if found is None:
        raise problems.not_found(f"ticket {ticket_no}")
    response.headers["ETag"] = f'"{found.ticket.version}"'
    return found
