"""Change of the fleet: a new firmware or a season moves many devices of a cohort at once.

One device far from normal is a suspicion; two in five of a cohort that leave normal within a day are a
change of the fleet.  The cohort is then taken to have a new normal: its baselines start afresh, nobody is
called for it, and the change is reported.  Two-sided protection: at least ``LEAST`` devices, and the share
is of the devices heard within the day.  Slow wear staggers over weeks and does not trigger it.

Beside it river's ADWIN (Bifet and Gavalda 2007) follows each cohort's mean surprise, hour by hour, as a
second witness: a change that comes in slowly is reported by it, but does not reset anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from river.drift import ADWIN

from cloud.detection.records import Floats, Ints

DAY_S = 86400.0
LEAST = 8
SHARE = 0.4


@dataclass(frozen=True, slots=True)
class FleetChange:
    """A cohort moved at event time ``at``: how many of how many devices; ``reset`` if they start afresh."""

    at: float
    cohort: int
    moved: int
    heard: int
    reset: bool


class FleetWatch:
    """Watches the cohorts of one family, once an hour of event time."""

    def __init__(self) -> None:
        self.hour = -np.inf
        self.witnesses: dict[int, Any] = {}
        self.changes: list[FleetChange] = []

    def look(
        self, at: float, cohort: Ints, heard_at: Floats, away_since: Floats, surprise: Floats
    ) -> list[FleetChange]:
        """``away_since``: when each device left normal, +inf while it is normal; all arrays by row."""
        hour = at // 3600.0
        if hour <= self.hour:
            return []
        self.hour = hour
        out = []
        lately = at - heard_at <= DAY_S
        counts = np.bincount(cohort[lately])
        for c in np.flatnonzero(counts >= LEAST).tolist():
            here, heard = (cohort == c) & lately, int(counts[c])
            moved = here & (away_since <= at) & (at - away_since <= DAY_S)
            if moved.sum() >= SHARE * heard:
                out.append(FleetChange(at, c, int(moved.sum()), heard, True))
                self.witnesses.pop(c, None)
                continue
            if c not in self.witnesses:
                self.witnesses[c] = _witness()
            witness = self.witnesses[c]
            before = witness.estimation
            witness.update(float(surprise[here].mean()))
            if witness.drift_detected and witness.estimation > before:
                out.append(FleetChange(at, c, int(moved.sum()), heard, False))
        self.changes.extend(out)
        return out


def _witness() -> Any:
    return ADWIN(delta=1e-4)  # type: ignore[no-untyped-call]
