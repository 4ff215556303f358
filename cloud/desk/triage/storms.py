"""Pure: reports of one cause in one region become storms; storms become changes of the incident table.

A span of time is part of a storm where, within one window, more devices report than chance would bring together.
A storm is a function of the set of reports in event time: the order in which they came makes no difference, and more
reports never undo one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp

YEAR = timedelta(days=365.25)


@dataclass(frozen=True, slots=True, order=True)
class Report:
    """A device began to report the cause."""

    at: datetime
    device_no: int
    case_no: int


@dataclass(frozen=True, slots=True)
class Storm:
    """From its first report to its last, with its cases."""

    began_at: datetime
    last_at: datetime
    devices: int
    cases: frozenset[int]


@dataclass(frozen=True, slots=True)
class HeldIncident:
    """An incident that the table holds."""

    incident_no: int
    began_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What the incident table needs: `incident_no` None opens one; `absorbs` turn out to be part of it."""

    incident_no: int | None
    storm: Storm
    absorbs: tuple[int, ...] = ()


def devices_needed(devices: int, usual_per_year: float, window: timedelta, odds: float, least: int) -> int:
    """How many devices of so many must report within a window for chance to do that less often than `odds`.

    Chance is a Poisson count of mean devices x usual reports a device and year x window. Never fewer than `least`.
    """
    mean = devices * usual_per_year * (window / YEAR)
    if mean > 500:  # exp(-mean) would vanish; the normal tail at 5 sigma lies below any odds in use [K]
        return max(least, int(mean + 5.5 * mean**0.5) + 1)
    term = exp(-mean)
    tail, count = 1.0, 0
    while tail >= odds:
        tail -= term
        count += 1
        term *= mean / count
    return max(least, count)


def storms(reports: Iterable[Report], window: timedelta, needed: int) -> list[Storm]:
    """All storms among reports of one cause and region, oldest first; they do not overlap."""
    ordered = sorted(set(reports))
    spans: list[tuple[int, int]] = []
    inside: Counter[int] = Counter()
    first = 0
    for last, report in enumerate(ordered):
        inside[report.device_no] += 1
        while report.at - ordered[first].at > window:
            _leave(inside, ordered[first].device_no)
            first += 1
        if len(inside) >= needed:
            if spans and first <= spans[-1][1]:
                spans[-1] = (spans[-1][0], last)
            else:
                spans.append((first, last))
    return [_storm(ordered[first : last + 1]) for first, last in spans]


def reconcile(held: Sequence[HeldIncident], found: Sequence[Storm]) -> list[Change]:
    """Match incidents with storms by overlap: the oldest number stays and absorbs the others."""
    changes = []
    for storm in found:
        same = sorted(h.incident_no for h in held if h.began_at <= storm.last_at and h.last_at >= storm.began_at)
        changes.append(Change(same[0] if same else None, storm, tuple(same[1:])))
    return changes


def causes_of(
    named: Mapping[str, Sequence[str]], dictionary: Iterable[tuple[str, str, str, str]]
) -> dict[tuple[str, str], str]:
    """The cause of each (model, code): one of `named` ("MODEL CODE" by cause), else its family and meaning.

    `dictionary` holds (model, code, family, meaning).
    """
    by_code = {code: cause for cause, codes in named.items() for code in codes}
    return {
        (model, code): by_code.get(f"{model} {code}", f"{family}: {meaning}")
        for model, code, family, meaning in dictionary
    }


def _leave(inside: Counter[int], device_no: int) -> None:
    inside[device_no] -= 1
    if not inside[device_no]:
        del inside[device_no]


def _storm(members: Sequence[Report]) -> Storm:
    return Storm(
        members[0].at,
        members[-1].at,
        len({member.device_no for member in members}),
        frozenset(member.case_no for member in members),
    )
