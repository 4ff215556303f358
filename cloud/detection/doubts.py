"""What a visit did not find counts against the suspicion that sent it, as long as that suspicion lasts.

A finding of "no fault" is wrong with a share e of them (``calibration.WRONG``), so it divides the odds of a fault by
(1 - e) / e.  The next visit for the same sign divides them again: a device that is merely odd is not called each
fortnight for ever, and one that was misjudged is called once more, if its sign is strong.

What was found speaks of the sign as it was.  A fault grows, where a device that is merely odd stays as it is: doubt
halves with each unit of log odds by which the sign has outgrown what it was within ``SEEN_S`` of the ticket.
A suspicion that has subsided is over, and a new one owes little to what was found of the last: from a day after the
device was last suspected, doubt halves in each ``half_life_s``.  Codes that stood at the visit are doubted altogether,
codes that came since not at all.
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
SEEN_S = 3 * 86400.0  # from the ticket to the visit, about
FORGOTTEN_S = 180 * 86400.0  # no finding is waited for any longer
NEGLIGIBLE = 0.1
UNCALLED = 0.0  # log odds of a sign for which nobody called
LEAST = 1e-6  # and most: no probability is surer


@dataclass(slots=True)
class Sign:
    """What a ticket of event time ``at`` was raised for: the greatest log odds of a fault within ``SEEN_S``."""

    at: float
    log_odds: float


@dataclass(slots=True)
class Doubt:
    """``log_odds`` that were taken off by event time ``held_at``, when the ticket was raised that was refuted, and the
    log odds of its sign."""

    log_odds: float
    held_at: float
    refuted_at: float
    sign: float


class Doubts:
    """The doubts about the devices of a family, by row."""

    def __init__(self) -> None:
        self.of_row: dict[int, Doubt] = {}
        self.signs: dict[int, list[Sign]] = {}  # of tickets, for the findings that may still come
        self.concerned: Bools = np.zeros(0, np.bool_)  # rows with a doubt, or a sign that is still looked at

    def grow(self, devices: int) -> None:
        """Room for at least ``devices`` rows."""
        grow(self, ("concerned",), devices)

    def ticketed(self, row: int, at: float, probability: float) -> None:
        """A ticket was raised."""
        signs = [sign for sign in self.signs.get(row, ()) if at - sign.at < FORGOTTEN_S]
        self.signs[row] = [*signs, Sign(at, _log_odds(probability))]
        self.concerned[row] = True

    def refuted(self, row: int, at: float, known_at: float) -> None:
        """A visit for the ticket of ``at`` found nothing, which became known at ``known_at``."""
        before = self.of_row.get(row) or Doubt(0.0, known_at, at, UNCALLED)
        signs = [sign.log_odds for sign in self.signs.get(row, ()) if sign.at <= at]
        self.of_row[row] = Doubt(before.log_odds + REFUTED, known_at, at, max([before.sign, *signs[-1:]]))
        self.concerned[row] = True

    def forget(self, row: int) -> None:
        """A fault was found or repaired after all."""
        self.of_row.pop(row, None)
        self.signs.pop(row, None)
        self.concerned[row] = False

    def lessen(self, rows: Ints, at: Floats, probability: Floats, half_life_s: float) -> None:
        """Take the doubts about ``rows`` at event times ``at`` off their ``probability`` (n,), in place."""
        for i in np.flatnonzero(self.concerned[rows]).tolist():
            row, now, p = int(rows[i]), float(at[i]), float(probability[i])
            sign, doubt = _log_odds(p), self.of_row.get(row)
            looked_at = self._look(row, now, sign)
            if doubt is None:
                self.concerned[row] = looked_at
                continue
            subsided = max(now - doubt.held_at - SUBSIDED_S, 0.0)
            left = doubt.log_odds * 0.5 ** (subsided / half_life_s)
            if left < NEGLIGIBLE:
                del self.of_row[row]
                continue
            if p >= SUSPECTED:
                doubt.log_odds, doubt.held_at = left, max(now, doubt.held_at)
            left *= 0.5 ** max(sign - doubt.sign, 0.0)
            probability[i] = p / (p + (1.0 - p) * math.exp(left)) if p > 0.0 else 0.0

    def _look(self, row: int, at: float, sign: float) -> bool:
        """Follow the sign of the row's last ticket; whether it is still to be followed."""
        signs = self.signs.get(row)
        if not signs or at - signs[-1].at > SEEN_S:
            return False
        signs[-1].log_odds = max(signs[-1].log_odds, sign)
        return True

    def undoubted(self, row: int, standing: dict[str, float]) -> dict[str, float]:
        """Those of the standing codes that came after the last visit that found nothing."""
        doubt = self.of_row.get(row)
        if doubt is None:
            return standing
        return {code: since for code, since in standing.items() if since > doubt.refuted_at}


def _log_odds(p: float) -> float:
    p = min(max(p, LEAST), 1.0 - LEAST)
    return math.log(p / (1.0 - p))
