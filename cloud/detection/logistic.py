"""Bayesian logistic regression, online: from features to a probability that knows how little it was taught.

Weights have a Gaussian posterior N(m, L^-1).  A batch of outcomes y in {0, 1} of feature vectors X (n, k) with
weights w moves it to the Laplace approximation about the new mode (Spiegelhalter and Lauritzen 1990), found
by Newton's method::

    g = X' w (y - p) - L (m' - m),   H = L + X' diag(w p (1 - p)) X,   m' <- m' + H^-1 g,   L <- H

A step that would move the log odds of an outcome by more than ``STRIDE`` is shortened to that: far from the mode
Newton's method leaps beyond it.  A prediction integrates over the posterior by MacKay's (1992) approximation,
p = logistic(m'x / sqrt(1 + pi v / 8)) with v = x' L^-1 x: what little is known of pulls towards one half, and the
intercept's prior keeps the unknown improbable.  Before each batch the precision forgets a share, towards the
prior's.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

from cloud.detection.records import Bools, Floats

BOUND = 30.0
STEPS, STRIDE = 25, 3.0


class BayesianLogistic:
    """Probability of an outcome from ``width`` features.

    ``base``: log odds where all features are 0, before any outcome, known to ``base_spread``.  ``spread``: standard
    deviation of a weight's prior, whose mean is 0.  ``forgetting``: share of the precision that a batch lets go.
    The first ``opinions`` features are the log odds, less ``base``, that somebody else states: they begin with the
    weight 1, known to ``opinion_spread``, so that the model starts as their word and is taught the rest.
    """

    def __init__(  # noqa: PLR0917 - its prior, one figure each
        self,
        width: int,
        opinions: int = 0,
        base: float = -5.0,
        base_spread: float = 2.0,
        spread: float = 0.7,
        opinion_spread: float = 1.0,
        forgetting: float = 0.002,
    ) -> None:
        own = width - opinions
        self.base = base
        self.mean = np.concatenate([[base], np.ones(opinions), np.zeros(own)])
        spreads = np.concatenate([[base_spread], np.full(opinions, opinion_spread), np.full(own, spread)])
        self.prior = spreads**-2
        self.precision = np.diag(self.prior)
        self.covariance = np.diag(1.0 / self.prior)
        self.forgetting = forgetting

    def probability(self, features: Floats) -> Floats:
        """Of each row of ``features`` (n, width): shape (n,)."""
        x = _with_intercept(features)
        variance = ((x @ self.covariance) * x).sum(axis=1)
        return _logistic(x @ self.mean / np.sqrt(1.0 + np.pi * np.maximum(variance, 0.0) / 8.0))

    def opinion(self, probability: Floats) -> Floats:
        """What somebody's probability is as a feature: its log odds above ``base``, 0 below."""
        bounded = np.minimum(np.maximum(probability, 1e-6), 1.0 - 1e-3)
        return np.asarray(np.maximum(np.log(bounded / (1.0 - bounded)) - self.base, 0.0))

    def learn(self, features: Floats, came_true: Bools, weights: Floats) -> None:
        """Outcomes (n,) of ``features`` (n, width), each with its weight."""
        with _linear_algebra().limit(limits=1):  # threads cost more than they give on matrices of a hundred
            self._learn(_with_intercept(features), came_true, weights)

    def _learn(self, x: Floats, came_true: Bools, weights: Floats) -> None:
        if self.forgetting:
            self.precision *= 1.0 - self.forgetting
            self.precision[np.diag_indices_from(self.precision)] += self.forgetting * self.prior
        start, mode, hessian = self.mean, self.mean.copy(), self.precision
        for _ in range(STEPS):
            p = _logistic(x @ mode)
            hessian = self.precision + (x * (weights * p * (1.0 - p))[:, None]).T @ x
            gradient = x.T @ (weights * (came_true - p)) - self.precision @ (mode - start)
            step = np.linalg.solve(hessian, gradient)
            stride = float(np.abs(x @ step).max(initial=0.0))
            mode += step * min(1.0, STRIDE / max(stride, 1e-12))
            if stride < 1e-2:
                break
        self.mean, self.precision = mode, hessian
        self.covariance = np.linalg.inv(hessian)


@cache
def _linear_algebra() -> ThreadpoolController:
    return ThreadpoolController()


def _with_intercept(features: Floats) -> Floats:
    return np.concatenate([np.ones((len(features), 1)), features], axis=1)


def _logistic(log_odds: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * np.minimum(np.maximum(log_odds, -BOUND), BOUND)))
