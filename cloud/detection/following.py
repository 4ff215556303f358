"""Which of the rows that were just judged need more than that: loops over the arrays of a family and of its parts.

Nearly all rows of a fleet are calm, and what is done in Python a device is done for the others only.
"""

from __future__ import annotations

import numpy as np

from cloud.detection.compiled import Bools1, Bools2, Floats1, Floats2, Floats3, Given1, Ints1, Signs2, compiled
from cloud.detection.records import Floats, Ints


@compiled
def strengths(  # noqa: PLR0917 - the family's arrays
    rows: Ints1,
    at: Floats1,
    statistics: Floats2,
    young: Bools1,
    smooth: Floats3,
    spread: Floats2,
    scale: int,
    drift_sigmas: float,
    known_from: float,
    quiet: float,
    anomaly_on: float,
    stirred: Bools1,
    changes_at: Floats1,
    lived: Floats1,
    weigh_at: Floats1,
) -> tuple[Floats, bool, bool]:
    """How many sigmas each channel (n, C) is from normal at this scale, 0 for a device that is young or cycles;
    whether nothing of any of the rows needs following up; and whether any is due to be portrayed."""
    n, width = len(rows), smooth.shape[2]
    strength, calm, due = np.zeros((n, width)), True, False
    for i in range(n):
        row = rows[i]
        due |= lived[row] >= known_from and at[i] >= weigh_at[row]
        if stirred[row] or changes_at[row] <= at[i]:
            calm = False
        if not (statistics[i, 0] <= anomaly_on and statistics[i, 1] <= anomaly_on):
            calm = False
        if young[i] or statistics[i, 1] > quiet:
            continue
        for c in range(width):
            strength[i, c] = smooth[scale, row, c] / spread[scale, c]
            if not abs(strength[i, c]) < drift_sigmas:
                calm = False
    return strength, calm, due


@compiled
def asked_again(rows: Ints1, at: Floats1, every_s: float, known: Floats1, known_at: Floats1) -> Ints:
    """Positions of the rows of which something is known by conjunctions, and was not asked for a while."""
    return np.array(
        [i for i in range(len(rows)) if known[rows[i]] > 0 and known_at[rows[i]] + every_s <= at[i]], np.int64
    )


@compiled
def follow_absences(  # noqa: PLR0917 - the family's arrays
    rows: Ints1,
    at: Floats1,
    surprise: Given1,
    anomaly_off: float,
    anomaly_on: float,
    least_peak: float,
    known: Floats1,
    drifts: Signs2,
    flags: Bools2,
    peaks: Floats2,
    away_since: Floats1,
    stirred: Bools1,
) -> None:
    """Since when each row has been away from normal, and whether anything of it is left to follow."""
    for i in range(len(rows)):
        row = rows[i]
        if surprise[i] <= anomaly_off:
            away_since[row] = np.inf
        elif surprise[i] > anomaly_on and np.isinf(away_since[row]):
            away_since[row] = at[i]
        left = known[row] > 0 or np.isfinite(away_since[row])
        for c in range(drifts.shape[1]):
            left |= drifts[row, c] != 0
        for k in range(flags.shape[1]):
            left |= flags[row, k]
        for k in range(peaks.shape[1]):
            left |= peaks[row, k] > least_peak
        stirred[row] = left
