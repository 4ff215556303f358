"""A scenario for showing: a small mixed fleet in which known faults grow, fail and are noticed within some days.

The physics, households, codes and noise are those of every simulated fleet. Only the onsets are placed by hand,
and growth is compressed into the span, so that something happens while somebody looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from device_sim.failure.life import Life, Span, plan_episode
from device_sim.failure.modes import Episode, FailureMode
from device_sim.fleet.population import Appliance, World, with_life
from device_sim.physics.catalogue import FAMILIES
from device_sim.randomness import dice


@dataclass(frozen=True, slots=True)
class Placed:
    """A fault placed in the span: its kind, and onset and failure as shares of the span (onset may be before 0)."""

    family: str
    kind: str
    onset: float
    failure: float


STORY: tuple[Placed, ...] = (
    Placed("washer", "drain_pump", -0.05, 0.45),
    Placed("fridge", "defrost_heater", 0.02, 0.5),
    Placed("dishwasher", "drain_pump", 0.0, 0.6),
    Placed("fridge", "evaporator_fan", 0.05, 0.7),
    Placed("water_heater", "flame_rod", 0.03, 0.62),
    Placed("air_conditioner", "refrigerant_leak", 0.0, 0.85),
    Placed("washer", "bearing", 0.15, 0.9),
    Placed("dryer", "lint_blockage", 0.1, 0.95),
    Placed("fridge", "refrigerant_leak", 0.25, 1.2),
    Placed("water_heater", "scale", 0.3, 1.3),
    Placed("dishwasher", "leak", 0.55, 0.55),
    Placed("fridge", "thermistor_drift", 0.35, 0.9),
)
"""What happens, in order of interest: the first ones speak early, two outlive the span, one is abrupt, one a sensor."""

EARLY_CODES_A_SPAN = 40.0
"""Passing reports of a code over the span at full severity, so that the first comes early."""


def demo_fleet(
    seed: int, start: float, end: float, appliances: int = 40, appliances_per_gateway: int = 4
) -> tuple[World, tuple[Appliance, ...]]:
    """The demo's world and its appliances, with the story's faults placed on the first fitting devices.

    start, end: event time, s. A fleet too small for the whole story tells as much of it as it has devices for.
    """
    span = Span(start, end)
    world = World(
        seed=seed,
        span=span,
        appliances=appliances,
        appliances_per_gateway=appliances_per_gateway,
        failure_scale=0.0,
        wifi_a_year=20.0,
        power_a_year=4.0,
    )
    return world, _told(seed, world.populate(), span)


def _told(seed: int, fleet: Sequence[Appliance], span: Span) -> tuple[Appliance, ...]:
    told = list(fleet)
    taken: set[int] = set()
    for number, placed in enumerate(STORY):
        fitting = [one.number for one in fleet if one.model.family == placed.family and one.number not in taken]
        complete = [one for one in fitting if not fleet[one].silences] or fitting
        if not complete:
            continue
        chosen = complete[0]
        taken.add(chosen)
        appliance = fleet[chosen]
        life = Life((_episode(seed, number, placed, appliance, span),), appliance.life.spurious)
        told[chosen] = with_life(appliance, life)
    return tuple(told)


def _episode(seed: int, number: int, placed: Placed, appliance: Appliance, span: Span) -> Episode:
    days = (span.end - span.start) / 86_400.0
    mode = _hastened(next(mode for mode in FAMILIES[placed.family].modes if mode.kind == placed.kind), days)
    onset = span.start + placed.onset * (span.end - span.start)
    failure = span.start + placed.failure * (span.end - span.start)
    code = appliance.model.codes.get(mode.kind, mode.code)
    return plan_episode(
        dice(seed, "story", str(number)), mode, onset, failure, span=span, household=appliance.household, code=code
    )


def _hastened(mode: FailureMode, days: float) -> FailureMode:
    """The same mode, speaking and noticed on the scale of the span, and never cured by its user."""
    return replace(
        mode,
        early_codes=EARLY_CODES_A_SPAN / days if mode.early_codes > 0.0 else 0.0,
        code_probability=1.0 if mode.code_probability > 0.0 else 0.0,
        notice_hours=min(mode.notice_hours, 1.2 * days),
        self_cured=0.0,
    )
