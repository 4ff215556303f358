"""Silence that is no failure: Wi-Fi loss, power cuts, and an app that was unbound. Rates are [K]."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from device_sim.failure.life import Span
from device_sim.physics.weather import YEAR

Cause = Literal["wifi", "power", "unbound"]


@dataclass(frozen=True, slots=True)
class Silence:
    """A device that does not report from `start` to `end` (event time, s), and why."""

    cause: Cause
    start: float
    end: float


def plan_silences(rng: random.Random, span: Span, wifi_a_year: float, power_a_year: float) -> tuple[Silence, ...]:
    """Draw a device's silences: Wi-Fi loss of hours (some homes many), power cuts, one app in sixty unbound a year."""
    found: list[Silence] = []
    flaky = rng.lognormvariate(0.0, 1.0)
    for cause, rate, median_h in (("wifi", wifi_a_year * flaky, 1.5), ("power", power_a_year, 0.8)):
        at = span.start
        while rate > 0.0:
            at += rng.expovariate(rate) * YEAR
            if at >= span.end:
                break
            length = median_h * 3600.0 * rng.lognormvariate(0.0, 1.2)
            found.append(Silence("wifi" if cause == "wifi" else "power", at, min(at + length, span.end)))
    unbound = span.start + rng.expovariate(1.0 / 60.0) * YEAR
    if unbound < span.end:
        found.append(Silence("unbound", unbound, span.end))
    return tuple(sorted(found, key=lambda silence: (silence.start, silence.cause)))
