"""Supervised models of a fault within the horizon, behind one port, and which of them is believed.

A model sees the *features* of a device (its literals as 1.0, and figures such as ``surprise``), states a
probability, and is told later what came of it.  ``RiverLogistic`` is river's online logistic regression on
scaled features; ``LiteralRates`` counts, for reference.  ``Believed`` runs a model beside the conjunctions
prequentially and lets it speak, with half the weight (linear pool), only once it has shown itself: at least
``failures`` failures seen, and a log loss a tenth smaller than the conjunctions had on the same statements.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

from river import linear_model, optim, preprocessing

Features = dict[str, float]


class FaultModel(Protocol):
    """What every model offers.  Unknown features count as 0; NaN and infinities are ignored."""

    def probability(self, features: Features) -> float:
        """Of a failure within the horizon, 0..1."""

    def learn(self, features: Features, failed: bool, weight: float = 1.0) -> None:
        """What came of a statement on these features."""


def finite(features: Features) -> Features:
    """Features without what is not a number, bounded, in a fixed order."""
    return {k: min(max(v, -1e6), 1e6) for k, v in sorted(features.items()) if math.isfinite(v)}


class RiverLogistic:
    """Logistic regression, stochastic gradient, L2 penalty (river), on standardised features."""

    def __init__(self, rate: float = 0.02, penalty: float = 1e-4) -> None:
        self.scaler: Any = preprocessing.StandardScaler()
        self.regression: Any = linear_model.LogisticRegression(optimizer=optim.SGD(rate), l2=penalty)

    def probability(self, features: Features) -> float:
        """See :class:`FaultModel`."""
        scaled = finite(self.scaler.transform_one(finite(features)))
        return float(self.regression.predict_proba_one(scaled).get(True, 0.5))

    def learn(self, features: Features, failed: bool, weight: float = 1.0) -> None:
        """See :class:`FaultModel`."""
        known = finite(features)
        self.scaler.learn_one(known)
        scaled = {k: min(max(v, -6.0), 6.0) for k, v in finite(self.scaler.transform_one(known)).items()}
        self.regression.learn_one(scaled, failed, w=weight)


class LiteralRates:
    """The mean failure rate of the features that are on: the simplest thing that could work."""

    def __init__(self, prior: float = 0.05, weight: float = 5.0) -> None:
        self.prior, self.weight = prior, weight
        self.counts: dict[str, tuple[float, float]] = {}

    def probability(self, features: Features) -> float:
        """See :class:`FaultModel`."""
        on = [self.counts.get(k, (0.0, 0.0)) for k, v in finite(features).items() if v > 0]
        rates = [(self.weight * self.prior + hit) / (self.weight + n) for hit, n in on]
        return max(rates, default=self.prior)

    def learn(self, features: Features, failed: bool, weight: float = 1.0) -> None:
        """See :class:`FaultModel`."""
        for k, v in finite(features).items():
            if v > 0:
                hit, n = self.counts.get(k, (0.0, 0.0))
                self.counts[k] = (hit + weight * failed, n + weight)


@dataclass(slots=True)
class Statement:
    """What was said of a device at event time ``at``, by both."""

    device: str
    at: float
    features: Features
    by_conjunctions: float
    by_model: float


@dataclass
class Believed:
    """A model beside the conjunctions (module docstring).  ``horizon_s`` decides when silence is known."""

    horizon_s: float
    model: FaultModel = field(default_factory=RiverLogistic)
    failures: int = 50
    seen_failures: int = 0
    loss_of_conjunctions: float = 0.0
    loss_of_model: float = 0.0
    open: deque[Statement] = field(default_factory=deque)

    def state(self, device: str, at: float, features: Features, by_conjunctions: float) -> float:
        """The probability to state, and remember what was said."""
        by_model = self.model.probability(features)
        if len(self.open) < 20000:
            self.open.append(Statement(device, at, features, by_conjunctions, by_model))
        return 0.5 * (by_model + by_conjunctions) if self.trusted() else by_conjunctions

    def trusted(self) -> bool:
        """Whether the model speaks."""
        return self.seen_failures >= self.failures and self.loss_of_model < 0.9 * self.loss_of_conjunctions

    def failed(self, device: str, at: float, weight: float) -> None:
        """The device failed at ``at``: statements of it within the horizon before came true."""
        self.seen_failures += 1
        mine = [s for s in self.open if s.device == device]
        self.open = deque(s for s in self.open if s.device != device)
        for statement in mine:
            self._learn(statement, at - statement.at <= self.horizon_s, weight)

    def settle(self, at: float, silence_is_health: float) -> None:
        """Statements older than the horizon did not come true."""
        while self.open and at - self.open[0].at > self.horizon_s:
            statement = self.open.popleft()
            if silence_is_health > 0:
                self._learn(statement, False, silence_is_health)

    def _learn(self, statement: Statement, failed: bool, weight: float) -> None:
        self.loss_of_conjunctions = 0.999 * self.loss_of_conjunctions + weight * _loss(
            statement.by_conjunctions, failed
        )
        self.loss_of_model = 0.999 * self.loss_of_model + weight * _loss(statement.by_model, failed)
        self.model.learn(statement.features, failed, weight)


def _loss(p: float, failed: bool) -> float:
    return -math.log(min(max(p if failed else 1.0 - p, 1e-3), 1.0))
