"""One family: devices that send the same channels, their statistics, and what was learnt of them together.

The family puts the parts in order: readings relative to the operating mode, bank, cycles, novelty,
sensors; from these a statistic for each *source* of suspicion and the device's literals; from outcomes a
probability for each.  Everything is an array over the family's devices, indexed by row.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from cloud.detection.bank import BankReading, ChannelBank
from cloud.detection.calibration import Platt
from cloud.detection.conjunctions import NOTHING, Conjunctions
from cloud.detection.conjunctions import Evidence as Found
from cloud.detection.cycles import PhaseCutter, PhaseHistory
from cloud.detection.evidence import Evidence
from cloud.detection.modes import OperatingModes
from cloud.detection.novelty import RecordBook
from cloud.detection.records import Bools, Floats, Ints
from cloud.detection.sensors import SensorWatch
from cloud.detection.settings import EngineSettings

SOURCES = ("surprise", "cycles", "novelty")
QUIET = -5.0
PEAK = 2.0  # a source that stood below this has said nothing that an outcome could confirm or refute
KEPT_IN_MIND = 0.08
DAY_S = 86400.0
CYCLE_SLOTS = 2  # at most so many channels of a device are followed by cycles


@dataclass(slots=True)
class Verdicts:
    """What the family says of the rows of one round: probability of a fault, from which source
    (-1 = from a conjunction), the sources' statistics (n, 3)."""

    probability: Floats
    score: Floats
    source: Ints
    statistics: Floats
    young: Bools


