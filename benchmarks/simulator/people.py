"""The people of the benchmark: visits, customers who call, and what becomes known of it, late and sometimes wrong.

The truth is open loop: neither a call nor a visit changes what happens to the appliance.  A fault that a visit
confirmed goes on growing until the date at which its truth has it repaired, and the failure, when somebody at home
notices it, is reported like any other.  Figures marked [K] are judgement.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.simulator.port import Label, Verdict
from device_sim.failure.life import Span
from device_sim.failure.modes import Episode
from device_sim.fleet.population import Appliance
from device_sim.randomness import dice

DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Habits:
    """How labels come about. All [K].

    visit_days: median days from a call to the visit's verdict, log-normal with ``visit_spread``. wrong: share of
    visits' verdicts that say the opposite of the truth, and of failures that name no part that exists. reported: share
    of noticed failures that reach whoever teaches the detector. quiet_days: a device is called once in so long.
    """

    visit_days: float = 2.5
    visit_spread: float = 0.5
    wrong: float = 0.05
    reported: float = 0.9
    quiet_days: float = 14.0


def episode_at(appliance: Appliance, at: float) -> Episode | None:
    """The fault that the appliance has at ``at``, from onset to repair or cure; None if it is well."""
    for episode in appliance.life.episodes:
        if episode.onset <= at and (episode.ended_at is None or at <= episode.ended_at):
            return episode
    return None


@dataclass
class People:
    """Labels of one course, in order of when they become known. ``seed`` is of these people alone."""

    appliances: Sequence[Appliance]
    span: Span
    seed: int
    habits: Habits = field(default_factory=Habits)

    def __post_init__(self) -> None:
        self._waiting: list[tuple[float, int, Label]] = []
        self._count = 0
        for number, appliance in enumerate(self.appliances):
            for place, episode in enumerate(appliance.life.episodes):
                self._customer(number, appliance, place, episode)

    def called(self, number: int, at: float, asked_with: float = 1.0) -> None:
        """A device was called, or chosen for a random check, at ``at``: the visit's verdict will follow."""
        appliance = self.appliances[number]
        chance = dice(self.seed, "visit", f"{appliance.device}/{at:.0f}")
        known = at + self.habits.visit_days * DAY_S * math.exp(self.habits.visit_spread * chance.gauss(0.0, 1.0))
        episode = episode_at(appliance, at)
        wrong = chance.random() < self.habits.wrong
        verdict: Verdict = "no_fault_found"
        kind = ""
        if (episode is None) == wrong:
            verdict = "other_fault" if episode is not None and episode.mode.sensor else "fault_confirmed"
            kind = episode.mode.part if episode is not None else ""
        self._wait(Label(number, appliance.device, at, known, verdict, kind, asked_with))

    def known_by(self, at: float) -> Iterator[Label]:
        """Labels that have become known by ``at`` and were not given before."""
        while self._waiting and self._waiting[0][0] <= at:
            yield heapq.heappop(self._waiting)[2]

    def _customer(self, number: int, appliance: Appliance, place: int, episode: Episode) -> None:
        if episode.noticed_at is None:
            return
        chance = dice(self.seed, "customer", f"{appliance.device}/{place}")
        if chance.random() >= self.habits.reported:
            return
        repaired = episode.ended_at if episode.ended_at is not None else self.span.end
        kind = "unknown" if chance.random() < self.habits.wrong else episode.mode.part
        self._wait(Label(number, appliance.device, episode.noticed_at, repaired, "failure", kind))

    def _wait(self, label: Label) -> None:
        self._count += 1
        heapq.heappush(self._waiting, (label.known_at, self._count, label))
