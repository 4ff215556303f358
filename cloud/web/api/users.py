"""Users are pseudonymous codes; their contacts are given out for a purpose only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from cloud.web import personal, problems
from cloud.web.api.allowing import allowed_later
from cloud.web.api.changing import ChangingRoute
from cloud.web.api.parameters import Context, Operator, person

router = APIRouter(prefix="/users", tags=["users"], route_class=ChangingRoute)
UserCode = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$", description="User code.")]


class LookBody(BaseModel):
    """Who looks, and what for."""

    model_config = ConfigDict(extra="forbid")
    who: Annotated[str | None, Field(max_length=64, pattern=r"^[^\x00]*$")] = None
    purpose: str = Field(
        min_length=3, max_length=300, pattern=r"^[^\x00]*\S[^\x00]*$", examples=["call about ticket 7"]
    )


class Contacts(BaseModel):
    """A person's contacts, as far as they are stored."""

    name: str | None = None
    phone: str | None = None
    email: str | None = None
    address: str | None = None


@router.post(
    "/{user_id}/contact-looks",
    summary="Look at a user's contacts",
    responses=problems.documented(401, 403, 404, 409, 422, 429, 503),
    dependencies=[allowed_later("personal.look: depends on the visits of whoever asks")],
)
async def look(context: Context, request: Request, operator: Operator, user_id: UserCode, body: LookBody) -> Contacts:
    """Name, phone, e-mail and address of a user. The look is logged with who and what for, before anything is read."""
    found = await personal.look(context, user_id, person(request, operator, body.who), body.purpose.strip())
    return Contacts(**found)
