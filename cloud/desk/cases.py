"""Fault reports and predictions become cases, and cases get their four codes. All within the caller's transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from cloud.db import queries
from cloud.desk.episodes import Change, Episode, HeldCase, Report, episodes, reconcile

Connection = AsyncConnection[Any]
Problem = tuple[int, str]
"""A device's number and a fault code."""

_SQL = queries.load("desk")
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)  # earlier than any event time that ingest lets pass


@dataclass(slots=True)
class _Fold:
    """How the reports of one problem are to be folded: onwards from its last case, or again from `since`."""

    reports: list[Report]
    last: tuple[HeldCase, Episode] | None = None
    since: datetime = _EARLIEST
    held: list[HeldCase] = field(default_factory=list)

    def changes(self, gap: timedelta) -> list[Change]:
        if self.last is None:
            return reconcile(self.held, episodes(self.reports, gap))
        case, episode = self.last
        onwards = episodes(self.reports, gap, episode)
        continued = [] if onwards[0] == episode else [Change(case.case_no, onwards[0], (), case.ticket_no)]
        return continued + [Change(None, new) for new in onwards[1:]]


async def take_reports(connection: Connection, batches: Sequence[int], span: Any, gap: timedelta) -> set[int]:
    """Fold the fault reports of these ingest batches into cases; returns the cases that changed or came new.

    `span` is (first_at, last_at) of the batches, by which partitions are found. Reports that come late make their
    problem be folded again from before them, so that any order of arrival ends in the same cases.
    """
    cursor = await connection.execute(
        _SQL["reports_of_batches"], {"batches": list(batches), "first_at": span[0], "last_at": span[1]}
    )
    touched: dict[Problem, list[Report]] = defaultdict(list)
    for device_no, code, *report in await cursor.fetchall():
        touched[device_no, code].append(Report(*report))
    if not touched:
        return set()
    folds = await _plan(connection, touched)
    await _read_again(connection, {key: fold for key, fold in folds.items() if fold.last is None})
    return await _write(connection, {key: fold.changes(gap) for key, fold in folds.items()})


async def take_predictions(connection: Connection, numbers: Sequence[int]) -> set[int]:
    """Make cases of new predictions, and bring cases up to date with predictions that changed; returns those cases."""
    cursor = await connection.execute(_SQL["insert_predicted_cases"], {"predictions": list(numbers)})
    taken = {case_no for (case_no,) in await cursor.fetchall()}
    cursor = await connection.execute(_SQL["follow_predictions"])
    return taken | {case_no for (case_no,) in await cursor.fetchall()}


async def judge(connection: Connection, cases: Iterable[int]) -> set[int]:
    """Find the four codes of these cases as known now; returns the cases whose codes changed."""
    cursor = await connection.execute(_SQL["judge_cases"], {"cases": list(cases)})
    return {case_no for (case_no,) in await cursor.fetchall()}


async def _plan(connection: Connection, touched: dict[Problem, list[Report]]) -> dict[Problem, _Fold]:
    """Onwards where every report is later than what the last case holds; else from the last case before them."""
    cursor = await connection.execute(
        _SQL["last_cases"],
        {
            "devices": [device_no for device_no, _ in touched],
            "codes": [code for _, code in touched],
            "earliest": [min(reports).at for reports in touched.values()],
        },
    )
    folds = {key: _Fold(reports) for key, reports in touched.items()}
    for device_no, code, onwards, case_no, ticket_no, *episode in await cursor.fetchall():
        fold = folds[device_no, code]
        if onwards:
            fold.last = (HeldCase(case_no, episode[0], ticket_no), Episode(*episode))
        else:
            fold.since = episode[0]
    return folds


async def _read_again(connection: Connection, folds: dict[Problem, _Fold]) -> None:
    """Fill in all reports and cases of these problems since where each has to be folded from."""
    if not folds:
        return
    parameters = {
        "devices": [device_no for device_no, _ in folds],
        "codes": [code for _, code in folds],
        "since": [fold.since for fold in folds.values()],
    }
    for fold in folds.values():
        fold.reports = []
    cursor = await connection.execute(_SQL["reports_since"], parameters)
    for device_no, code, *report in await cursor.fetchall():
        folds[device_no, code].reports.append(Report(*report))
    cursor = await connection.execute(_SQL["cases_since"], parameters)
    for device_no, code, case_no, occurred_at, ticket_no in await cursor.fetchall():
        folds[device_no, code].held.append(HeldCase(case_no, occurred_at, ticket_no))


async def _write(connection: Connection, changes: dict[Problem, list[Change]]) -> set[int]:
    """Absorbed cases first, so that the index of one case an episode holds at every moment."""
    flat = [(key, change) for key, some in changes.items() for change in some]
    absorbed = [{"case_no": n, "into": change.case_no} for _, change in flat for n in change.absorbs]
    if absorbed:
        async with connection.cursor() as cursor:
            await cursor.executemany(_SQL["absorb_case"], absorbed)
    held = [(change.case_no, change) for _, change in flat if change.case_no is not None]
    if held:
        async with connection.cursor() as cursor:
            await cursor.executemany(
                _SQL["update_case"],
                [{"case_no": n, "ticket_no": c.ticket_no, **_columns(c.episode)} for n, c in held],
            )
    numbers = {n for n, _ in held}
    new = [(key, change.episode) for key, change in flat if change.case_no is None]
    if new:
        cursor = await connection.execute(
            _SQL["insert_reported_cases"],
            {
                "devices": [key[0] for key, _ in new],
                "codes": [key[1] for key, _ in new],
                **{name: [_columns(e)[name] for _, e in new] for name in _columns(new[0][1])},
            },
        )
        numbers |= {case_no for (case_no,) in await cursor.fetchall()}
    return numbers


def _columns(episode: Episode) -> dict[str, Any]:
    return {
        "occurred_at": episode.occurred_at,
        "last_raised_at": episode.last_raised_at,
        "last_at": episode.last_at,
        "cleared_at": episode.cleared_at,
        "raises": episode.raises,
    }
