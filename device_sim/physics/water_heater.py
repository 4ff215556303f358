"""Tankless gas water heater: draws of hot water, a modulating burner, a fan, a flame rod, scale from hard water.

Codes in the style of Rinnai (domain facts, section 3): 10, 11, 12, 14, 16, 61, LC. Other figures [K].
"""

from __future__ import annotations

from typing import Final

import numpy as np

from device_sim.failure.modes import FailureMode
from device_sim.physics.units import Severities, Units, severity
from device_sim.physics.weather import mains_water
from device_sim.randomness import Floats, normal, uniform
from protocols.messages import Channel

DRAW_CELL_S: Final = 300.0
"""At most one draw starts in so many seconds."""

_SET_TEMPERATURE: Final = 48.0
_RATED_KW: Final = 28.0


class WaterHeater:
    """A condensing tankless heater; between draws everything but the electronics rests."""

    name = "water_heater"
    annual_failure_rate = 0.055  # 4-7 % a year: domain facts, section 5
    channels: tuple[Channel, ...] = (
        Channel(name="burner", role="mode"),
        Channel(name="waterFlow", unit="l/min", resolution=0.1),
        Channel(name="inletTemp", unit="degC", resolution=0.5),
        Channel(name="outletTemp", unit="degC", resolution=0.5),
        Channel(name="gasValve", unit="%", resolution=0.5),
        Channel(name="fanSpeed", unit="rpm", resolution=10.0),
        Channel(name="fanCurrent", unit="A", resolution=0.01),
        Channel(name="exhaustTemp", unit="degC", resolution=0.5),
        Channel(name="flameCurrent", unit="uA", resolution=0.1),
        Channel(name="ignitionTries", resolution=1.0),
    )
    summary = channels
    modes: tuple[FailureMode, ...] = (
        FailureMode("scale", "heat_exchanger", "16", 0.28, 110.0, 0.4, code_at=0.93, code_probability=0.85,
                    early_codes=0.08, notice_hours=60.0, wear="wear-out"),
        FailureMode("flame_rod", "flame_rod", "12", 0.24, 45.0, 0.5, shape=1.2, code_at=0.9,
                    code_probability=0.9, early_codes=0.3, notice_hours=8.0),
        FailureMode("combustion_fan", "combustion_fan", "61", 0.16, 35.0, 0.5, shape=1.4, code_at=0.94,
                    code_probability=0.9, early_codes=0.1, notice_hours=6.0, wear="wear-out"),
        FailureMode("exhaust_blocked", "flue", "10", 0.12, 14.0, 0.6, shape=1.2, code_at=0.95,
                    code_probability=0.9, early_codes=0.1, notice_hours=8.0, season="winter"),
        FailureMode("thermal_fuse", "thermal_fuse", "14", 0.12, 0.0, code_probability=0.95, notice_hours=6.0),
        FailureMode("thermistor_drift", "outlet_thermistor", "33", 0.08, 20.0, code_probability=0.6,
                    notice_hours=40.0, sensor="outletTemp", wear="random"),
    )  # fmt: skip

    def observe(self, at: Floats, units: Units, severities: Severities, averaged: bool) -> Floats:
        """Readings, shape (times, units, channels); averaged: over the burner's time, NaN without a draw."""
        scale, rod = severity(severities, "scale"), severity(severities, "flame_rod")
        fan, flue = severity(severities, "combustion_fan"), severity(severities, "exhaust_blocked")
        fused = severity(severities, "thermal_fuse")
        step = np.floor(at).astype(np.int64)
        drawing, flow = _draws(at, units, averaged)
        burning = drawing * (1.0 - fused) * (rod < 1.0) * (flue < 1.0)
        inlet = mains_water(at) + 1.5 * units.offset("inlet")

        efficiency = 0.93 * units.spread("burner", 0.02) * (1.0 - 0.22 * scale) * (1.0 - 0.05 * flue)
        kilowatts = flow * 4.186 / 60.0 * (_SET_TEMPERATURE - inlet) / efficiency
        valve = np.clip(100.0 * kilowatts / (_RATED_KW * units.load_factor), 8.0, 100.0)
        achieved = np.minimum(_RATED_KW * units.load_factor * efficiency * 60.0 / (4.186 * np.maximum(flow, 0.1)),
                              _SET_TEMPERATURE - inlet)  # fmt: skip
        hunting = (0.3 + 2.4 * scale) * normal(units.keys, (at // 20).astype(np.int64), "hunting")
        outlet = inlet + achieved + hunting * (0.3 if averaged else 1.0)
        rpm = (
            (1700.0 + 32.0 * valve)
            * np.where(units.revised(at), 1.05, 1.0)
            * units.spread("fan", 0.02)
            * (1.0 + 0.12 * flue - 0.06 * fan)
        )
        amperes = 0.18 * (rpm / 3000.0) ** 2 * units.spread("fan motor", 0.04) * (1.0 + 0.6 * fan + 0.15 * flue)
        exhaust = 36.0 + 2.0 * units.offset("exhaust") + 0.22 * valve + 32.0 * scale + 15.0 * flue
        flame = 7.5 * units.spread("rod", 0.08) * (1.0 - 0.85 * rod) * (0.8 + 0.002 * valve)
        tries = 1.0 + np.floor(uniform(units.keys, _cell(at), "ignite") * (1.0 + 2.6 * rod + 0.8 * flue))
        wobble = np.broadcast_to(normal(units.keys, step, "wobble"), np.broadcast_shapes(at.shape, (len(units),)))
        rest = np.nan if averaged else 0.0

        def lit(value: Floats, otherwise: float | Floats) -> Floats:
            return np.where(burning > 0, value, otherwise)

        columns = (
            np.where(burning > 0, 1.0, 0.0),
            np.where(drawing > 0, flow, 0.0),
            inlet + 0.15 * wobble,
            lit(outlet + 0.15 * wobble, np.nan if averaged else 24.0),
            lit(valve * (1.0 + 0.01 * wobble), rest),
            lit(rpm * (1.0 + (0.006 + 0.03 * fan) * wobble), rest),
            lit(amperes * (1.0 + 0.02 * wobble), rest),
            lit(exhaust + 0.4 * wobble, np.nan if averaged else 24.0),
            lit(flame * (1.0 + 0.03 * wobble), rest),
            lit(tries, rest),
        )
        return np.stack(np.broadcast_arrays(*columns), axis=-1)


def _cell(at: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return (at // DRAW_CELL_S).astype(np.int64)


def _draws(at: Floats, units: Units, averaged: bool) -> tuple[Floats, Floats]:
    """Whether hot water is drawn (0 or 1) and its flow, l/min; averaged: whether any draw fell in the hour."""
    cell = _cell(at)
    likely = np.clip(0.11 * units.activity(at), 0.0, 0.9)
    if averaged:
        likely = 1.0 - (1.0 - likely) ** 12
    happens = uniform(units.keys, cell, "draw") < likely
    flow = 3.0 + 6.5 * uniform(units.keys, cell, "flow") ** 2
    length = DRAW_CELL_S * (0.2 + 0.8 * uniform(units.keys, cell, "length"))
    now = happens if averaged else happens & (at % DRAW_CELL_S < length)
    return np.where(now, 1.0, 0.0), flow
