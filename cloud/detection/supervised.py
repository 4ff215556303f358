"""The supervised part of the detector: from a device's portrait to the probability that it has a fault.

Taught by findings and failures through *snapshots*: portraits of devices taken once a day, all of those that
show something, a share of those that do not (with the inverse share as weight).  Each is learnt once, at the
same age, when an outcome either way would be known: right if the device failed or a fault was confirmed
soon after it, wrong otherwise.  One age for both: if failures taught as soon as they came and
health only when its time was over, the first few failures would teach that everything is a sign of failure.
A visit that found nothing teaches at once.

*Soon* is within ``longest_s``, because a fault that takes months to break something is there for weeks before;
but within a tenth of the mean time between a device's failures, if that is shorter: where devices fail each
month, to have failed within four weeks says nothing.  It is never less than ``horizon_s``.

The model is told what the conjunctions say and starts as their word.  It speaks instead of them once it has
shown itself: enough faults, and calls that would have been worth more, prequentially.  A smaller log loss is
not enough: a model can be right about days and still make more needless calls.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from cloud.detection.growing import grow
from cloud.detection.logistic import BayesianLogistic
from cloud.detection.records import Bools, Floats, Ints

DAY_S = 86400.0
CALM_SHARE = 1.0 / 64.0
DAILY_WORTH = 0.4  # of one day's portrait as an outcome: the next day's is much the same [K]
BATCH = 256  # snapshots learnt at once; fewer are learnt when they have waited for a day
TRUSTED_AFTER = 10  # faults
AHEAD = 2.0  # right calls by which the model must lead before it speaks
NEEDLESS = 0.5  # what a needless call costs, in what a right one saves [K]
REMEMBERED = 0.995
CALLS = 0.5
LIKE = 0.6  # cosine above which two portraits are of one kind [K]
SHARE_OF_LIFE = 0.1


@dataclass(slots=True)
class Snapshot:
    """A device's portrait at ``at``, whether the model and the conjunctions began to call for it, and what
    became of it: when a fault came first (+inf: none yet) and of which kind, or ``refuted``."""

    row: int
    at: float
    portrait: Floats
    weight: float
    called: tuple[bool, bool]
    fault_at: float = np.inf
    kind: str = ""
    refuted: bool = False
    outcome_weight: float = 1.0


@dataclass(slots=True)
class Record:
    """What the calls of the model and of the conjunctions would have been worth so far, in right calls; old ones
    count less and less."""

    model: float = 0.0
    otherwise: float = 0.0

    def add(self, called: tuple[bool, bool], came_true: bool) -> None:
        """What became of a snapshot at which one of them, or both, began to call."""
        if not any(called):
            return
        worth = 1.0 if came_true else -NEEDLESS
        self.model = REMEMBERED * self.model + worth * called[0]
        self.otherwise = REMEMBERED * self.otherwise + worth * called[1]


class Supervised:
    """Snapshots and the model of one family.  ``settle_s``: age beyond ``longest_s`` at which outcomes are in."""

    def __init__(self, features: int, horizon_s: float, longest_s: float, settle_s: float) -> None:
        self.horizon_s, self.longest_s, self.settle_s = horizon_s, max(longest_s, horizon_s), settle_s
        self.faults = 0.0
        self.watched_s = 0.0
        self.model = BayesianLogistic(features + 1, opinions=1)
        self.record = Record()
        self.open: deque[Snapshot] = deque()
        self.due: list[tuple[Snapshot, bool]] = []
        self.of_row: dict[int, list[Snapshot]] = {}
        self.taken_on = np.zeros(0)
        self.kinds: dict[str, Floats] = {}  # mean portrait of the faults of each kind, unscaled
        self.calling = np.zeros((0, 2), np.bool_)  # whether the model, and the conjunctions, called at last

    def grow(self, devices: int) -> None:
        """Room for at least ``devices`` rows."""
        grow(self, ("taken_on",), devices, -np.inf)
        grow(self, ("calling",), devices)

    def trusted(self) -> bool:
        """Whether the model has shown itself."""
        return self.faults >= TRUSTED_AFTER and self.record.model >= self.record.otherwise + AHEAD

    def soon(self) -> float:
        """How long after a snapshot a fault counts for it, seconds (module docstring)."""
        return min(max(SHARE_OF_LIFE * self.watched_s / (self.faults + 1.0), self.horizon_s), self.longest_s)

    def state(  # noqa: PLR0917 - one array each
        self, rows: Ints, at: Floats, portraits: Floats, stirred: Bools, otherwise: Floats, known_faulty: Bools
    ) -> Floats:
        """Probability of a fault of each row, by the model; takes the day's snapshots, but for devices of which a
        fault is known already."""
        if len(at):
            self._learn_due(float(at[-1]))
        portraits = np.concatenate([self.model.opinion(otherwise)[:, None], portraits], axis=1)
        probability = self.model.probability(portraits)
        day = np.floor(at / DAY_S)
        first = self.taken_on[rows] < day  # statement of the device on this day
        self.watched_s += DAY_S * float(first.sum())
        calls, called_before = np.stack([probability >= CALLS, otherwise >= CALLS], axis=1), self.calling[rows]
        begun = calls & ~called_before
        self.calling[rows] = np.where(first[:, None], calls, called_before)
        self.taken_on[rows] = np.maximum(self.taken_on[rows], day)
        for i in np.flatnonzero(first & ~known_faulty & (stirred | (_lot(rows, day) < CALM_SHARE))).tolist():
            row = int(rows[i])
            weight = 1.0 if stirred[i] else 1.0 / CALM_SHARE
            called = (bool(begun[i, 0]), bool(begun[i, 1]))
            snapshot = Snapshot(row, float(at[i]), portraits[i].astype(np.float32), weight, called)
            self.open.append(snapshot)
            self.of_row.setdefault(row, []).append(snapshot)
        return probability

    def kind_of(self, portrait: Floats) -> str:
        """The kind of fault whose portraits this one is most like (by cosine), empty if it is like none."""
        best, likeness = "", LIKE
        size = float(np.linalg.norm(portrait))
        for kind, mean in self.kinds.items():
            found = float(portrait @ mean) / (size * float(np.linalg.norm(mean)) + 1e-12)
            if found > likeness:
                best, likeness = kind, found
        return best

    # -- outcomes ------------------------------------------------------------------------------------
    def right(self, row: int, at: float, known_at: float, kind: str, weight: float) -> None:
        """The device failed at ``at``, or a visit for ``at`` found a fault, of a ``kind`` where that was said.  The
        fault was there until that became known."""
        self.faults += 1.0
        for snapshot in self.of_row.get(row, ()):
            if snapshot.at <= known_at and max(at, snapshot.at) < snapshot.fault_at:
                snapshot.fault_at, snapshot.kind, snapshot.outcome_weight = max(at, snapshot.at), kind, weight

    def wrong(self, row: int, at: float, weight: float) -> None:
        """A visit for ``at`` found nothing: the snapshot of then was wrong."""
        before = [s for s in self.of_row.get(row, ()) if s.at <= at and not s.refuted]
        if before:
            before[-1].refuted, before[-1].outcome_weight = True, weight
            self._learn(before[-1], False)

    def _learn_due(self, now: float) -> None:
        due, soon = now - self.longest_s - self.settle_s, self.soon()
        while self.open and self.open[0].at <= due:
            snapshot = self.open.popleft()
            held = self.of_row[snapshot.row]
            held.remove(snapshot)
            if not held:
                del self.of_row[snapshot.row]
            if not snapshot.refuted:
                self._learn(snapshot, snapshot.fault_at - snapshot.at <= soon)
        if self.due and (len(self.due) >= BATCH or self.due[0][0].at <= due - DAY_S):
            self._learn_batch()

    def _learn(self, snapshot: Snapshot, came_true: bool) -> None:
        self.record.add(snapshot.called, came_true)
        if came_true and snapshot.kind:
            self.kinds[snapshot.kind] = 0.95 * self.kinds.get(snapshot.kind, 0.0) + snapshot.portrait[1:]
        self.due.append((snapshot, came_true))

    def _learn_batch(self) -> None:
        portraits = np.array([s.portrait for s, _ in self.due], np.float64)
        weights = np.array([s.weight * s.outcome_weight for s, _ in self.due])
        self.model.learn(portraits, np.array([came_true for _, came_true in self.due]), DAILY_WORTH * weights)
        self.due.clear()


def _lot(rows: Ints, day: Floats) -> Floats:
    """A number in [0, 1) for each device and day, always the same (splitmix64)."""
    with np.errstate(over="ignore"):
        z = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + day.astype(np.int64).astype(np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
