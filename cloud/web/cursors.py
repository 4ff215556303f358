"""Opaque cursors for keyset pagination: where the next page starts, not how many rows to skip."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from math import isfinite
from typing import Generic, TypeVar

from pydantic import BaseModel, Field

T = TypeVar("T")
Key = datetime | float | str
K = TypeVar("K", datetime, float, str)
MAX_LIMIT = 200


class BadCursor(ValueError):
    """This cursor was not given out by this list; ask for the first page without one."""


class Page(BaseModel, Generic[T]):
    """A part of a list. Follow `next` until it is null."""

    items: list[T]
    next: str | None = Field(default=None, description="Give it as `cursor` to get the following page; null at the end")


def encode(kind: str, key: Key, number: int) -> str:
    """A cursor behind the row with this sort key and number, valid for lists of this kind."""
    shown = key.isoformat() if isinstance(key, datetime) else key
    text = json.dumps([kind, shown, number], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(kind: str, cursor: str, shape: type[K]) -> tuple[K, int]:
    """Read a cursor back, whose sort key is of type `shape` (datetime with zone, finite float, or str).

    Raises:
        BadCursor: it is damaged, or belongs to another list.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found, shown, number = json.loads(raw)
        key = datetime.fromisoformat(shown) if shape is datetime else shown
    except (ValueError, TypeError, RecursionError) as error:
        raise BadCursor(BadCursor.__doc__) from error
    whole = type(number) is int and abs(number) < 2**63
    if found != kind or not whole or not isinstance(key, shape) or not _usable(key):
        raise BadCursor(BadCursor.__doc__)
    return key, number


def _usable(key: Key) -> bool:
    match key:
        case datetime():
            return key.tzinfo is not None
        case float():
            return isfinite(key)
        case str():
            return "\0" not in key


def page(
    kind: str, rows: Sequence[T], limit: int, position: Callable[[T], tuple[Key, int]]
) -> tuple[list[T], str | None]:
    """Cut `limit + 1` rows, as asked of the database, into one page and the cursor of the next, if there is one."""
    kept = list(rows[:limit])
    if len(rows) <= limit or not kept:
        return kept, None
    return kept, encode(kind, *position(kept[-1]))
