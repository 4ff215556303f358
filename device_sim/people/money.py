"""What a fault costs with and without a call in time: the money model of the open benchmark.

All amounts are in US$ and [K] unless a source is named: repairs of 150-350 and a diagnosis of 89 (domain facts,
section 5, from nappliancerepair.ca). They are the simulator's own: a detector decides by its operator's costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from device_sim.failure.modes import Episode
from device_sim.fleet.population import Appliance


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of one family, US$.

    visit: a planned visit. urgent: what an unplanned one costs more. damage: consequences of a failure that nobody
    foresaw (food, water, a cold home, goodwill). false_call: a call and a visit that find no fault.
    """

    visit: float
    urgent: float
    damage: float
    false_call: float = 89.0


FAMILY_COSTS: Final = MappingProxyType(
    {
        "fridge": Costs(visit=250.0, urgent=80.0, damage=140.0),
        "washer": Costs(visit=210.0, urgent=60.0, damage=60.0),
        "air_conditioner": Costs(visit=280.0, urgent=70.0, damage=70.0),
        "water_heater": Costs(visit=300.0, urgent=90.0, damage=100.0),
        "dishwasher": Costs(visit=200.0, urgent=50.0, damage=70.0),
        "dryer": Costs(visit=220.0, urgent=50.0, damage=40.0),
    }
)

MIN_LEAD_S: Final = 12 * 3600.0
"""A call with less lead than this cannot be followed by a planned visit."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that a detector made: which appliance (index), when (event time, s)."""

    device: int
    at: float


@dataclass(slots=True)
class Balance:
    """What calls were worth over a span."""

    failures: int = 0
    called_before_noticed: int = 0
    false_calls: int = 0
    appliance_years: float = 0.0
    saved: float = 0.0
    oracle: float = 0.0
    """What somebody would have saved who knew every fault from its first observable effect on."""

    @property
    def regret(self) -> float:
        """The share of the oracle's savings that was missed; 0 is perfect, above 1 worse than doing nothing."""
        return 1.0 - self.saved / self.oracle if self.oracle > 0.0 else 0.0

    @property
    def false_calls_per_1000_years(self) -> float:
        """False calls for 1,000 appliance-years."""
        return 1000.0 * self.false_calls / self.appliance_years if self.appliance_years else 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A fault that failed, the first right call for it (+inf: none came), and what it and the oracle's saved."""

    episode: Episode
    called: float
    noticed: float
    saved: float
    could_save: float


@dataclass(frozen=True, slots=True)
class Account:
    """What the calls of one appliance were worth: its failures, and how many calls were false."""

    cost: Costs
    failures: tuple[Failure, ...]
    false_calls: int


def times_by_device(calls: Iterable[Call]) -> dict[int, list[float]]:
    """When each device was called, in the order of `calls`."""
    times: dict[int, list[float]] = {}
    for call in calls:
        times.setdefault(call.device, []).append(call.at)
    return times


def accounts(
    appliances: Iterable[Appliance], calls: Iterable[Call], costs: Mapping[str, Costs] = FAMILY_COSTS
) -> Iterator[Account]:
    """What calls were worth, appliance by appliance. Pure.

    A call is right when its appliance then has a fault (onset to end, sensor faults too); the first right call of a
    fault counts, others are neither right nor false. A fault that fails after the span is censored: a call for it is
    right, and neither it nor the oracle earns by it.
    """
    times = times_by_device(calls)
    for number, appliance in enumerate(appliances):
        cost = costs[appliance.model.family]
        own = times.get(number, [])
        right: set[float] = set()
        failures = []
        for episode in appliance.life.episodes:
            ends = float("inf") if episode.ended_at is None else episode.ended_at
            mine = [at for at in own if episode.onset <= at <= ends]
            right.update(mine)
            if episode.failed_at is None or episode.mode.sensor:
                continue
            called = min(mine, default=float("inf"))
            noticed = float("inf") if episode.noticed_at is None else episode.noticed_at
            saved, could_save = (
                _saving(cost, at, episode.failed_at, noticed) for at in (called, episode.first_observable)
            )
            failures.append(Failure(episode, called, noticed, saved, could_save))
        yield Account(cost, tuple(failures), sum(at not in right for at in own))


def balance(
    appliances: Sequence[Appliance],
    calls: Iterable[Call],
    years: float,
    costs: Mapping[str, Costs] = FAMILY_COSTS,
) -> Balance:
    """What calls were worth in all, by the rules of `accounts`. Pure."""
    found = Balance(appliance_years=years * len(appliances))
    for account in accounts(appliances, calls, costs):
        for failure in account.failures:
            found.failures += 1
            found.called_before_noticed += failure.called < failure.noticed
            found.oracle += failure.could_save
            found.saved += failure.saved
        found.false_calls += account.false_calls
        found.saved -= account.cost.false_call * account.false_calls
    return found


def _saving(cost: Costs, called: float, failed: float, noticed: float) -> float:
    """What a call at `called` saves: urgency and damage when it is early enough, half when just in time."""
    if called <= failed - MIN_LEAD_S:
        return cost.urgent + cost.damage
    if called < noticed:
        return 0.5 * (cost.urgent + cost.damage)
    return 0.0
