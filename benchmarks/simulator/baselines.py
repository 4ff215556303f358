"""What a maker has without a detector: the appliance's own codes, and fixed limits.

Both only score; the benchmark reads off, in hindsight, the threshold at which each makes just as many false calls as
is allowed.  That favours them: an online detector must choose its threshold without looking ahead.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulator.people import DAY_S
from benchmarks.simulator.port import Answer, Label, Tick, nothing

FORTNIGHT_S = 14 * DAY_S
CODE_RULES = (
    "any report of a code",
    "the same code twice in a fortnight",
    "three times in a fortnight",
    "a code stands for an hour",
    "a code stands for two hours",
    "a code stands for six hours",
    "a code stands for a day",
)
_STANDS_H = (1.0, 2.0, 6.0, 24.0)


class ReportedCodes:
    """Reported fault codes only. The score is the strictest rule of ``CODE_RULES`` that holds, counted from 1."""

    def __init__(self) -> None:
        self._standing: dict[tuple[int, str], float] = {}
        self._seen: defaultdict[tuple[int, str], deque[float]] = defaultdict(deque)

    def observe(self, tick: Tick) -> Answer:
        """See :class:`~benchmarks.simulator.port.Detector`."""
        found: dict[int, int] = {}
        for code in tick.codes:
            key = (code.number, code.code)
            if not code.raised:
                self._standing.pop(key, None)
                continue
            self._standing[key] = code.at
            seen = self._seen[key]
            seen.append(code.at)
            while seen[0] < code.at - FORTNIGHT_S:
                seen.popleft()
            found[code.number] = max(found.get(code.number, 0), min(len(seen), 3))
        for (number, _), since in self._standing.items():
            hours = (tick.end - since) / 3600.0
            if hours >= _STANDS_H[0]:
                rule = 3 + sum(hours >= h for h in _STANDS_H)
                found[number] = max(found.get(number, 0), rule)
        if not found:
            return nothing()
        return Answer((), np.array(list(found), np.int64), np.array(list(found.values()), np.float64))

    def learn(self, label: Label) -> None:
        """Codes are not taught."""

    def checks(self, at: float) -> Sequence[tuple[int, float]]:
        """None."""
        return ()


@dataclass
class _Model:
    """Day sums of one model's devices, and, once calibrated, its limits."""

    numbers: dict[int, int] = field(default_factory=dict)
    total: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    count: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    means: list[NDArray[np.float64]] = field(default_factory=list)
    centre: NDArray[np.float64] | None = None
    spread: NDArray[np.float64] | None = None


class StaticLimits:
    """Fixed limits a channel and model, set on the first ``calibration_days`` of the fleet.

    The score of a device, at the end of each day, is the greatest distance of a channel's daily mean from the
    centre of its model's daily means, in their spread (median and 1.4826 median absolute deviations, pooled over
    devices and days). ``own_centre``: the centre is each device's own median instead, which leaves its tolerances out.
    """

    def __init__(self, own_centre: bool = False, calibration_days: int = 28) -> None:
        self.own_centre = own_centre
        self.calibration_days = calibration_days
        self._models: defaultdict[str, _Model] = defaultdict(_Model)
        self._day: int | None = None
        self._days = 0

    def observe(self, tick: Tick) -> Answer:
        """See :class:`~benchmarks.simulator.port.Detector`."""
        day = int(tick.end // DAY_S)
        answer = nothing()
        if self._day is not None and day > self._day:
            answer = self._close()
        if self._day is None or day > self._day:
            self._day = day
        for block in tick.blocks:
            self._add(self._models[block.model], block.numbers, block.channels, block.values)
        return answer

    def learn(self, label: Label) -> None:
        """Limits are fixed."""

    def checks(self, at: float) -> Sequence[tuple[int, float]]:
        """None."""
        return ()

    def _add(
        self, model: _Model, numbers: NDArray[np.int64], channels: tuple[str, ...], values: NDArray[np.float32]
    ) -> None:
        columns = [c for c, name in enumerate(channels) if not name.startswith("op.")]
        rows = np.array([model.numbers.setdefault(n, len(model.numbers)) for n in numbers.tolist()])
        short = len(model.numbers) - len(model.total)
        if short > 0:
            room = np.zeros((max(short, len(model.total)), len(columns)))
            model.total = np.concatenate([model.total.reshape(-1, len(columns)), room])
            model.count = np.concatenate([model.count.reshape(-1, len(columns)), room])
        readings = values[:, columns].astype(np.float64)
        seen = np.isfinite(readings)
        np.add.at(model.total, rows, np.where(seen, readings, 0.0))
        np.add.at(model.count, rows, seen)

    def _close(self) -> Answer:
        """The day is over: learn limits while they are being calibrated, apply them after."""
        self._days += 1
        numbers, scores = [np.zeros(0, np.int64)], [np.zeros(0)]
        for model in self._models.values():
            with np.errstate(invalid="ignore"):
                mean = np.where(model.count > 0, model.total / model.count, np.nan)
            model.total[:] = model.count[:] = 0.0
            if self._days <= self.calibration_days:
                model.means.append(mean)
                continue
            if model.spread is None:
                self._calibrate(model)
            centre, spread = model.centre, model.spread
            if centre is None or spread is None:
                continue
            known = min(len(mean), len(centre)) if self.own_centre else len(mean)
            away = np.abs(mean[:known] - (centre[:known] if self.own_centre else centre)) / spread
            score = np.where(np.isfinite(away), away, 0.0).max(axis=1, initial=0.0)
            place = np.array(list(model.numbers.values()), np.int64)
            kept = place < known
            numbers.append(np.array(list(model.numbers), np.int64)[kept])
            scores.append(score[place[kept]])
        return Answer((), np.concatenate(numbers), np.concatenate(scores))

    def _calibrate(self, model: _Model) -> None:
        if not model.means:
            return
        most = max(map(len, model.means))
        width = model.means[0].shape[1]
        past = np.full((len(model.means), most, width), np.nan)
        for k, mean in enumerate(model.means):
            past[k, : len(mean)] = mean
        with np.errstate(all="ignore"):
            centre = _median(past, axis=0) if self.own_centre else _median(past.reshape(-1, width), axis=0)
            spread = 1.4826 * _median(np.abs(past - centre).reshape(-1, width), axis=0)
            least = 1e-3 * np.abs(_median(past.reshape(-1, width), axis=0)) + 1e-6
        model.centre, model.spread = centre, np.fmax(spread, least)
        model.means = []


def _median(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a channel that never spoke has no median
        return np.asarray(np.nanmedian(values, axis=axis))
