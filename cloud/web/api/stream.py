"""Server-sent events: faults and tickets as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from cloud.web import problems
from cloud.web.api.allowing import allowed
from cloud.web.api.parameters import Context
from cloud.web.auth.permissions import Permission
from cloud.web.board import Picture
from cloud.web.context import WebContext

router = APIRouter(tags=["stream"], dependencies=[allowed(Permission.LOOK)])
HEARTBEAT_S = 15.0
Seen = Mapping[tuple[str, int], BaseModel]


@router.get(
    "/stream",
    summary="Follow faults and tickets",
    response_class=StreamingResponse,
    responses=problems.documented(401, 503) | {200: {"content": {"text/event-stream": {}}}},
)
async def stream(context: Context) -> StreamingResponse:
    """Events `fault` and `ticket`, each new or changed one as in the lists, within a second of the commit. The stream
    opens with `hello`: read the lists then, and after each reconnection; what follows is what changes from there.
    A comment line comes every 15 s."""
    return StreamingResponse(
        _events(context),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(context: WebContext) -> AsyncIterator[str]:
    context.metrics.streams.inc()
    try:
        async with context.board.look() as viewer:
            seen = _items(context.board.picture)
            yield "event: hello\ndata: {}\n\n"
            while not context.ending.is_set():
                picture = await viewer.next(HEARTBEAT_S)
                if picture is None:
                    yield ": still here\n\n"
                    continue
                items = _items(picture)
                for (kind, number), item in reversed(items.items()):
                    if seen.get((kind, number)) != item:
                        yield f"event: {kind}\nid: {kind}-{number}\ndata: {item.model_dump_json()}\n\n"
                seen = {**seen, **items} if len(seen) < 5_000 else items
    finally:
        context.metrics.streams.dec()


def _items(picture: Picture) -> dict[tuple[str, int], BaseModel]:
    found: dict[tuple[str, int], BaseModel] = {("fault", f.case_no): f for f in picture.faults}
    return found | {("ticket", t.ticket_no): t for t in picture.moved}
