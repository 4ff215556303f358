"""Server-sent events: faults and tickets as they come, and on from where one was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from cloud.web import events, problems
from cloud.web.api.allowing import allowed
from cloud.web.api.parameters import Context
from cloud.web.auth import session_store
from cloud.web.auth.identity import Identity, require
from cloud.web.auth.permissions import Permission
from cloud.web.context import WebContext
from cloud.web.events import Place

router = APIRouter(tags=["stream"], dependencies=[allowed(Permission.LOOK)])
HEARTBEAT_S = 15.0
LOOK_AGAIN_S = 1.0
AT_ONCE = 500
LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=64, description="Id of the last event that you have; browsers send it."),
]


@router.get(
    "/stream",
    summary="Follow faults, tickets and findings",
    response_class=StreamingResponse,
    responses=problems.documented(401, 403, 422, 429, 503) | {200: {"content": {"text/event-stream": {}}}},
)
async def stream(context: Context, last_event_id: LastEventId = None) -> StreamingResponse:
    """Events `fault`, `ticket` and `finding`, each new or changed one as in the lists, within a second of the commit,
    in commit order. The stream opens with `hello`. `{"resumed": true}`: what you missed since Last-Event-ID follows.
    `{"resumed": false}`: read the lists now; what follows is what changes from there. A comment line comes every
    15 s."""
    place = events.read_place(last_event_id) if last_event_id else None
    resumed = place is not None and await events.still_held(context.pool, place)
    begin = place if place is not None and resumed else await events.head(context.pool)
    return StreamingResponse(
        _events(context, require(Permission.LOOK), begin, resumed),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(context: WebContext, identity: Identity, place: Place, resumed: bool) -> AsyncIterator[str]:
    context.metrics.streams.inc()
    quiet_s = 0.0
    try:
        with context.notices.subscribe(*events.CHANNELS) as subscription:
            yield f"event: hello\nid: {place}\ndata: {json.dumps({'resumed': resumed})}\n\n"
            while not context.ending.is_set():
                found = await events.after(context.pool, place, AT_ONCE)
                for event in events.newest_of_each(found):
                    item = await events.item_of(context.pool, event)
                    if item is not None:
                        yield f"event: {event.kind}\nid: {event.place}\ndata: {item.model_dump_json()}\n\n"
                if found:
                    place, quiet_s = found[-1].place, 0.0
                    await asyncio.sleep(context.settings.refresh_s)
                elif quiet_s >= HEARTBEAT_S:
                    if not await session_store.stands(context.pool, identity):
                        return
                    yield ": still here\n\n"
                    quiet_s = 0.0
                # A notice comes with the commit, but the feed waits for older transactions: hence the regular look.
                elif not await subscription.changes(LOOK_AGAIN_S):
                    quiet_s += LOOK_AGAIN_S
    finally:
        context.metrics.streams.dec()
