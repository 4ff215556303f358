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


def precision(appliances: Sequence[Appliance], calls: Sequence[Call], start: float, end: float) -> Precision:
    """Of the calls made in [start, end)."""
    chosen = [c for c in calls if start <= c.at < end]
    return Precision(sum(episode_at(appliances[c.device], c.at) is not None for c in chosen), len(chosen))


def labels_until_recovered(
    appliances: Sequence[Appliance],
    calls: Sequence[Call],
    labels: Sequence[Label],
    changed_at: float,
    *,
    former: float,
    share: float = 0.9,
    window: int = 20,
) -> int | None:
    """Labels that had become known between the change and the first time at which the latest ``window`` calls after
    the change, or all of them once there are ``window`` // 2, had ``share`` of the former precision and kept it for
    the rest of the calls; None if that never came."""
    after = sorted((c for c in calls if c.at >= changed_at), key=lambda c: c.at)
    right = np.array([episode_at(appliances[c.device], c.at) is not None for c in after], float)
    least = window // 2
    if len(after) < least or not np.isfinite(former):
        return None
    rolling = np.array([right[max(0, k + 1 - window) : k + 1].mean() for k in range(len(right))])
    below = np.flatnonzero(rolling < share * former)
    place = max(least - 1, int(below[-1]) + 1 if len(below) else 0)
    if place >= len(after):
        return None
    begun = max(0, place + 1 - window)  # the calls of this window were good: what was learnt, was learnt before
    return sum(changed_at <= label.known_at <= after[begun].at for label in labels)
