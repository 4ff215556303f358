"""Why the detector says what it says: the judgement of one device with its reason."""

from __future__ import annotations

import numpy as np

from cloud.detection.family import Family
from cloud.detection.judgement import ANOMALY, ChannelReason, Judgement, Reason
from cloud.detection.records import Bools, Floats, Ints

NAMED = 3  # channels named at most
NAMED_FROM = 0.1  # score below which no fault is named


def judgement_of(family: Family, row: int, at: float, score: float, ticket: bool) -> Judgement:
    """The judgement of one device as the family sees it now."""
    completeness, judgeable = fitness_of(family, slice(row, row + 1))
    return Judgement(
        device=family.names[row],
        at=at,
        problem=problem_of(family, row, at, score),
        score=score,
        probability=score,
        horizon_s=family.settings.horizon_s,
        ticket=ticket,
        judgeable=bool(judgeable[0]),
        completeness=float(completeness[0]),
        time_left=family.time_left(row, at),
        reason=reason_of(family, row, at),
    )


def problem_of(family: Family, row: int, at: float, score: float) -> str:
    """The fault that speaks, where one can be named; else an anomaly."""
    return (family.kind_of(row, at) if score >= NAMED_FROM else "") or ANOMALY


def fitness_of(family: Family, rows: Ints | slice) -> tuple[Floats, Bools]:
    """Completeness of these rows, and whether a fault could have been seen."""
    completeness = family.sensors.completeness(rows)
    return completeness, (family.bank.seen[rows] >= family.settings.young_samples) & (completeness > 0.25)


def reason_of(family: Family, row: int, at: float) -> Reason:
    """Channels furthest from normal, recent codes, the conjunction that speaks, and the cohort."""
    slow = min(2, len(family.settings.spans) - 1)
    deviation = (family.bank.smooth[slow, row] / family.bank.spread[slow]).tolist()
    far = sorted(range(len(deviation)), key=lambda c: -abs(deviation[c]))[:NAMED]
    found = family.found.get(row)
    since = min(float(family.away_since[row]), at)
    peers = family.cohort[: len(family.names)] == family.cohort[row]
    size = int(np.count_nonzero(peers))
    share = None
    if size > 1:
        below = peers & (family.score[: len(family.names)] <= family.score[row])
        share = int(np.count_nonzero(below)) / size
    return Reason(
        channels=tuple(
            ChannelReason(family.channels[c], deviation[c], float(family.settings.spans[slow]), since)
            for c in far
            if abs(deviation[c]) >= 2.0
        ),
        codes=tuple(sorted(family.evidence.devices[row].codes)),
        conjunction=found.key if found else (),
        confirmed_before=round(found.positives) if found else 0,
        refuted_before=round(found.negatives) if found else 0,
        cohort_share=share,
        cohort_size=size,
    )
