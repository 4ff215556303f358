"""Who owns what: a population of appliances drawn from a seed, with households, products and planned lives."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from device_sim.failure.life import Life, Span, plan_life
from device_sim.failure.silence import Silence, plan_silences
from device_sim.fleet.models import Model, models_of
from device_sim.people.household import Household
from device_sim.physics.catalogue import FAMILIES
from device_sim.physics.units import Units, region_keys
from device_sim.physics.weather import YEAR
from device_sim.randomness import dice, key

DEFAULT_MIX: dict[str, float] = {
    "fridge": 0.24,
    "washer": 0.24,
    "air_conditioner": 0.18,
    "dishwasher": 0.14,
    "water_heater": 0.12,
    "dryer": 0.08,
}
"""Shares of the families in a fleet [K]."""


@dataclass(frozen=True, slots=True)
class Appliance:
    """One appliance: the codes that name it, where it stands, and the life it will have.

    born_at: first use, event time in s. revised_at: when a revised firmware comes (infinite: never).
    """

    number: int
    device: str
    gateway: str
    user: str
    model: Model
    serial: str
    lot: str
    produced_at: float
    born_at: float
    household: Household
    life: Life
    silences: tuple[Silence, ...]
    revised_at: float = float("inf")

    def silent_at(self, at: float) -> bool:
        """Whether the device says nothing at event time `at` (Wi-Fi, power, unbound)."""
        return any(silence.start <= at < silence.end for silence in self.silences)

    def heard_at(self, at: float) -> float:
        """When what happens at event time `at` is told: then, or when the silence of that time ends."""
        for silence in self.silences:  # in order of their start: one may begin before another ends
            if silence.start <= at < silence.end:
                at = silence.end
        return at


@dataclass(frozen=True, slots=True)
class FirmwareChange:
    """A revised firmware: at `at` (event time, s) it comes to `share` of the devices of `families`."""

    at: float
    share: float = 1.0
    families: frozenset[str] = frozenset()


@dataclass(frozen=True)
class World:
    """What a population is drawn from. The same world gives the same appliances, byte for byte.

    seed: of every draw. span: event time simulated. appliances: how many. appliances_per_gateway: neighbours
    on one gateway. failure_scale: factor on all failure rates (1 = domain facts, section 5). mix: share by
    family. wifi_a_year, power_a_year: silences a device-year. firmware: a change that comes to part of the fleet.
    """

    seed: int
    span: Span
    appliances: int
    appliances_per_gateway: int = 4
    failure_scale: float = 1.0
    mix: dict[str, float] = field(default_factory=lambda: dict(DEFAULT_MIX))
    wifi_a_year: float = 6.0
    power_a_year: float = 1.5
    firmware: FirmwareChange | None = None

    def populate(self) -> tuple[Appliance, ...]:
        """Draw every appliance."""
        return tuple(self._appliance(number) for number in range(self.appliances))

    def _appliance(self, number: int) -> Appliance:
        rng = dice(self.seed, "appliance", str(number))
        family = _nth_family(self.mix, number, self.seed)
        model = rng.choices(models_of(family), weights=[model.weight for model in models_of(family)])[0]
        device = f"{key(self.seed, f'chip/{number}'):016x}"
        gateway_number = number // self.appliances_per_gateway
        household = Household.drawn(dice(self.seed, "household", str(gateway_number)))
        age = _drawn_age(rng)
        born_at = self.span.start - age * YEAR
        produced_at = born_at - rng.uniform(20.0, 160.0) * 86_400.0
        return Appliance(
            number=number,
            device=device,
            gateway=f"gw-{key(self.seed, f'gateway/{gateway_number}') >> 32:08x}",
            user=f"u-{key(self.seed, f'user/{gateway_number}') >> 24:010x}",
            model=model,
            serial=f"{key(self.seed, f'serial/{number}') % 10**10:010d}",
            lot=f"L{int((produced_at % YEAR) // (7 * 86_400)):02d}{rng.randrange(10)}",
            produced_at=produced_at,
            born_at=born_at,
            household=household,
            life=self._life(device, model, born_at, household),
            silences=plan_silences(dice(self.seed, "silences", device), self.span, self.wifi_a_year, self.power_a_year),
            revised_at=self._revision(device, family),
        )

    def _life(self, device: str, model: Model, born_at: float, household: Household) -> Life:
        family = FAMILIES[model.family]
        return plan_life(
            dice(self.seed, "life", device),
            family.modes,
            annual_rate=family.annual_failure_rate * self.failure_scale,
            born_at=born_at,
            span=self.span,
            household=household,
            codes=dict(model.codes),
        )

    def _revision(self, device: str, family: str) -> float:
        change = self.firmware
        if change is None or (change.families and family not in change.families):
            return float("inf")
        return change.at if dice(self.seed, "firmware", device).random() < change.share else float("inf")


def units_of(seed: int, appliances: Sequence[Appliance]) -> Units:
    """The physics' view of some appliances of one family, in their order."""
    homes = [appliance.household for appliance in appliances]
    return Units(
        keys=np.array([key(seed, f"noise/{appliance.device}") for appliance in appliances], np.uint64),
        regions=np.array([home.region for home in homes], np.int64),
        region_keys=region_keys(seed),
        members=np.array([home.members for home in homes], np.float64),
        away=np.array([home.away for home in homes], np.float64),
        hardness=np.array([home.hardness for home in homes], np.float64),
        load_factor=np.array([appliance.model.load_factor for appliance in appliances], np.float64),
        revised_at=np.array([appliance.revised_at for appliance in appliances], np.float64),
    )


def with_life(appliance: Appliance, life: Life) -> Appliance:
    """The same appliance with another life (a scenario that places its faults by hand)."""
    return replace(appliance, life=life)


def _drawn_age(rng: random.Random) -> float:
    """Age in years at the start of the span: mostly young, since connected appliances are."""
    return min(rng.expovariate(1.0 / 3.0), 12.0)


def _nth_family(mix: dict[str, float], number: int, seed: int) -> str:
    """Families in their shares even for a small fleet: a low-discrepancy walk (golden ratio) over the mix."""
    families = sorted(name for name, share in mix.items() if share > 0)
    total = sum(mix[name] for name in families)
    place = ((number + 0.5) * 0.6180339887498949 + (seed % 997) / 997.0) % 1.0 * total
    for name in families:
        place -= mix[name]
        if place < 0.0:
            return name
    return families[-1]
