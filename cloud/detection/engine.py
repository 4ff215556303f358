"""The detector: records in, judgements out, outcomes back in.  Pure: no clock, no I/O, no threads.

The interface, which stays as it is::

    engine = Engine(EngineSettings(), seed=0)
    judgements = engine.observe(block)        # Judgements: one a row, in row order; .raised() = tickets due
    judgements = engine.wake(at)              # devices that have a standing code, whether or not they send anything
    engine.learn(outcome)                     # a finding or failure, with when it was and when it became known
    engine.view(device, at)                   # one device now: Judgement or None
    engine.silent(at)                         # devices that fell silent: they could not be judged
    engine.random_checks(at)                  # devices to be looked at without a suspicion today
    blob = engine.checkpoint()                # bytes
    engine = Engine.restore(blob)             # bit for bit

``observe`` takes rows in event-time order: what :class:`~cloud.detection.intake.Intake` releases.
The same sequence of blocks and outcomes gives the same judgements, bit for bit, and so do the same
blocks after a checkpoint and a restore.  Rows that are not newer than the device's last are not judged
again: they are counted in ``engine.stale_rows`` and answered with the device's last score.

Outcomes are given when they become known: ``learn`` may be called at any point between blocks, and takes
effect from the next block on.  A replay calls it at the same point of event time (``known_at``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cloud.detection import checkpoint
from cloud.detection.columns import looked_up
from cloud.detection.compiled import Floats1, Ints1, compiled
from cloud.detection.decision import FalseCallBudget, checked_at_random
from cloud.detection.family import UNAIDED, Family
from cloud.detection.judgement import Judgement, Judgements, no_judgements
from cloud.detection.layout import Layout, layout_of, positive, readings, taken
from cloud.detection.reasons import fitness_of, judgement_of, judgements_of, problems_of
from cloud.detection.records import (
    Bools,
    ChannelRoles,
    DeviceEvent,
    EventKind,
    Floats,
    Ints,
    Outcome,
    RecordBlock,
    Verdict,
    roles_of,
)
from cloud.detection.settings import EngineSettings

TICKET_SCORE = EngineSettings().ticket_probability
NO_SETTINGS = np.zeros((0, 0))
WATCHED_S = 7 * 86400.0  # a device that has been silent for longer is not watched


class Engine:
    """One detector for all families of appliances of a partition (or of the whole fleet)."""

    def __init__(self, settings: EngineSettings | None = None, seed: int = 0) -> None:
        self.settings = settings or EngineSettings()
        self.seed = seed
        rate = self.settings.false_call_budget
        self.budget = FalseCallBudget(rate) if rate else None
        self.pays_from: dict[str, float] = {}  # probability from which a call pays, by cohort; others: the setting
        self.stale_rows: Counter[str] = Counter()
        self.unknown_outcomes = 0
        self.unread_channels: Counter[str] = Counter()
        self.families: list[Family] = []
        self._by_channels: dict[tuple[tuple[str, ...], tuple[str, ...]], Family] = {}
        self._by_layout: dict[tuple[str, ...], Family] = {}
        self._home: dict[str, Family] = {}
        self._orphans: dict[str, list[DeviceEvent]] = {}

    # -- records -------------------------------------------------------------------------------------
    def observe(self, block: RecordBlock) -> Judgements:
        """Judge each row of the block."""
        for event in block.events:
            self._happened(event)
        n = len(block.devices)
        if not n:
            return no_judgements()
        home = self._by_layout.get(block.channels)
        if home is None:
            home = self._family(block.channels, roles_of(block.channels))
        out = _Columns(n)
        for family, picked, rows in self._by_family(block, home):
            self._rounds(family, block, picked, rows, out)
        return self._judgements(block.devices, block.times, out.score, out.probability, out.raised)

    def _family(self, channels: tuple[str, ...], roles: ChannelRoles) -> Family:
        telemetry = tuple(sorted(name for _, name in roles.telemetry))
        modes = tuple(sorted(name for _, name in roles.modes))
        key = (telemetry, modes)
        family = self._by_channels.get(key)
        if family is None:
            family = self._by_channels[key] = Family(telemetry, modes, self.settings)
            self.families.append(family)
        self._by_layout[channels] = family
        return family

    def _by_family(self, block: RecordBlock, home: Family) -> list[tuple[Family, Ints, Ints]]:
        """The block's rows by the family that their devices live in: family, places in the block, rows there."""
        try:  # nearly always all are known and live here
            rows = looked_up(block.devices, home.rows)
        except KeyError:
            return self._by_families(block, home)
        return [(home, np.arange(len(rows)), rows)]

    def _by_families(self, block: RecordBlock, home: Family) -> list[tuple[Family, Ints, Ints]]:
        homes = self._home
        strangers: dict[int, list[int]] = {}
        for i, device in enumerate(block.devices):
            lives = homes.get(device)
            if lives is None:
                self._enter(device, home, block, i)
            elif lives is not home:
                self._count_unread(lives, home)
                strangers.setdefault(self.families.index(lives), []).append(i)
        away = {i for rows in strangers.values() for i in rows}
        at_home = [i for i in range(len(block.devices)) if i not in away]
        parts = [(home, at_home)] if at_home else []
        parts += [(self.families[f], rows) for f, rows in sorted(strangers.items())]
        return [
            (family, np.array(picked, np.int64), looked_up([block.devices[i] for i in picked], family.rows))
            for family, picked in parts
        ]

    def _count_unread(self, lives: Family, sent: Family) -> None:
        """A device keeps the channels that it began with; what it sends beyond them is counted."""
        for name in sent.channels:
            if name not in lives.channels:
                self.unread_channels[name] += 1

    def _enter(self, device: str, family: Family, block: RecordBlock, i: int) -> None:
        cohort = block.cohort
        if not cohort:
            for column, name in roles_of(block.channels).meta:
                if name == "model":
                    cohort = f"{block.values[i, column]:g}"
        family.place(device, cohort, float(block.times[i]))
        self._home[device] = family
        for event in self._orphans.pop(device, ()):
            self._happened(event)

    def _rounds(self, family: Family, block: RecordBlock, picked: Ints, rows: Ints, out: _Columns) -> None:
        layout = layout_of(family.channels, family.mode_names, block.channels)
        times, values = np.array(block.times, np.float64)[picked], np.asarray(block.values, np.float64)
        if layout.codes or layout.parts:
            self._codes(family, block, values, layout, picked, rows)
        if _fresh_and_in_order(rows, times, family.last_at):
            self._judge(family, values, layout, _Round(picked, rows, times), out)
            return
        for turn in _turns(rows):
            fresh = times[turn] > family.last_at[rows[turn]]
            for i in turn[~fresh]:
                self.stale_rows[block.devices[picked[i]]] += 1
                out.score[picked[i]] = out.probability[picked[i]] = family.score[rows[i]]
            live = turn[fresh]
            if len(live):
                o = live[np.argsort(rows[live], kind="stable")]
                self._judge(family, values, layout, _Round(picked[o], rows[o], times[o]), out)

    def _codes(  # noqa: PLR0917 - the block's rows and what they mean
        self, family: Family, block: RecordBlock, values: Floats, layout: Layout, picked: Ints, rows: Ints
    ) -> None:
        for k, i in positive(values, picked, layout.marked).tolist():
            row, at = int(rows[i]), float(block.times[picked[i]])
            if k < len(layout.codes):
                family.evidence.code_seen(row, layout.codes[k], at)
            else:
                part = layout.parts[k - len(layout.codes)]
                family.happened(row, DeviceEvent(at, block.devices[picked[i]], EventKind.PART_REPLACED, part))

    def _happened(self, event: DeviceEvent) -> None:
        family = self._home.get(event.device)
        if family is None:
            self._orphans.setdefault(event.device, []).append(event)
            return
        family.happened(family.rows[event.device], event)

    def _judge(self, family: Family, values: Floats, layout: Layout, turn: _Round, out: _Columns) -> None:
        rows, at, place = turn.rows, turn.at, turn.place
        raw, seen = readings(values, place, layout.telemetry)
        settings = taken(values, place, layout.settings) if family.mode_names else NO_SETTINGS
        score, probability = family.judge(rows, at, raw, seen, settings)
        family.score[rows] = out.score[place] = score
        out.probability[place] = probability
        due = score >= self._threshold(family, rows)
        self._watched(family, rows, at)
        if not np.count_nonzero(due):
            return
        chosen = [
            i for i in np.flatnonzero(due) if self._may_raise(family, int(rows[i]), float(at[i]), float(score[i]))
        ]
        if chosen:
            found = judgements_of(family, rows[chosen], at[chosen], score[chosen], True)
            out.raised.update(zip(place[chosen].tolist(), found, strict=True))

    def _watched(self, family: Family, rows: Ints, at: Floats) -> None:
        if self.budget:
            gaps = at - np.maximum(family.last_at[rows], family.first_at[rows])
            self.budget.watched(float(np.minimum(gaps, WATCHED_S).sum()))
        family.last_at[rows] = at

    def _judgements(
        self,
        devices: Sequence[str],
        times: Floats,
        scores: Floats,
        probabilities: Floats,
        raised: dict[int, Judgement],
    ) -> Judgements:
        tickets = np.zeros(len(devices), np.bool_)
        if raised:
            tickets[list(raised)] = True

        def describe(i: int) -> Judgement:
            family = self._home[devices[i]]
            row = family.rows[devices[i]]
            return judgement_of(family, row, float(times[i]), float(scores[i]), False)

        def problem(i: int) -> str:
            family = self._home[devices[i]]
            return problems_of(family, np.array([family.rows[devices[i]]]), times[i : i + 1], scores[i : i + 1])[0]

        return Judgements(devices, times, scores, probabilities, tickets, raised, describe, problem)

    def wake(self, at: float) -> Judgements:
        """Judge at event time ``at`` the devices of which a fault code stands, whether or not they send anything: a
        machine that has stopped takes no samples. Call it at the end of a tick, before later rows."""
        devices: list[str] = []
        scores: list[float] = []
        raised: dict[int, Judgement] = {}
        for family in self.families:
            if not (family.codes.standing or family.woken):
                continue
            for row in family.wake(at).tolist():
                score = float(family.score[row])
                due = score >= float(self._threshold(family, np.array([row]))[0])
                if due and self._may_raise(family, row, at, score):
                    raised[len(devices)] = judgement_of(family, row, at, score, True)
                devices.append(family.names[row])
                scores.append(score)
        return self._judgements(devices, np.full(len(devices), at), np.array(scores), np.array(scores), raised)

    def _threshold(self, family: Family, rows: Ints) -> Floats:
        """The probability from which on a ticket is due, for each row."""
        usual = self.settings.ticket_probability
        if not self.pays_from:
            return np.array([usual])
        by_cohort = np.array([self.pays_from.get(cohort, usual) for cohort in family.cohorts])
        return by_cohort[family.cohort[rows]]

    def _may_raise(self, family: Family, row: int, at: float, score: float) -> bool:
        """Whether a ticket may be raised for the device now; if so, it is."""
        if not family.visits.may_be_called(row, at):
            return False
        source = family.speaks(row, score)
        if self.budget and not self.budget.take(
            family.names[row], at, score, f"{self.families.index(family)}/{source}"
        ):
            return False
        family.ticketed(row, at, source == UNAIDED)
        return True

    # -- outcomes ------------------------------------------------------------------------------------
    def learn(self, outcome: Outcome) -> None:
        """Take an outcome when it becomes known."""
        family = self._home.get(outcome.device)
        if family is None:
            self.unknown_outcomes += 1
            return
        row = family.rows[outcome.device]
        weight = 1.0 / max(outcome.asked_with, 0.01)
        if self.budget:
            self.budget.known(outcome.device, outcome.at, outcome.faulty)
        if outcome.verdict is Verdict.FAILURE:
            family.failed(row, outcome.at, outcome.known_at, outcome.kind, weight)
        elif outcome.faulty:
            family.confirmed(row, outcome.at, outcome.known_at, outcome.kind, weight)
        else:
            family.refuted(row, outcome.at, outcome.known_at, weight)

    def random_checks(self, at: float) -> list[str]:
        """Devices to be looked at on the day of ``at`` without a suspicion: ``settings.random_check_share`` of
        those heard within the last day.  Label what is found with ``asked_with`` = that share."""
        share, day = self.settings.random_check_share, int(at // 86400)
        if not share:
            return []
        heard = [n for f in self.families for n, row in f.rows.items() if at - f.last_at[row] <= 86400.0]
        return sorted(n for n in heard if checked_at_random(self.seed, n, day, share))

    def silent(self, at: float) -> list[str]:
        """Devices that have not been heard for many of their own periods: they could not be judged."""
        out = []
        for family in self.families:
            quiet = family.sensors.silent(slice(0, len(family.names)), at)
            out += [family.names[row] for row in np.flatnonzero(quiet)]
        return sorted(out)

    def view(self, device: str, at: float) -> Judgement | None:
        """What the detector says of one device at ``at`` without a new sample; None if it never sent one."""
        family = self._home.get(device)
        if family is None:
            return None
        row = family.rows[device]
        return judgement_of(family, row, at, float(family.score[row]), False)

    def fitness(self, devices: Sequence[str]) -> tuple[Floats, Bools]:
        """Completeness of each of these known devices now, and whether it could be judged: what :meth:`view` says
        of them, without the reasons, which are dear."""
        completeness, judgeable = np.zeros(len(devices)), np.zeros(len(devices), np.bool_)
        for family in self.families:
            here = [i for i, device in enumerate(devices) if self._home[device] is family]
            rows = np.array([family.rows[devices[i]] for i in here], np.int64)
            completeness[here], judgeable[here] = fitness_of(family, rows)
        return completeness, judgeable

    # -- state ---------------------------------------------------------------------------------------
    def checkpoint(self) -> bytes:
        """The whole state."""
        return checkpoint.pack(self)

    @classmethod
    def restore(cls, blob: bytes) -> Engine:
        """An engine that goes on as if it had never stopped."""
        found = checkpoint.unpack(blob)
        if not isinstance(found, cls):
            raise TypeError(f"not an engine's checkpoint: {type(found).__name__}")
        return found


@dataclass(slots=True)
class _Round:
    """One sample of each of some devices of a family: their places in the block, rows in the family, event times."""

    place: Ints
    rows: Ints
    at: Floats


@compiled
def _fresh_and_in_order(rows: Ints1, times: Floats1, last_at: Floats1) -> bool:
    """Whether each row comes once, in order, and is newer than the last of its device."""
    good = True
    for i in range(len(rows)):
        good &= times[i] > last_at[rows[i]] and (i == 0 or rows[i] > rows[i - 1])
    return good


class _Columns:
    """What is being filled in for one block."""

    def __init__(self, n: int) -> None:
        self.score = np.zeros(n)
        self.probability = np.zeros(n)
        self.raised: dict[int, Judgement] = {}


def _turns(rows: Ints) -> list[Ints]:
    """Positions by turn: the first sample of each device, then the second, and so on."""
    if len(rows) == 1:
        return [np.zeros(1, np.int64)]
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    starts = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    if starts.all():
        return [np.arange(len(rows))]
    first = np.maximum.accumulate(np.where(starts, np.arange(len(rows)), 0))
    rank = np.empty(len(rows), np.int64)
    rank[order] = np.arange(len(rows)) - first
    return [np.flatnonzero(rank == k) for k in range(int(rank.max()) + 1)]