class Family:
    """State of all devices that share a channel set."""

    def __init__(self, channels: tuple[str, ...], settings_count: int, settings: EngineSettings) -> None:
        self.settings = settings
        self.channels = list(channels)
        width = len(channels)
        self.rows: dict[str, int] = {}
        self.names: list[str] = []
        self.cohorts: dict[str, int] = {}
        self.cohort = np.zeros(0, np.int64)
        self.last_at = np.zeros(0)
        self.first_at = np.zeros(0)
        self.score = np.zeros(0)
        self.known = np.zeros(0)  # probability by conjunctions
        self.known_at = np.zeros(0)
        self.peaks = np.zeros((0, len(SOURCES)))
        self.peak_at = np.zeros((0, len(SOURCES)))
        self.quiet_until = np.zeros(0)
        self.ticketed_at = np.zeros(0)
        self.slots = np.zeros((0, width), np.int64)  # 1 + slot in the phase history, 0 = none
        self.slot_count = 0
        self.told = np.zeros(0)
        self.told_at = np.zeros(0)
        self.found: dict[int, Found] = {}
        self.failures_reported = False
        self.lessons: deque[tuple[float, int, float, float]] = deque()  # due, source, statistic, weight
        self.modes = OperatingModes(settings_count, width)
        self.bank = ChannelBank(
            width, settings.spans, settings.gate, settings.young_samples, settings.memory_samples
        )
        self.cutter = PhaseCutter(width)
        self.phases = PhaseHistory()
        self.book = RecordBook()
        self.sensors = SensorWatch(width)
        self.evidence = Evidence(self.channels, settings.code_window_s, settings.drift_sigmas)
        self.conjunctions = Conjunctions(settings.horizon_s, lead_s=settings.lead_s)
        self.platt = (Platt(5.0, 1.5), Platt(4.2, 1.2), Platt(0.8, 4.0))
        self.cohorts_at = 50.0

    # -- devices -----------------------------------------------------------------------------------
    def place(self, device: str, cohort: str, at: float) -> int:
        """The device's row, new if need be."""
        row = self.rows.get(device)
        if row is None:
            row = self.rows[device] = len(self.names)
            self.names.append(device)
            self._grow(row + 1)
            self.cohort[row] = self.cohorts.setdefault(cohort, len(self.cohorts))
            self.bank.add_cohorts(len(self.cohorts))
            self.last_at[row] = -np.inf
            self.first_at[row] = at
            self.quiet_until[row] = self.ticketed_at[row] = -np.inf
            self.peaks[row] = QUIET
        return row

    def _grow(self, devices: int) -> None:
        for part in (self.bank, self.cutter, self.book, self.sensors, self.evidence):
            part.grow(devices)
        have = len(self.cohort)
        if devices > have:
            more = max(devices, 2 * have) - have
            for name in (
                "cohort", "last_at", "first_at", "score", "known", "known_at", "peaks", "peak_at",
                "quiet_until", "ticketed_at", "slots", "told", "told_at",
            ):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros((more, *old.shape[1:]), old.dtype)]))

    # -- one sample of each of some devices ----------------------------------------------------------
    def judge(self, rows: Ints, at: Floats, values: Floats, settings: Floats) -> Verdicts:
        """Judge one sample of each of the distinct ``rows``, at event times ``at``."""
        view: Ints | slice = rows
        if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
            view = slice(int(rows[0]), int(rows[-1]) + 1)
        raw_seen = np.isfinite(values)
        raw = np.where(raw_seen, np.minimum(np.maximum(values, -1e30), 1e30), 0.0)
        self.sensors.observe(view, at, raw, raw_seen)
        x, seen = raw, raw_seen
        if self.modes.settings:
            x = self.modes.standardise(settings, np.where(raw_seen, raw, np.nan))
            seen = np.isfinite(x)
            x = np.where(seen, x, 0.0)
        if self.bank.seen.sum() >= self.cohorts_at:
            self.bank.learn_cohorts(self.cohort[: len(self.names)], len(self.cohorts))
            self.cohorts_at = max(self.bank.seen.sum() * 1.1, self.cohorts_at + 50)
        reading = self.bank.observe(view, x, seen, self.cohort[view])
        statistics = np.full((len(rows), len(SOURCES)), QUIET)
        statistics[:, 1] = self._cycles(rows, view, at, raw, raw_seen)
        cycling = statistics[:, 1] > QUIET
        if len(self.channels) == 1:
            statistics[:, 2] = np.where(cycling, QUIET, self.book.observe(view, raw[:, 0], raw_seen[:, 0]))
        else:
            statistics[:, 0] = np.where(reading.young, QUIET, reading.surprise)
        return self._weigh(rows, view, at, statistics, reading, cycling)

    def _cycles(self, rows: Ints, view: Ints | slice, at: Floats, x: Floats, seen: Bools) -> Floats:
        ended, phases, void = self.cutter.observe(view, x, seen)
        slots = self.slots[view]
        if void.any():
            gone = slots[void & (slots > 0)]
            if len(gone):
                self.phases.forget(gone - 1)
        if ended.any():
            cycling = ended & self.cutter.cycling(view)
            for i, c in np.argwhere(cycling & (slots == 0)):
                if (self.slots[rows[i]] > 0).sum() < CYCLE_SLOTS:
                    self.slot_count += 1
                    self.phases.grow(self.slot_count)
                    self.slots[rows[i], c] = self.slot_count
            slots = self.slots[view]
            for c in np.flatnonzero(cycling.any(axis=0)):
                which = np.flatnonzero(cycling[:, c] & (slots[:, c] > 0))
                if len(which):
                    self.phases.observe(slots[which, c] - 1, phases[which, c], at[which])
        if not slots.any():
            return np.full(len(rows), QUIET)
        found = np.full(slots.shape, QUIET)
        held = slots > 0
        found[held] = self.phases.calibrated(slots[held] - 1)
        return np.asarray(found.max(axis=1))

    def _weigh(
        self, rows: Ints, view: Ints | slice, at: Floats, statistics: Floats, reading: BankReading, cycling: Bools
    ) -> Verdicts:
        slow = min(2, len(self.settings.spans) - 1)
        strength = reading.smooth[:, slow, :] / self.bank.spread[slow]
        strength = np.where((reading.young | cycling)[:, None], 0.0, strength)
        for i in self.evidence.changed(rows, at, strength, statistics[:, 0], statistics[:, 1]):
            row = int(rows[i])
            before = self.evidence.devices[row].literals
            literals = self.evidence.renew(row, float(at[i]))
            if literals != before:
                self.conjunctions.update(self.names[row], float(at[i]), literals)
            self._recall(row, float(at[i]))
        due = (self.known_at[view] + 3600.0 <= at) & (self.known[view] > 0)
        for i in np.flatnonzero(due):
            self._recall(int(rows[i]), float(at[i]))
        self._remember(view, at, statistics)
        by_source = np.stack([p.probability(statistics[:, k]) for k, p in enumerate(self.platt)], axis=1)
        by_source[statistics <= QUIET] = 0.0
        source = by_source.argmax(axis=1)
        unsupervised = by_source.max(axis=1)
        known = self.known[view]
        probability = np.maximum(known, unsupervised)
        score = self._news(view, at, probability) if len(self.channels) == 1 else probability
        return Verdicts(probability, score, np.where(known >= unsupervised, -1, source), statistics, reading.young)

    def _news(self, view: Ints | slice, at: Floats, probability: Floats) -> Floats:
        """A lone channel cannot be cross-checked: what it says counts in full when it is news, that is,
        more than was said within the last day, and is kept in mind at a low score otherwise."""
        told, told_at = self.told[view], self.told_at[view]
        news = (probability > 1.02 * told) | (at - told_at > DAY_S)
        self.told[view] = np.where(news, probability, told)
        self.told_at[view] = np.where(news, at, told_at)
        return np.where(news, probability, KEPT_IN_MIND * probability)

    def _recall(self, row: int, at: float) -> None:
        """What the tallies say of the device's literals now."""
        literals = self.evidence.devices[row].literals
        self.conjunctions.settle(self.names[row], at, 1.0 if self.failures_reported else 0.0)
        found = self.conjunctions.evidence(literals, at) if literals and self.failures_reported else NOTHING
        self.known[row] = found.probability
        self.known_at[row] = at
        if found.probability:
            self.found[row] = found
        else:
            self.found.pop(row, None)

    # -- outcomes ------------------------------------------------------------------------------------
    def _remember(self, view: Ints | slice, at: Floats, statistics: Floats) -> None:
        """Peaks of the sources' statistics; a peak that outlived the horizon without a failure was wrong,
        where failures are reported at all."""
        while self.lessons and self.lessons[0][0] <= at[-1]:
            _, k, u, weight = self.lessons.popleft()
            self.platt[k].learn(u, True, weight)
        peaks, when = self.peaks[view], self.peak_at[view]
        stale = (at[:, None] - when > self.settings.horizon_s + self.settings.lead_s) & (peaks > PEAK)
        stale &= statistics < 0.5 * peaks
        if stale.any():
            if self.failures_reported:
                for i, k in np.argwhere(stale):
                    self.platt[k].learn(float(peaks[i, k]), False)
            peaks = np.where(stale, QUIET, peaks)
        higher = statistics > peaks
        self.peaks[view] = np.where(higher, statistics, peaks)
        self.peak_at[view] = np.where(higher, at[:, None], when)

    def failed(self, row: int, at: float, kind: str, weight: float) -> None:
        """The device failed at ``at``: confirm what was seen before, and start its baseline afresh."""
        self.failures_reported = True
        self.conjunctions.failed(self.names[row], at, kind, weight)
        # What was wrong shows only when the horizon is over; what was right must wait as long, or the
        # first failures would teach that every suspicion is right.
        due = at + self.settings.horizon_s + self.settings.lead_s
        seen = self.peaks[row]
        self.lessons.extend((due, k, float(seen[k]), weight) for k in range(len(SOURCES)) if seen[k] > PEAK)
        self.repaired(row, at)

    def refuted(self, row: int, at: float, weight: float) -> None:
        """Nothing was found at the ticket of ``at``."""
        self.conjunctions.refuted(self.names[row], at, weight)
        self._teach(row, False, weight)

    def confirmed(self, row: int, at: float, kind: str, weight: float) -> None:
        """A ticket was right, though the device had not failed yet."""
        self._teach(row, True, weight)

    def repaired(self, row: int, at: float) -> None:
        """After a repair: smoothed readings, literals and peaks start again."""
        self.bank.settle(row)
        self.evidence.forget(row)
        self.peaks[row] = QUIET
        self.quiet_until[row] = at + self.settings.repair_quiet_s

    def _teach(self, row: int, right: bool, weight: float) -> None:
        for k, platt in enumerate(self.platt):
            if self.peaks[row, k] > PEAK:
                platt.learn(float(self.peaks[row, k]), right, weight)
        self.peaks[row] = QUIET
