"""What a visit did not find counts against the suspicion that sent it, as long as that suspicion lasts.

A finding of "no fault" is wrong with a share e of them (``calibration.WRONG``), so it divides the odds of a fault by
(1 - e) / e.  The next visit for the same sign divides them again: a device that is merely odd is not called each
fortnight for ever, and one that was misjudged is called once more, if its sign is strong.  A suspicion that has
subsided is over, and a new one owes little to what was found of the last: from a day after the device was last
suspected, doubt halves in each ``half_life_s``.  Codes that stood at the visit are doubted altogether, codes that came
since not at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cloud.detection.calibration import WRONG
from cloud.detection.growing import grow
from cloud.detection.records import Bools, Floats, Ints
from cloud.detection.suspicion import SUSPECTED

REFUTED = math.log((1.0 - WRONG) / WRONG)  # log odds that one finding takes
SUBSIDED_S = 86400.0
NEGLIGIBLE = 0.1


@dataclass(slots=True)
class Doubt:
    """``log_odds`` that were taken off by event time ``held_at``, and when the ticket was raised that was refuted."""

    log_odds: float
    held_at: float
    refuted_at: float


class Doubts:
    """The doubts about the devices of a family, by row."""

    def __init__(self) -> None:
        self.of_row: dict[int, Doubt] = {}
        self.doubted: Bools = np.zeros(0, np.bool_)

    def grow(self, devices: int) -> None:
        """Room for at least ``devices`` rows."""
        grow(self, ("doubted",), devices)

    def refuted(self, row: int, at: float, known_at: float) -> None:
        """A visit for the ticket of ``at`` found nothing, which became known at ``known_at``."""
        before = self.of_row.get(row)
        self.of_row[row] = Doubt((before.log_odds if before else 0.0) + REFUTED, known_at, at)
        self.doubted[row] = True

    def forget(self, row: int) -> None:
        """A fault was found or repaired after all."""
        if self.of_row.pop(row, None):
            self.doubted[row] = False

    def lessen(self, rows: Ints, at: Floats, probability: Floats, half_life_s: float) -> None:
        """Take the doubts about ``rows`` at event times ``at`` off their ``probability`` (n,), in place."""
        for i in np.flatnonzero(self.doubted[rows]).tolist():
            doubt, p = self.of_row[int(rows[i])], float(probability[i])
            subsided = max(float(at[i]) - doubt.held_at - SUBSIDED_S, 0.0)
            left = doubt.log_odds * 0.5 ** (subsided / half_life_s)
            if left < NEGLIGIBLE:
                self.forget(int(rows[i]))
                continue
            if p >= SUSPECTED:
                doubt.log_odds, doubt.held_at = left, max(float(at[i]), doubt.held_at)
            probability[i] = p / (p + (1.0 - p) * math.exp(left)) if p > 0.0 else 0.0

    def undoubted(self, row: int, standing: dict[str, float]) -> dict[str, float]:
        """Those of the standing codes that came after the last visit that found nothing."""
        doubt = self.of_row.get(row)
        if doubt is None:
            return standing
        return {code: since for code, since in standing.items() if since > doubt.refuted_at}
