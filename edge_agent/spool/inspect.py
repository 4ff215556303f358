"""A look into a spool from outside, also while an agent has it open."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from edge_agent.cover import hours_of_cover
from edge_agent.settings import SpoolSettings


class SpoolUnreadable(Exception):
    """There is no spool, or it cannot be read."""


def describe(settings: SpoolSettings) -> Iterator[str]:
    """Depth, age, what was dropped and hours of cover, a line each.

    Raises:
        SpoolUnreadable: says why.
    """
    if not Path(settings.path).is_file():
        raise SpoolUnreadable(f"no spool at {settings.path}: the agent has not run yet, or runs with another path")
    try:
        connection = sqlite3.connect(f"file:{settings.path}?mode=ro", uri=True)
        try:
            yield from _lines(connection, settings)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise SpoolUnreadable(f"the spool {settings.path} cannot be read: {error}") from error


def _lines(connection: sqlite3.Connection, settings: SpoolSettings) -> Iterator[str]:
    messages, used = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM message").fetchone()
    share = 100 * used / settings.bound_bytes
    yield f"waiting   {messages} messages, {used / 1e6:.2f} MB of {settings.bound_bytes / 1e6:.0f} MB ({share:.1f} %)"
    kinds = connection.execute("SELECT kind, count(*), sum(size) FROM message GROUP BY kind ORDER BY kind")
    for kind, count, size in kinds:
        yield f"          {kind}: {count} ({size / 1e6:.2f} MB)"
    oldest = connection.execute("SELECT at_ms, spooled_ms FROM message ORDER BY number LIMIT 1").fetchone()
    yield f"oldest    {_moment(oldest[0]) if oldest else '-'}"
    rate = connection.execute("SELECT value FROM fact WHERE name = 'bytes_per_hour'").fetchone()
    cover = hours_of_cover(settings.bound_bytes, used, rate[0] if rate else None)
    yield f"cover     {f'{cover:.1f} h at {rate[0] / 1e6:.3f} MB/h' if cover is not None else 'not yet known'}"
    for device, kind, count, size, first, last in connection.execute("SELECT * FROM dropped"):
        span = f"{_moment(first)} to {_moment(last)}"
        yield f"dropped   {device} {kind}: {count} ({size / 1e6:.2f} MB), {span}, not yet told"
    facts = dict(connection.execute("SELECT name, value FROM fact").fetchall())
    yield f"boot      {facts.get('boot')}; damaged files set aside: {facts.get('set_aside', 0)}"


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
