"""Parameters and parts that several routes share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request
from pydantic import AwareDatetime, StringConstraints

from cloud.web import cursors, problems
from cloud.web.context import WebContext, context_of, identity_of, operator_of

K = TypeVar("K", datetime, float, str)

Context = Annotated[WebContext, Depends(context_of)]
Operator = Annotated[str, Depends(operator_of)]
Limit = Annotated[int, Query(ge=1, le=cursors.MAX_LIMIT, description="Items a page at most.")]
Cursor = Annotated[
    str | None, Query(max_length=500, description="`next` of the page before; leave it out for the first page.")
]
# PostgreSQL's text cannot hold a zero byte, hence the pattern.
WRITABLE = r"^[^\x00]+$"
DeviceCode = Annotated[str | None, Query(min_length=1, max_length=64, pattern=WRITABLE, description="Device code.")]
ModelCode = Annotated[str | None, Query(min_length=1, max_length=64, pattern=WRITABLE, description="Model.")]
Beginning = Annotated[
    str | None, Query(min_length=1, max_length=64, pattern=WRITABLE, description="Only codes that begin so.")
]
ChannelName = Annotated[str, StringConstraints(max_length=64, pattern=WRITABLE)]
Channels = Annotated[list[ChannelName] | None, Query(max_length=64, description="Only these channels; repeat it.")]
Instant = Annotated[AwareDatetime | None, Query(description="ISO 8601 with zone, event time.")]
LARGEST = 2**63 - 1


def position(kind: str, cursor: str | None, shape: type[K]) -> tuple[K, int] | None:
    """Where the page starts; None for the first one."""
    if cursor is None:
        return None
    try:
        return cursors.decode(kind, cursor, shape)
    except cursors.BadCursor as error:
        raise problems.Problem(400, "bad-cursor", str(error)) from error


def person(request: Request, operator: Operator, who: str | None) -> str:
    """In whose name a step is taken: a signed-in person's own, or whom a program or an open console names."""
    named = (who or "").strip()
    identity = identity_of(request)
    if identity.kind == "person":
        if named and named != operator:
            raise problems.Problem(403, "not-you", f"you are signed in as {operator}; a step is taken in your own name")
        return operator
    if not named and identity.kind == "client":
        raise problems.unprocessable("say in `who` for which person this step is taken")
    return named or operator
