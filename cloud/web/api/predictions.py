"""Predictions: the detector's alarms."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter

from cloud.web import cursors, problems
from cloud.web.api.allowing import allowed
from cloud.web.api.parameters import Context, Cursor, DeviceCode, Limit, position
from cloud.web.auth.permissions import Permission
from cloud.web.cursors import Page
from cloud.web.reads import predictions
from cloud.web.reads.predictions import Prediction, State

router = APIRouter(prefix="/predictions", tags=["predictions"], dependencies=[allowed(Permission.LOOK)])
KIND = "predictions"


@router.get("", summary="List predictions", responses=problems.documented(400, 401, 403, 429, 422, 503))
async def list_predictions(
    *, context: Context, limit: Limit = 50, cursor: Cursor = None, device: DeviceCode = None, state: State | None = None
) -> Page[Prediction]:
    """Alarms of the detector by event time, the newest first, each with its reason."""
    after = position(KIND, cursor, datetime)
    rows = await predictions.listed(context.pool, limit + 1, after, device=device, state=state)
    items, following = cursors.page(KIND, rows, limit, lambda row: (row.raised_at, row.prediction_no))
    return Page(items=items, next=following)
