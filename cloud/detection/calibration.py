"""Online calibration: from a statistic to a probability, taught by outcomes.

``Platt``: logistic regression with an intercept and a slope (Platt 1999) under a Gaussian prior, updated
outcome by outcome by the extended Kalman step of Bayesian logistic regression (Spiegelhalter and
Lauritzen 1990).  Before any outcome the prior speaks: what the statistic is worth in general.  Some
outcomes are wrong: with a share e of them, P(outcome) = e + (1 - 2e) p, so that one that contradicts a near
certainty moves little.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cloud.detection.records import Floats

WRONG = 0.02  # share of outcomes that say the opposite of the truth [K]


@dataclass
class Platt:
    """P(fault | statistic u) = 1 / (1 + exp(-(a + b u))), with the prior a + b u = slope * (u - centre)."""

    centre: float
    slope: float
    weight: Floats = field(init=False)
    covariance: Floats = field(init=False)
    outcomes: float = 0.0

    def __post_init__(self) -> None:
        self.weight = np.array([-self.slope * self.centre, self.slope])
        # by one outcome the intercept moves by half a unit at most, the slope hardly
        self.covariance = np.diag([1.0, (self.slope / 4.0) ** 2])

    def probability(self, u: Floats) -> Floats:
        """Elementwise, for any shape."""
        intercept, slope = self.weight.tolist()
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * (intercept + slope * u)))  # the logistic function, without overflow

    def learn(self, u: float, positive: bool, share: float = 1.0) -> None:
        """One outcome of a statistic that stood at ``u``; ``share`` weighs it."""
        x = np.array([1.0, u])
        p = float(self.probability(np.array(u)))
        heard = WRONG + (1.0 - 2.0 * WRONG) * p
        trust = (1.0 - 2.0 * WRONG) * p * (1.0 - p) / (heard * (1.0 - heard))  # 1 unless p is near 0 or 1
        information = share * max(trust * p * (1.0 - p), 1e-3)
        gain = self.covariance @ x
        self.covariance -= np.outer(gain, gain) * (information / (1.0 + information * float(x @ gain)))
        self.weight = self.weight + self.covariance @ x * (share * trust * (float(positive) - heard))
        self.weight[1] = max(self.weight[1], 0.1 * self.slope)  # more surprise is never less likely a fault
        self.outcomes += share
