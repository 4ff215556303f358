"""The project's engine as a contestant: its public interface behind the port."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.simulator.port import Answer, Label, Tick
from cloud.detection.engine import Engine
from cloud.detection.records import DeviceEvent, EventKind, Outcome, RecordBlock, Verdict
from cloud.detection.settings import EngineSettings

WORTH_MENTIONING = 0.01


class EngineEntry:
    """``stated`` holds each device's latest probability (NaN before its first record)."""

    def __init__(self, devices: Sequence[str], settings: EngineSettings | None = None, seed: int = 0) -> None:
        self.engine = Engine(settings or EngineSettings(), seed=seed)
        self.numbers = {device: number for number, device in enumerate(devices)}
        self.stated = np.full(len(devices), np.nan)
        self.learns = True
        self._replaced: list[tuple[str, str]] = []

    def frozen(self) -> EngineEntry:
        """A copy that goes on judging and learns from no outcome any more."""
        twin = EngineEntry(list(self.numbers), self.engine.settings, self.engine.seed)
        twin.engine = Engine.restore(self.engine.checkpoint())
        twin.stated = self.stated.copy()
        twin.learns = False
        return twin

    def observe(self, tick: Tick) -> Answer:
        """See :class:`~benchmarks.simulator.port.Detector`."""
        events = [DeviceEvent(tick.start, device, EventKind.PART_REPLACED, part) for device, part in self._replaced]
        self._replaced.clear()
        for code in tick.codes:
            kind = EventKind.CODE_RAISED if code.raised else EventKind.CODE_CLEARED
            events.append(DeviceEvent(code.at, code.device, kind, code.code))
        calls: list[int] = []
        numbers, scores = [np.zeros(0, np.int64)], [np.zeros(0)]
        if not tick.blocks:
            self.engine.observe(RecordBlock((), np.zeros(0), (), np.zeros((0, 0)), events))
        for block in tick.blocks:
            values = block.values.astype(np.float64)
            found = self.engine.observe(
                RecordBlock(block.devices, block.times, block.channels, values, events, block.model)
            )
            events = []
            self.stated[block.numbers] = found.probabilities
            calls.extend(self.numbers[judgement.device] for judgement in found.raised())
            worth = np.flatnonzero(found.scores >= WORTH_MENTIONING)
            numbers.append(block.numbers[worth])
            scores.append(found.scores[worth])
        woken = self.engine.wake(tick.end)
        calls.extend(self.numbers[judgement.device] for judgement in woken.raised())
        numbers.append(np.array([self.numbers[device] for device in woken.devices], np.int64))
        scores.append(woken.scores)
        return Answer(calls, np.concatenate(numbers), np.concatenate(scores))

    def learn(self, label: Label) -> None:
        """See :class:`~benchmarks.simulator.port.Detector`."""
        repaired = label.verdict == "failure" and label.kind
        if repaired:
            self._replaced.append((label.device, label.kind))
        if self.learns:
            self.engine.learn(
                Outcome(label.device, label.at, label.known_at, Verdict(label.verdict), label.kind, label.asked_with)
            )

    def checks(self, at: float) -> Sequence[tuple[int, float]]:
        """See :class:`~benchmarks.simulator.port.Detector`."""
        share = self.engine.settings.random_check_share
        return [(self.numbers[device], share) for device in self.engine.random_checks(at)]
