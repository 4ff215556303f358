"""One family: devices that send the same channels, their statistics, and what was learnt of them together.

The family puts the parts in order: readings relative to the operating mode, bank, cycles, novelty,
sensors; from these a statistic for each *source* of suspicion and the device's literals; from outcomes a
probability for each.  Everything is an array over the family's devices, indexed by row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from cloud.detection.bank import ChannelBank
from cloud.detection.code_memory import CodeMemory
from cloud.detection.conjunctions import NOTHING, Conjunctions
from cloud.detection.conjunctions import Evidence as Found
from cloud.detection.cycles import PhaseCutter, PhaseHistory
from cloud.detection.doubts import Doubts
from cloud.detection.drift import FleetWatch
from cloud.detection.evidence import ANOMALY_OFF, ANOMALY_ON, Evidence
from cloud.detection.following import asked_again, follow_absences, strengths
from cloud.detection.growing import grow
from cloud.detection.models import Believed
from cloud.detection.modes import OperatingModes
from cloud.detection.novelty import RecordBook
from cloud.detection.portrait import Portraits
from cloud.detection.records import Bools, DeviceEvent, EventKind, Floats, Ints
from cloud.detection.sensors import SensorWatch
from cloud.detection.settings import EngineSettings
from cloud.detection.standing import StandingCodes
from cloud.detection.supervised import Supervised
from cloud.detection.suspicion import PEAK, QUIET, SOURCES, Suspicions, hush
from cloud.detection.visits import Visits

FORESIGHT_S = 28 * 86400.0
SETTLE_S = 7 * 86400.0
WAKE_EVERY_S = 600.0
RECALL_EVERY_S = 3600.0
WEIGH_EVERY_S = 3600.0
WEIGH_CALM_EVERY_S = 6 * 3600.0
KNOWN_SAMPLES = 10.0  # effectively independent, before a device's portrait is like it
UNAIDED = "unaided"  # of the sources: those that need no supervision
CYCLE_SLOTS = 2  # at most so many channels of a device are followed by cycles


class Family:
    """State of all devices that share a channel set."""

    ARRAYS = (
        "cohort",
        "last_at",
        "first_at",
        "score",
        "known",
        "known_at",
        "slots",
        "stirred",
        "surprise",
        "away_since",
        "seen_fault",
        "weigh_at",
        "judged_at",
        "unaided",
    )

    def __init__(self, channels: tuple[str, ...], modes: tuple[str, ...], settings: EngineSettings) -> None:
        self.settings = settings
        self.channels = channels
        self.mode_names = modes
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
        self.slots = np.zeros((0, width), np.int64)  # 1 + slot in the phase history, 0 = none
        self.slot_count = 0
        self.surprise = np.zeros(0)
        self.away_since = np.zeros(0)
        self.leads: deque[float] = deque(maxlen=200)  # from leaving normal to failing, seconds
        self.fleet = FleetWatch()
        self.found: dict[int, Found] = {}
        self.stated: dict[int, frozenset[str]] = {}
        self.failures_reported = False  # so that silence means health
        self.taught = False
        self.modes = OperatingModes(len(modes), width)
        self.bank = ChannelBank(width, settings.spans, settings.gate, settings.young_samples, settings.memory_samples)
        self.cutter = PhaseCutter(width)
        self.phases = PhaseHistory()
        self.book = RecordBook()
        self.sensors = SensorWatch(width)
        self.codes = CodeMemory()
        self.evidence = Evidence(self.channels, self.codes, settings.code_window_s, settings.drift_sigmas)
        self.conjunctions = Conjunctions(settings.horizon_s, lead_s=settings.lead_s)
        self.believed = Believed(settings.horizon_s)
        self.suspicions = Suspicions(settings.horizon_s + settings.lead_s)
        self.portraits = Portraits(width, len(settings.spans))
        self.supervised = Supervised(self.portraits.features, settings.horizon_s, FORESIGHT_S, SETTLE_S)
        self.standing = StandingCodes(FORESIGHT_S, FORESIGHT_S + SETTLE_S)
        self.doubts = Doubts()
        self.visits = Visits(settings, FORESIGHT_S)
        self.seen_fault = np.zeros(0)  # probability by the supervised model
        self.weigh_at = np.zeros(0)  # when it is to say so next
        self.judged_at = np.zeros(0)  # when a device was judged for a standing code without a sample
        self.woken: set[int] = set()  # rows judged so, as long as a code of theirs stands
        self.unaided = np.zeros(0)  # score of the last sample by the sources without supervision alone
        self.stirred = np.zeros(0, np.bool_)  # something of the device needs following up
        self.cohorts_at = 50.0
        self.samples = 0

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
            self.away_since[row] = np.inf
            self.weigh_at[row] = self.judged_at[row] = -np.inf
        return row

    def _grow(self, devices: int) -> None:
        growing = (self.bank, self.cutter, self.book, self.sensors, self.evidence, self.codes)
        for part in (*growing, self.suspicions, self.supervised, self.doubts, self.visits):
            part.grow(devices)
        grow(self, self.ARRAYS, devices)

    # -- one sample of each of some devices ----------------------------------------------------------
    def judge(self, rows: Ints, at: Floats, raw: Floats, raw_seen: Bools, settings: Floats) -> tuple[Floats, Floats]:
        """Judge one sample of each of the distinct ``rows`` at event times ``at``: score and probability of a fault.
        Readings are as ``layout.readings`` gives them; ``settings`` (n, M), NaN = not known."""
        self.sensors.observe(rows, at, raw, raw_seen)
        units = self.modes.units
        x, seen = self.modes.standardise(settings, raw, raw_seen)
        if self.modes.units != units:
            self._start_afresh()
        self.samples += len(rows)
        if self.samples >= self.cohorts_at and len(self.names) > 2:
            self.bank.learn_cohorts(self.cohort[: len(self.names)], len(self.cohorts))
            self.cohorts_at = max(self.samples * 1.1, self.cohorts_at + 50)
        surprise, young = self.bank.observe(
            rows, x, seen, self.cohort, self.sensors.samples, self.sensors.moves, self.modes.least_sd
        )
        statistics = np.empty((len(rows), len(SOURCES)))
        statistics.fill(QUIET)
        if self.cutter.worth_while():
            self._cycles(rows, at, raw, raw_seen, statistics)
        if len(self.channels) == 1:
            statistics[:, 2] = self.book.observe(rows, x[:, 0], seen[:, 0])
        else:
            statistics[:, 0] = surprise
        return self._weigh(rows, at, statistics, young)

    def _watch_fleet(self, now: float) -> None:
        """A cohort that moves as one starts afresh."""
        n = len(self.names)
        for change in self.fleet.look(now, self.cohort[:n], self.last_at[:n], self.away_since[:n], self.surprise[:n]):
            if change.reset:
                self._start_cohort_afresh(change.cohort)

    def _start_cohort_afresh(self, cohort: int) -> None:
        """What was normal for the cohort and its devices says nothing any more."""
        self.bank.cohort_weight[cohort] = 0.0
        for row in np.flatnonzero(self.cohort[: len(self.names)] == cohort):
            for part in (self.bank, self.book, self.evidence, self.suspicions):
                part.forget(int(row))
            self.away_since[row] = np.inf

    def _start_afresh(self) -> None:
        """Readings come in other units from now on."""
        self.bank.pool_afresh()
        for cohort in range(len(self.cohorts)):
            self._start_cohort_afresh(cohort)

    def time_left(self, row: int, at: float) -> tuple[float, float] | None:
        """Seconds until failure, 10th to 90th percentile, from how long earlier devices of the family went
        on after leaving normal; None while the device is normal or fewer than five failures are known."""
        since = float(self.away_since[row])
        if not np.isfinite(since) or len(self.leads) < 5:
            return None
        further = sorted(lead for lead in self.leads if lead > at - since)
        if len(further) < 3:
            return None
        gone = at - since
        return _between(further, 0.1, gone), _between(further, 0.9, gone)

    def _cycles(self, rows: Ints, at: Floats, x: Floats, seen: Bools, statistics: Floats) -> None:
        cut = self.cutter.observe(rows, x, seen)
        if cut:
            ended, phases, void = cut
            slots = self.slots[rows]
            gone = slots[void & (slots > 0)]
            if len(gone):
                self.phases.forget(gone - 1)
            self._phases_ended(rows, at, ended & self.cutter.cycling(rows), phases)
        if self.slot_count:
            statistics[:, 1] = self.phases.calibrated(self.slots[rows])

    def _phases_ended(self, rows: Ints, at: Floats, cycling: Bools, phases: Floats) -> None:
        """Take the phases that ended in channels that cycle; the first few such channels of a device get a slot."""
        for i, c in np.argwhere(cycling & (self.slots[rows] == 0)):
            if (self.slots[rows[i]] > 0).sum() < CYCLE_SLOTS:
                self.slot_count += 1
                self.phases.grow(self.slot_count)
                self.slots[rows[i], c] = self.slot_count
        slots = self.slots[rows]
        for c in np.flatnonzero(cycling.any(axis=0)):
            which = np.flatnonzero(cycling[:, c] & (slots[:, c] > 0))
            if len(which):
                self.phases.observe(slots[which, c] - 1, phases[which, c], at[which])

    def _weigh(self, rows: Ints, at: Floats, statistics: Floats, young: Bools) -> tuple[Floats, Floats]:
        lone = len(self.channels) == 1
        now = float(at[-1])
        hush(statistics, young)
        if not lone:
            self.surprise[rows] = statistics[:, 0]
            if now // 3600.0 > self.fleet.hour:
                self._watch_fleet(now)
        if self.suspicions.lessons:
            self.suspicions.learn_due(now)
        strength, calm, due = strengths(
            rows,
            at,
            statistics,
            young,
            self.bank.smooth,
            self.bank.spread,
            min(2, len(self.settings.spans) - 1),
            self.settings.drift_sigmas,
            self._known_from(),
            QUIET,
            ANOMALY_ON,
            self.stirred,
            self.evidence.changes_at,
            self.bank.seen,
            self.weigh_at,
        )
        if not calm:
            self._follow_up(rows, at, statistics, strength)
        if due:
            self._portray(rows, at, statistics[:, 0])
        unaided = self.suspicions.probability(statistics)
        probability = self._in_all(rows, at, unaided)
        score = self.suspicions.news(rows, at, probability) if lone else probability
        self.unaided[rows] = np.minimum(unaided, score)
        return score, probability

    def _follow_up(self, rows: Ints, at: Floats, statistics: Floats, strength: Floats) -> None:
        """Literals, what is known of them, peaks and absences of the rows, some of which are stirred."""
        for i in self.evidence.changed(rows, at, strength, statistics[:, 0], statistics[:, 1]).tolist():
            row, when = int(rows[i]), float(at[i])
            known = self.evidence.devices[row]
            before = known.literals, known.levels
            self.evidence.renew(row, when)
            if before != (known.literals, known.levels) and when >= self.visits.faulty_until[row]:
                self.conjunctions.update(self.names[row], when, known.literals, known.levels)
            self._recall(row, when)
        for i in asked_again(rows, at, RECALL_EVERY_S, self.known, self.known_at).tolist():
            self._recall(int(rows[i]), float(at[i]))
        self.suspicions.remember(rows, at, statistics, self.failures_reported)
        if at[0] < self.visits.last_faulty_until:
            self.suspicions.peaks[rows[self.visits.known_faulty(rows, at)]] = QUIET
        follow_absences(
            rows,
            at,
            statistics[:, 0],
            ANOMALY_OFF,
            ANOMALY_ON,
            PEAK,
            self.known,
            self.evidence.drifts,
            self.evidence.flags,
            self.suspicions.peaks,
            self.away_since,
            self.stirred,
        )

    def _portray(self, rows: Ints, at: Floats, surprise: Floats) -> None:
        """What the supervised model says of the rows, once an hour each, a calm device less often."""
        due = np.flatnonzero((self.bank.seen[rows] >= self._known_from()) & (at >= self.weigh_at[rows]))
        if not len(due):
            return
        n = len(self.names)
        self.portraits.follow_cohorts(self.bank, self.cohort[:n], self.last_at[:n], float(at[-1]))
        chosen, when = rows[due], at[due]
        portraits, stirred = self._portraits(chosen, when, surprise[due])
        self.seen_fault[chosen] = self.supervised.state(
            chosen, when, portraits, stirred, self.known[chosen], self.visits.known_faulty(chosen, when)
        )
        self.weigh_at[chosen] = when + np.where(stirred, WEIGH_EVERY_S, WEIGH_CALM_EVERY_S)

    def _known_from(self) -> float:
        """Samples of a device from which on it is portrayed."""
        return KNOWN_SAMPLES * min(self.bank.inflation, 8.0)

    def wake(self, at: float) -> Ints:
        """Judge the devices that have a standing code and were not judged for a while, and those of which it has
        ceased to stand since: their rows."""
        self.standing.learn_due(at)
        ceased = self.woken - self.codes.standing.keys()
        waiting = [row for row in self.codes.standing if at - self.judged_at[row] >= WAKE_EVERY_S]
        rows = np.array(sorted(ceased.union(waiting)), np.int64)
        rows = rows[self.last_at[rows] > -np.inf]
        if not len(rows):
            return rows
        when = np.full(len(rows), at)
        self._portray(rows, when, self.surprise[rows])
        self.stirred[rows] = True
        self.score[rows] = self._in_all(rows, when, self.unaided[rows])
        self.judged_at[rows] = at
        self.woken = (self.woken - ceased).union(waiting)
        return rows

    def _in_all(self, rows: Ints, at: Floats, unaided: Floats) -> Floats:
        """The probability of a fault by whoever knows most: the ``unaided`` sources, what outcomes taught, and the
        codes that stand; less what visits did not find."""
        probability = np.maximum(unaided, self._taught()[rows])
        if self.doubts.of_row or self.doubts.signs:
            self.doubts.lessen(rows, at, probability, self.supervised.soon())
        if self.codes.standing:
            for i in np.flatnonzero(np.isfinite(self.codes.since[rows])).tolist():
                row = int(rows[i])
                standing = self.doubts.undoubted(row, self.codes.standing[row])
                probability[i] = max(probability[i], self.standing.worth(int(self.cohort[row]), standing, float(at[i])))
        return probability

    def happened(self, row: int, event: DeviceEvent) -> None:
        """A code came or went, or a part was replaced."""
        self.evidence.happened(row, event)
        known = event.at < self.visits.faulty_until[row]
        if event.kind is EventKind.PART_REPLACED:
            if known:
                self.repaired(row, event.at)
        elif event.kind is EventKind.CODE_CLEARED:
            self.standing.cleared(row, event.name, event.at)
        elif not known:
            self.standing.raised(row, int(self.cohort[row]), event.name, event.at)

    def _taught(self) -> Floats:
        """What the taught models say of every row: the supervised one where it has shown itself, else conjunctions."""
        return self.seen_fault if self.supervised.trusted() else self.known

    def speaks(self, row: int, score: float) -> str:
        """Who says of the device what its ``score`` says."""
        if self.unaided[row] >= score:
            return UNAIDED
        if self._taught()[row] >= score:
            return "supervised" if self.supervised.trusted() else "conjunctions"
        return "standing"

    def _portraits(self, rows: Ints, at: Floats, surprise: Floats) -> tuple[Floats, Bools]:
        return self.portraits.of(self.bank, rows, self.cohort[rows], at, surprise, self.codes)

    def kinds_of(self, rows: Ints, at: Floats) -> list[str]:
        """What each device's fault is most like: a conjunction's kind, else a code that stands, else a kind of fault
        that looked as this does; empty if like none."""
        kinds, unnamed = [""] * len(rows), []
        for i, row in enumerate(rows.tolist()):
            found, standing = self.found.get(row), self.codes.standing.get(row)
            if found and found.kind and found.probability >= self.score[row] - 1e-12:
                kinds[i] = found.kind
            elif standing:
                kinds[i] = min(standing, key=lambda code: (standing[code], code))
            else:
                unnamed.append(i)
        if unnamed and self.supervised.trusted():
            portraits, _ = self._portraits(rows[unnamed], at[unnamed], self.surprise[rows[unnamed]])
            for i, portrait in zip(unnamed, portraits, strict=True):
                kinds[i] = self.supervised.kind_of(portrait)
        return kinds

    def _recall(self, row: int, at: float) -> None:
        """What the tallies say of the device's literals now."""
        known = self.evidence.devices[row]
        literals = known.literals
        self.conjunctions.settle(self.names[row], at, 1.0 if self.failures_reported else 0.0)
        self.believed.settle(at, 1.0 if self.failures_reported else 0.0)
        found = NOTHING
        probability = 0.0
        if literals and self.taught:
            found = self.conjunctions.evidence(literals, at, known.levels)
            probability = found.probability
            if literals != self.stated.get(row) or self.believed.trusted():
                self.stated[row] = literals
                features = dict.fromkeys(literals, 1.0) | {"surprise": float(self.surprise[row])}
                probability = self.believed.state(self.names[row], at, features, probability)
        self.known[row] = probability
        self.known_at[row] = at
        if found.probability:
            self.found[row] = found
        else:
            self.found.pop(row, None)

    def ticketed(self, row: int, at: float, unaided: bool) -> None:
        """A ticket was raised for what the device's score says."""
        self.visits.ticketed(row, at, unaided)
        self.doubts.ticketed(row, at, float(self.score[row]))

    # -- outcomes ------------------------------------------------------------------------------------
    def failed(self, row: int, at: float, known_at: float, kind: str, weight: float) -> None:
        """The device failed at ``at``: confirm what was seen before, and start its baseline afresh."""
        self.failures_reported = self.taught = True
        explained = self.conjunctions.failed(self.names[row], at, kind, weight)
        self.believed.failed(self.names[row], at, weight)
        self.supervised.right(row, at, known_at, kind, weight)
        self.standing.failed(row, at, known_at, weight)
        if self.away_since[row] < at:
            self.leads.append(at - float(self.away_since[row]))
        if not explained:
            self.suspicions.failed(row, at, weight)
        self.repaired(row, at)

    def refuted(self, row: int, at: float, known_at: float, weight: float) -> None:
        """Nothing was found at the ticket of ``at``."""
        if not self.visits.repaired_since(row, at):
            self.doubts.refuted(row, at, known_at)
        self.conjunctions.refuted(self.names[row], at, weight)
        self._judge_unaided(row, False, weight)
        self.supervised.wrong(row, at, weight)
        self.standing.judged(row, at, False, weight)

    def confirmed(self, row: int, at: float, known_at: float, kind: str, weight: float) -> None:
        """A ticket was right, though the device had not failed yet.  Until it is repaired its fault is known, and
        to be without a failure is no sign of health."""
        self.taught = True
        self.conjunctions.confirmed(self.names[row], at, kind, weight)
        self._judge_unaided(row, True, weight)
        self.supervised.right(row, at, known_at, kind, weight)
        self.standing.judged(row, at, True, weight)
        self.doubts.forget(row)
        self.visits.confirmed(row, at, known_at)

    def _judge_unaided(self, row: int, right: bool, weight: float) -> None:
        """A finding speaks of the sources without supervision if it was they that called, or chance: of what others
        call, more is faulty than they could know."""
        if self.visits.unaided[row] or weight > 1.0:
            self.suspicions.judged(row, right, weight)
        else:
            self.suspicions.forget(row)

    def repaired(self, row: int, at: float) -> None:
        """After a repair: smoothed readings, literals and peaks start again."""
        self.bank.settle(row)
        self.evidence.forget(row)
        self.codes.forget(row)
        self.suspicions.forget(row)
        self.doubts.forget(row)
        self.visits.repaired(row, at)
        self.seen_fault[row] = 0.0
        self.away_since[row] = np.inf


def _between(ordered: Sequence[float], share: float, less: float) -> float:
    """Where a share of the ordered values lies below, by linear interpolation, each value taken ``less`` so much."""
    place = (len(ordered) - 1) * share
    below = int(place)
    low, part = ordered[below] - less, place - below
    high = ordered[min(below + 1, len(ordered) - 1)] - less
    return low + (high - low) * part if part < 0.5 else high - (high - low) * (1.0 - part)
