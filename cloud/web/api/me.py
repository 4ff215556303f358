"""Who one is here."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel

from cloud.web import problems
from cloud.web.api.allowing import allowed_later
from cloud.web.auth.identity import Kind
from cloud.web.auth.permissions import Permission
from cloud.web.context import identity_of

router = APIRouter(prefix="/me", tags=["access"])


class Me(BaseModel):
    """Whoever asks."""

    name: str
    kind: Kind
    permissions: list[Permission]


@router.get(
    "",
    summary="Who am I?",
    responses=problems.documented(401, 429, 503),
    dependencies=[allowed_later("everybody may know who they are")],
)
async def me(request: Request) -> Me:
    """The name under which steps are taken, and what one may do."""
    identity = identity_of(request)
    return Me(name=identity.name, kind=identity.kind, permissions=sorted(identity.permissions))
