"""Webhooks: who is told of events, what was delivered, and sending it again."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud.db import queries
from cloud.web import cursors, problems
from cloud.web.api.allowing import allowed
from cloud.web.api.changing import ChangingRoute
from cloud.web.api.parameters import LARGEST, Context, Cursor, Limit, Operator, position
from cloud.web.auth.permissions import Permission
from cloud.web.cursors import Page
from cloud.web.events import Kind
from cloud.web.webhooks import store
from cloud.web.webhooks.store import Delivery, Webhook

# Not idempotent by key: the answer to making one holds its secret, and the others are idempotent by themselves.
router = APIRouter(
    prefix="/webhooks", tags=["webhooks"], route_class=ChangingRoute, dependencies=[allowed(Permission.WEBHOOKS)]
)
Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="The webhook's number.")]
DeliveryNo = Annotated[int, Path(ge=1, le=LARGEST, description="The delivery's number.")]
Kinds = Annotated[list[Kind], Field(min_length=1, max_length=3)]
Url = Annotated[str, Field(min_length=1, max_length=2_000, examples=["https://crm.example.org/hooks/firstcall"])]
PROBLEMS = problems.documented(400, 401, 403, 404, 422, 429, 503)
KIND = "deliveries"


class WebhookBody(BaseModel):
    """Where to send what."""

    model_config = ConfigDict(extra="forbid")
    url: Url
    kinds: Kinds


class ChangeBody(BaseModel):
    """What should be otherwise."""

    model_config = ConfigDict(extra="forbid")
    enabled: bool = True
    url: Url | None = None
    kinds: Kinds | None = None


class ReplayBody(BaseModel):
    """What to send again: with nothing said, all that failed."""

    model_config = ConfigDict(extra="forbid")
    since: AwareDatetime | None = Field(default=None, description="Only what was put into the outbox since then.")
    failed_only: bool = Field(default=True, description="False: what was delivered, too.")


class NewWebhook(Webhook):
    """A webhook with its secret, which is told this once."""

    secret: str


class Replayed(BaseModel):
    """How many deliveries will be made again."""

    deliveries: int


@router.get("", summary="List webhooks", responses=PROBLEMS)
async def list_webhooks(context: Context) -> list[Webhook]:
    """All webhooks."""
    return await store.listed(context.pool)


@router.post("", summary="Make a webhook", status_code=201, responses=PROBLEMS)
async def add_webhook(context: Context, operator: Operator, body: WebhookBody) -> NewWebhook:
    """From now on each new or changed thing of these kinds is sent there, signed. The answer holds the secret."""
    try:
        async with context.pool.connection() as connection:
            number, secret = await store.add(connection, body.url, body.kinds, operator)
    except store.BadWebhook as error:
        raise problems.unprocessable(str(error)) from error
    return NewWebhook(**(await _webhook(context, number)).model_dump(), secret=secret)


@router.patch("/{webhook_no}", summary="Change a webhook", responses=PROBLEMS)
async def change_webhook(context: Context, webhook_no: Number, body: ChangeBody) -> Webhook:
    """While it is not enabled nothing is sent; what happens meanwhile is sent afterwards, three days of it at most."""
    try:
        url = store.check_url(body.url) if body.url else None
    except store.BadWebhook as error:
        raise problems.unprocessable(str(error)) from error
    parameters = {"webhook_no": webhook_no, "enabled": body.enabled, "url": url, "kinds": body.kinds}
    async with context.pool.connection() as connection:
        await connection.execute(queries.load("access")["set_webhook"], parameters)
    return await _webhook(context, webhook_no)


@router.delete("/{webhook_no}", summary="Remove a webhook", status_code=204, responses=PROBLEMS)
async def remove_webhook(context: Context, webhook_no: Number) -> None:
    """It is gone with its outbox."""
    await _webhook(context, webhook_no)
    async with context.pool.connection() as connection:
        await connection.execute(queries.load("access")["delete_webhook"], {"webhook_no": webhook_no})


@router.get("/{webhook_no}/deliveries", summary="List deliveries", responses=PROBLEMS)
async def list_deliveries(
    context: Context,
    webhook_no: Number,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: Annotated[Literal["due", "delivered", "failed"] | None, Query(description="Only those.")] = None,
) -> Page[Delivery]:
    """What was sent or is still to be, the newest first."""
    await _webhook(context, webhook_no)
    after = position(KIND, cursor, str)
    rows = await store.deliveries(context.pool, webhook_no, limit + 1, after[1] if after else None, state)
    items, following = cursors.page(KIND, rows, limit, lambda row: ("", row.delivery_no))
    return Page(items=items, next=following)


@router.post("/{webhook_no}/replay", summary="Send again", responses=PROBLEMS)
async def replay(context: Context, webhook_no: Number, body: ReplayBody) -> Replayed:
    """Send again what failed, or all since a time: the same bytes under the same delivery number."""
    await _webhook(context, webhook_no)
    async with context.pool.connection() as connection:
        return Replayed(
            deliveries=await store.replay(connection, webhook_no, since=body.since, failed_only=body.failed_only)
        )


@router.post("/{webhook_no}/deliveries/{delivery_no}/replay", summary="Send one again", responses=PROBLEMS)
async def replay_one(context: Context, webhook_no: Number, delivery_no: DeliveryNo) -> Replayed:
    """Send one delivery again, whatever became of it."""
    async with context.pool.connection() as connection:
        count = await store.replay(connection, webhook_no, delivery_no=delivery_no, failed_only=False)
    if not count:
        raise problems.not_found(f"delivery {delivery_no} of webhook {webhook_no}")
    return Replayed(deliveries=count)


async def _webhook(context: Context, webhook_no: int) -> Webhook:
    found = await store.listed(context.pool, webhook_no)
    if not found:
        raise problems.not_found(f"webhook {webhook_no}")
    return found[0]
