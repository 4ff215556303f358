"""Why the detector says what it says: the judgement of one device with its reason."""

from __future__ import annotations

import numpy as np

from cloud.detection.family import Family
from cloud.detection.judgement import ANOMALY, ChannelReason, Judgement, Reason

NAMED = 3  # channels named at most
NAMED_FROM = 0.1  # score below which no fault is named


def judgement_of(family: Family, row: int, at: float, score: float, ticket: bool) -> Judgement:
    """The judgement of one device as the family sees it now."""
    completeness = float(family.sensors.completeness(slice(row, row + 1))[0])
    problem = (family.kind_of(row, at) if score >= NAMED_FROM else "") or ANOMALY
    judgeable = bool(family.bank.seen[row] >= family.settings.young_samples) and completeness > 0.25
    return Judgement(
        device=family.names[row],
        at=at,
        problem=problem,
        score=score,
        probability=score,
        horizon_s=family.settings.horizon_s,
        ticket=ticket,
        judgeable=judgeable,
        completeness=completeness,
        time_left=family.time_left(row, at),
        reason=reason_of(family, row, at),
    )


def reason_of(family: Family, row: int, at: float) -> Reason:
    """Channels furthest from normal, recent codes, the conjunction that speaks, and the cohort."""
    slow = min(2, len(family.settings.spans) - 1)
    deviation = family.bank.smooth[row, slow] / family.bank.spread[slow]
    far = [int(c) for c in np.argsort(-np.abs(deviation), kind="stable")[:NAMED] if abs(deviation[c]) >= 2.0]
    found = family.found.get(row)
    since = float(family.away_since[row])
    peers = family.cohort[: len(family.names)] == family.cohort[row]
    share = None
    if peers.sum() > 1:
        share = float((family.score[: len(family.names)][peers] <= family.score[row]).mean())
    return Reason(
        channels=tuple(
            ChannelReason(family.channels[c], float(deviation[c]), float(family.settings.spans[slow]), min(since, at))
            for c in far
        ),
        codes=tuple(sorted(family.evidence.devices[row].codes)),
        conjunction=found.key if found else (),
        confirmed_before=round(found.positives) if found else 0,
        refuted_before=round(found.negatives) if found else 0,
        cohort_share=share,
        cohort_size=int(peers.sum()),
    )
