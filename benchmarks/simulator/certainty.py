"""Whether stated probabilities came true, day by day, and how soon precision is back after a change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulator.people import DAY_S, episode_at
from benchmarks.simulator.port import Label
from cloud.detection.evaluation import brier, expected_calibration_error, reliability
from device_sim.failure.life import Span
from device_sim.fleet.population import Appliance
from device_sim.people.money import Call

Floats = NDArray[np.float64]


def failing_within(appliances: Sequence[Appliance], span: Span, days: int, horizon_s: float) -> Floats:
    """Shape (days, devices), for the end of each day: 1 if the device fails within the horizon, 0 if not, NaN where it
    has failed already or the span ends before the horizon does."""
    truth = np.zeros((days, len(appliances)))
    ends = span.start + DAY_S * (1.0 + np.arange(days))
    truth[ends + horizon_s > span.end] = np.nan
    for number, appliance in enumerate(appliances):
        for episode in appliance.life.episodes:
            if episode.failed_at is None:
                continue
            ended = episode.ended_at if episode.ended_at is not None else np.inf
            soon = (ends < episode.failed_at) & (episode.failed_at <= ends + horizon_s)
            truth[soon & np.isfinite(truth[:, number]), number] = 1.0
            truth[(ends >= episode.failed_at) & (ends < ended), number] = np.nan
    return truth


def faulty(appliances: Sequence[Appliance], span: Span, days: int) -> Floats:
    """Shape (days, devices), for the end of each day: 1 if a visit would find a fault, from onset to repair; else 0."""
    truth = np.zeros((days, len(appliances)))
    ends = span.start + DAY_S * (1.0 + np.arange(days))
    for number, appliance in enumerate(appliances):
        for episode in appliance.life.episodes:
            ended = episode.ended_at if episode.ended_at is not None else np.inf
            truth[(ends >= episode.onset) & (ends <= ended), number] = 1.0
    return truth


def calibration(stated: NDArray[np.floating[Any]], truth: Floats) -> dict[str, Any]:
    """ECE and Brier score of statements (days, devices) of which the truth is known."""
    known = np.isfinite(stated) & np.isfinite(truth)
    p, y = stated[known].astype(np.float64), truth[known] > 0
    if not len(p):
        return {"statements": 0}
    base = np.full(len(y), y.mean())
    spoken = p >= 0.1
    return {
        "statements": len(p),
        "came_true": int(y.sum()),
        "ece": round(expected_calibration_error(p, y), 5),
        "brier": round(brier(p, y), 6),
        "brier_of_base_rate": round(brier(base, y), 6),
        "ece_of_statements_above_0.1": round(expected_calibration_error(p[spoken], y[spoken]), 4),
        "statements_above_0.1": int(spoken.sum()),
        "reliability_stated_true_n": [
            [round(b.stated, 4), round(b.came_true, 4), b.statements] for b in reliability(p, y)
        ],
    }


@dataclass(frozen=True, slots=True)
class Precision:
    """Right calls among all, and of how many."""

    right: int
    calls: int

    @property
    def share(self) -> float:
        """NaN without calls."""
        return self.right / self.calls if self.calls else float("nan")


def judged(appliances: Sequence[Appliance], calls: Sequence[Call]) -> list[tuple[float, bool]]:
    """Event time of each call, and whether its device then had a fault."""
    return [(c.at, episode_at(appliances[c.device], c.at) is not None) for c in calls]


def precision(known: Sequence[tuple[float, bool]], start: float, end: float) -> Precision:
    """Of the judged calls in [start, end)."""
    chosen = [right for at, right in known if start <= at < end]
    return Precision(sum(chosen), len(chosen))


@dataclass(frozen=True, slots=True)
class Recovery:
    """Labels known between the change and the first call of the window in which precision was back (what was learnt
    by then made the window good), and until its last (what it took until anybody could say so)."""

    labels: int
    labels_until_shown: int


def recovered(
    judged: Sequence[tuple[float, bool]],
    labels: Sequence[Label],
    changed_at: float,
    *,
    former: float,
    share: float = 0.9,
    window: int = 20,
) -> Recovery | None:
    """When precision was back. ``judged``: (event time, whether it was right) of each call.

    Back means: the latest ``window`` calls since the change (``window`` // 2 at least) have ``share`` of the former
    precision, and no later window falls below it again. None if that never came.
    """
    after = sorted(row for row in judged if row[0] >= changed_at)
    least = window // 2
    if len(after) < least or not np.isfinite(former):
        return None
    right = np.array([float(r) for _, r in after])
    rolling = np.array([right[max(0, k + 1 - window) : k + 1].mean() for k in range(len(right))])
    below = np.flatnonzero(rolling < share * former)
    last = max(least - 1, int(below[-1]) + 1 if len(below) else 0)
    if last >= len(after):
        return None
    known = np.sort([label.known_at for label in labels if label.known_at >= changed_at])
    first = max(0, last + 1 - window)
    shown = [int(np.searchsorted(known, after[k][0], side="right")) for k in (first, last)]
    return Recovery(*shown)
