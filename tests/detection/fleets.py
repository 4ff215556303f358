"""Synthetic families for the detector's tests: channels, codes, steps and fault rules of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cloud.detection.engine import Engine
from cloud.detection.records import Outcome, RecordBlock, Verdict


@dataclass
class Family:
    """``faults`` give the channel that drifts, by how many sigmas, and the code that comes half-way.  With ``modes``
    every device is in one of so many at each step: each moves all channels, and ``inlet`` is constant in each."""

    channels: tuple[str, ...] = ("flow", "torque", "hiss")
    codes: tuple[str, ...] = ("Q1", "Q2", "Q3")
    scale: float = 1.0
    offset: float = 0.0
    step_s: float = 3600.0
    devices: int = 12
    steps: int = 2400
    faults: tuple[tuple[int, float, int], ...] = ((0, 1.6, 0), (1, -1.6, 1))
    fault_every: int = 500
    modes: int = 0
    seed: int = 3

    def play(self, feedback: bool) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
        """Tickets and failures, as (device, step), of an engine that watches this family."""
        rng = np.random.default_rng(self.seed)
        engine = Engine()
        names = [f"x{i}" for i in range(self.devices)]
        duty = ("op.duty", "inlet") if self.modes else ()
        channels = (*self.channels, *duty, *(f"code.{c}" for c in self.codes))
        levels = rng.normal(0.0, 50.0, (self.modes, len(self.channels)))
        failing_at = rng.integers(200, self.fault_every + 200, self.devices)
        which = rng.integers(0, len(self.faults), self.devices)
        tickets, failures = [], []
        for k in range(self.steps):
            values = rng.normal(size=(self.devices, len(self.channels)))
            codes = (rng.random((self.devices, len(self.codes))) < 0.003).astype(float)
            failed = []
            for d in range(self.devices):
                left = failing_at[d] - k
                channel, size, code = self.faults[which[d]]
                if 0 < left <= 48:
                    values[d, channel] += size
                if left == 24:
                    codes[d, code] = 1.0
                if left == 0:
                    failed.append(d)
                    failing_at[d] = k + int(rng.integers(self.fault_every // 2, self.fault_every * 3 // 2))
                    which[d] = rng.integers(0, len(self.faults))
            readings = self.offset + self.scale * values
            if self.modes:
                mode = rng.integers(0, self.modes, self.devices)
                readings = np.column_stack([readings + self.scale * levels[mode], 7.0 * mode, 518.67 / (1.0 + mode)])
            at = 1.7e9 + k * self.step_s
            block = RecordBlock(names, np.full(self.devices, at), channels, np.concatenate([readings, codes], axis=1))
            tickets += [(j.device, k) for j in engine.observe(block).raised()]
            for d in failed:
                failures.append((names[d], k))
                if feedback:
                    engine.learn(Outcome(names[d], at, at, Verdict.FAILURE, f"fault{which[d]}"))
        return tickets, failures


def caught(tickets: list[tuple[str, float]], failures: list[tuple[str, float]], lead: int = 12, horizon: int = 72):
    """Failures foreseen in time, and tickets with no failure behind them."""
    hit = {f for f in failures for t in tickets if t[0] == f[0] and lead <= f[1] - t[1] <= horizon}
    wrong = [t for t in tickets if not any(f[0] == t[0] and -24 <= f[1] - t[1] <= horizon for f in failures)]
    return hit, wrong


def noise_block(k: int, devices: int = 3, width: int = 3, seed: int = 0) -> RecordBlock:
    """Step ``k`` of a quiet family, one hour a step."""
    rng = np.random.default_rng((seed, k))
    names = [f"d{i}" for i in range(devices)]
    return RecordBlock(
        names, np.full(devices, 1.7e9 + k * 3600.0), tuple("abcdefgh"[:width]), rng.normal(size=(devices, width))
    )
