"""Why the detector says what it says: the judgement of one device with its reason."""

from __future__ import annotations

import numpy as np

from cloud.detection.compiled import Floats1, Ints1, compiled
from cloud.detection.family import Family
from cloud.detection.judgement import ANOMALY, ChannelReason, Judgement, Reason
from cloud.detection.records import Bools, Floats, Ints

NAMED = 3  # channels named at most
NAMED_FROM = 0.1  # score below which no fault is named


def judgement_of(family: Family, row: int, at: float, score: float, ticket: bool) -> Judgement:
    """The judgement of one device as the family sees it now."""
    return judgements_of(family, np.array([row]), np.array([at]), np.array([score]), ticket)[0]


def judgements_of(family: Family, rows: Ints, at: Floats, score: Floats, ticket: bool) -> list[Judgement]:
    """The judgements of some devices as the family sees them now."""
    completeness, judgeable = fitness_of(family, rows)
    problems = problems_of(family, rows, at, score)
    columns = (rows, at, score, completeness, judgeable)
    return [
        Judgement(
            device=family.names[row],
            at=when,
            problem=problem,
            score=p,
            probability=p,
            horizon_s=family.settings.horizon_s,
            ticket=ticket,
            judgeable=fit,
            completeness=complete,
            time_left=family.time_left(row, when),
            reason=reason_of(family, row, when),
        )
        for row, when, p, complete, fit, problem in zip(*(c.tolist() for c in columns), problems, strict=True)
    ]


def problems_of(family: Family, rows: Ints, at: Floats, score: Floats) -> list[str]:
    """The faults that speak, where one can be named; else an anomaly."""
    problems = [ANOMALY] * len(rows)
    named = np.flatnonzero(score >= NAMED_FROM)
    for i, kind in zip(named.tolist(), family.kinds_of(rows[named], at[named]), strict=True):
        problems[i] = kind or ANOMALY
    return problems


def fitness_of(family: Family, rows: Ints) -> tuple[Floats, Bools]:
    """Completeness of these rows, and whether a fault could have been seen."""
    completeness = family.sensors.completeness(rows)
    return completeness, (family.bank.seen[rows] >= family.settings.young_samples) & (completeness > 0.25)


def reason_of(family: Family, row: int, at: float) -> Reason:
    """Channels furthest from normal, recent codes, the conjunction that speaks, and the cohort."""
    slow = min(2, len(family.settings.spans) - 1)
    deviation = family.bank.smooth[slow, row] / family.bank.spread[slow]
    far = np.argsort(-np.abs(deviation), kind="stable")[:NAMED].tolist()
    found = family.found.get(row)
    since = min(float(family.away_since[row]), at)
    size, below = _rank(row, len(family.names), family.cohort, family.score)
    return Reason(
        channels=tuple(
            ChannelReason(family.channels[c], float(deviation[c]), float(family.settings.spans[slow]), since)
            for c in far
            if abs(deviation[c]) >= 2.0
        ),
        codes=tuple(sorted(family.evidence.devices[row].codes)),
        conjunction=found.key if found else (),
        confirmed_before=round(found.positives) if found else 0,
        refuted_before=round(found.negatives) if found else 0,
        cohort_share=below / size if size > 1 else None,
        cohort_size=size,
    )


@compiled
def _rank(row: int, devices: int, cohort: Ints1, score: Floats1) -> tuple[int, int]:
    """How many devices there are in the device's cohort, and how many of them score no higher than it."""
    size = below = 0
    for other in range(devices):
        if cohort[other] == cohort[row]:
            size += 1
            below += score[other] <= score[row]
    return size, below
