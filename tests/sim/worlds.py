"""Small worlds for the simulator's tests. Their times are fixed, so that every figure in a test stands."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from device_sim.failure.life import Life, Span
from device_sim.failure.modes import CodeReport, Episode, FailureMode
from device_sim.fleet.population import Appliance, World
from device_sim.physics.catalogue import FAMILIES
from device_sim.randomness import Floats

DAY = 86_400.0
START = 1_767_225_600.0  # 2026-01-01 00:00:00 UTC
JULY = START + 181 * DAY


def world(days: float = 365.0, appliances: int = 60, seed: int = 7, start: float = START, **more: object) -> World:
    """A world of some days."""
    return World(seed=seed, span=Span(start, start + days * DAY), appliances=appliances, **more)  # type: ignore[arg-type]


def quiet(appliance: Appliance) -> Appliance:
    """The same appliance without faults, spurious codes and silences."""
    return replace(appliance, life=Life((), ()), silences=())


def of_family(family: str, number: int = 1, seed: int = 7, start: float = START, days: float = 30.0) -> list[Appliance]:
    """Healthy, never silent appliances of one family."""
    return [quiet(one) for one in world(days, number, seed, start, mix={family: 1.0}).populate()]


def mode_of(family: str, kind: str) -> FailureMode:
    """A failure mode by name."""
    return next(mode for mode in FAMILIES[family].modes if mode.kind == kind)


def stricken(appliance: Appliance, kind: str, onset: float, failure: float, code: str = "X") -> Appliance:
    """The same appliance with one fault that grows from onset to failure and is never repaired."""
    mode = mode_of(appliance.model.family, kind)
    episode = Episode(
        mode, onset, onset, failure, failure + DAY, None, failure - onset, (CodeReport(code, failure, failure + DAY),)
    )
    return replace(appliance, life=Life((episode,), ()))


def column(start: float, seconds: float, step: float) -> Floats:
    """Event times as a column."""
    return np.arange(start, start + seconds, step).reshape(-1, 1)


def digest(*arrays: Floats) -> str:
    """The first 16 hexadecimal digits of the arrays' SHA-256."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]
