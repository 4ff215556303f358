"""The detector: records in, judgements out, outcomes back in.  Pure: no clock, no I/O, no threads.

The interface, which stays as it is::

    engine = Engine(EngineSettings(), seed=0)
    judgements = engine.observe(block)        # Judgements: one a row, in row order; .raised() = tickets due
    engine.learn(outcome)                     # a finding or failure, with when it was and when it became known
    blob = engine.checkpoint()                # bytes
    engine = Engine.restore(blob)             # bit for bit

``observe`` takes rows in event-time order: what :class:`~cloud.detection.watermark.Watermark` releases.
The same sequence of blocks and outcomes gives the same judgements, bit for bit, and so do the same
blocks after a checkpoint and a restore.  Rows that are not newer than the device's last are not judged
again: they are counted in ``engine.stale_rows`` and answered with the device's last score.

Outcomes are given when they become known: ``learn`` may be called at any point between blocks, and takes
effect from the next block on.  A replay calls it at the same point of event time (``known_at``).
"""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np

from cloud.detection.bank import ChannelBank
from cloud.detection.judgement import ANOMALY, ChannelReason, Judgement, Judgements, Reason, no_judgements
from cloud.detection.records import Outcome, RecordBlock, roles_of
from cloud.detection.settings import EngineSettings

TICKET_SCORE = 0.5


class Engine:
    """One detector for all families of appliances of a partition (or of the whole fleet)."""

    def __init__(self, settings: EngineSettings | None = None, seed: int = 0) -> None:
        self.settings = settings or EngineSettings()
        self.seed = seed
        self.stale_rows: Counter[str] = Counter()
        self.outcomes: list[Outcome] = []
        self._families: dict[tuple[str, ...], ChannelBank] = {}
        self._row: dict[str, int] = {}
        self._last: dict[str, tuple[float, float]] = {}
        self._ticketed: dict[str, float] = {}

    def observe(self, block: RecordBlock) -> Judgements:
        """Judge each row of the block."""
        if not len(block.devices):
            return no_judgements()
        roles = roles_of(block.channels)
        names = tuple(name for _, name in roles.telemetry)
        bank = self._families.setdefault(
            names, ChannelBank(len(names), self.settings.spans, self.settings.memory_samples)
        )
        scores = np.zeros(len(block.devices))
        raised: dict[int, Judgement] = {}
        for i, device in enumerate(block.devices):
            at = float(block.times[i])
            before = self._last.get(device)
            if before and at <= before[0]:
                self.stale_rows[device] += 1
                scores[i] = before[1]
                continue
            row = self._row.setdefault(device, len(self._row))
            bank.grow(row + 1)
            reading = bank.observe(np.array([row]), block.values[i : i + 1, roles.telemetry_columns])
            warm = bank.count[row].max(initial=0) >= self.settings.warmup_samples
            scores[i] = 1 / (1 + np.exp(8.0 - reading.distance[0])) if warm else 0.0
            self._last[device] = (at, float(scores[i]))
            if scores[i] >= TICKET_SCORE and at - self._ticketed.get(device, -1e18) >= self.settings.refractory_s:
                self._ticketed[device] = at
                far = np.argsort(-np.abs(reading.z[0]))[:3]
                why = tuple(ChannelReason(names[c], float(reading.z[0, c]), 1.0, at) for c in far)
                raised[i] = self._judgement(device, at, float(scores[i]), True, Reason(why))
        return Judgements(
            block.devices,
            block.times,
            scores,
            scores,
            np.array([i in raised for i in range(len(scores))]),
            raised,
            lambda i: self._judgement(block.devices[i], float(block.times[i]), float(scores[i]), False, Reason()),
        )

    def learn(self, outcome: Outcome) -> None:
        """Take an outcome when it becomes known."""
        self.outcomes.append(outcome)

    def checkpoint(self) -> bytes:
        """The whole state."""
        return pickle.dumps(self, protocol=5)

    @classmethod
    def restore(cls, blob: bytes) -> Engine:
        """An engine that goes on as if it had never stopped."""
        found = pickle.loads(blob)  # noqa: S301 - our own checkpoint, see cloud.detection.checkpoint
        if not isinstance(found, cls):
            raise TypeError(f"not an engine's checkpoint: {type(found).__name__}")
        return found

    def _judgement(self, device: str, at: float, score: float, ticket: bool, reason: Reason) -> Judgement:
        return Judgement(
            device, at, ANOMALY, score, score, self.settings.horizon_s, ticket, True, 1.0, None, reason
        )
