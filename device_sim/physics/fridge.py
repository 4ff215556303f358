"""Fridge-freezer: a heat balance gives the compressor's duty; frost, dust, seals and gas change the balance.

Channel names as Haier hOn reports them (domain facts, section 1), the rest in its style. Figures [K] except
where a source is named.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from device_sim.failure.modes import FailureMode
from device_sim.physics.units import Severities, Units, severity
from device_sim.physics.weather import humidity, indoor
from device_sim.randomness import Floats, normal, smooth, uniform
from protocols.messages import Channel

CYCLE_S: Final = 2_700.0  # a compressor's on-off period
DEFROST_EVERY_S: Final = 43_200.0
DEFROST_S: Final = 1_500.0


class Fridge:
    """A no-frost fridge-freezer with one compressor, an evaporator fan and a defrost heater."""

    name = "fridge"
    annual_failure_rate = 0.045  # 3-6 % a year: domain facts, section 5
    channels: tuple[Channel, ...] = (
        Channel(name="tempZ1", unit="degC", resolution=0.1),
        Channel(name="tempZ2", unit="degC", resolution=0.1),
        Channel(name="tempEnv", unit="degC", resolution=0.5),
        Channel(name="humidityEnv", unit="%", resolution=1.0),
        Channel(name="power", unit="W", resolution=1.0),
        Channel(name="condenserTemp", unit="degC", resolution=0.5),
        Channel(name="evaporatorTemp", unit="degC", resolution=0.5),
        Channel(name="fanCurrent", unit="A", resolution=0.001),
        Channel(name="compressor", unit="", resolution=0.0, role="mode"),
    )
    summary = (*channels[:-1], Channel(name="compressorDuty", resolution=0.001))
    modes: tuple[FailureMode, ...] = (
        FailureMode("defrost_heater", "defrost_heater", "Er dH", 0.22, 6.0, 0.35, shape=1.3, code_at=0.85,
                    code_probability=0.7, notice_hours=14.0),
        FailureMode("evaporator_fan", "freezer_fan", "Er FF", 0.18, 12.0, 0.5, shape=1.5, code_at=0.8,
                    early_codes=0.5, notice_hours=12.0),
        FailureMode("door_seal", "door_seal", "Er SL", 0.12, 75.0, 0.4, code_probability=0.0,
                    notice_hours=60.0, wear="wear-out"),
        FailureMode("condenser_dust", "condenser_fan", "Er CF", 0.14, 120.0, 0.4, code_at=0.95, code_probability=0.4,
                    notice_hours=72.0, wear="wear-out", season="summer", self_cured=0.3),
        FailureMode("refrigerant_leak", "sealed_system", "Er gF", 0.18, 28.0, 0.5, shape=0.8, code_at=0.9,
                    code_probability=0.6, notice_hours=16.0, season="summer"),
        FailureMode("board", "main_board", "Er CO", 0.09, 0.0, notice_hours=8.0, wear="random"),
        FailureMode("thermistor_drift", "fridge_thermistor", "Er rS", 0.07, 20.0, code_probability=0.3,
                    notice_hours=60.0, sensor="tempZ1", wear="random"),
    )  # fmt: skip

    def observe(self, at: Floats, units: Units, severities: Severities, averaged: bool) -> Floats:
        """Readings, shape (times, units, channels); see ContinuousFamily."""
        frost, fan = severity(severities, "defrost_heater"), severity(severities, "evaporator_fan")
        seal, dust = severity(severities, "door_seal"), severity(severities, "condenser_dust")
        leak, dead = severity(severities, "refrigerant_leak"), severity(severities, "board")
        outside = units.outdoor(at)
        ambient = indoor(outside) + 2.0 * units.offset("kitchen") + 0.8 * smooth(units.keys, at, 7200.0, "kitchen")
        damp = humidity(at, units.region_keys, outside[:, :1])[:, units.regions] + 8.0 * units.activity(at)
        openings = units.activity(at) * (1.0 + 0.3 * normal(units.keys, (at // 600).astype(np.int64), "doors"))

        load = _load(units, ambient, damp, openings, seal)
        airflow = (1.0 - 0.68 * frost) * (1.0 - 0.68 * fan)
        capacity = 165.0 * units.spread("compressor", 0.05) * units.load_factor
        capacity = capacity * airflow * (1.0 - 0.75 * leak) * (1.0 - 0.62 * dust) * (1.0 - dead)
        capacity = capacity * (1.0 - 0.007 * (ambient - 21.0)) * np.where(units.revised(at), 0.9, 1.0)
        need = load / np.maximum(capacity, 1.0)
        duty = np.minimum(need, 1.0) * (1.0 - dead)
        warm = 14.0 * (1.0 - np.exp(-np.maximum(need - 1.0, 0.0) * 1.1))

        running, phase = _compressor(at, units, duty, averaged)
        swing = np.zeros_like(phase) if averaged else 0.7 * (np.abs(2.0 * phase - 1.0) - 0.5)
        lift = 11.0 * (1.0 + 1.3 * dust) * (1.0 - 0.4 * leak)
        condenser = ambient + lift * (0.35 * duty + 0.65 * running)
        evaporator = -8.0 - running * (16.0 + 7.0 * frost + 5.0 * fan - 9.0 * leak) + warm
        watts = (82.0 + 1.1 * (condenser - 30.0)) * units.spread("motor", 0.04) * (1.0 - 0.3 * leak)
        current = 0.12 * units.spread("fan", 0.05) * (1.0 + 0.55 * frost + 0.7 * fan)
        defrosting = _defrosting(at, units, averaged) * (1.0 - dead)
        step = np.floor(at).astype(np.int64)

        def noise(channel: str, deviation: float) -> Floats:
            return deviation * normal(units.keys, step, channel)

        columns = (
            4.0 + swing + 0.5 * openings + 2.2 * frost + 1.8 * fan + 1.2 * seal + warm + noise("tempZ1", 0.15),
            -18.0 + 1.6 * swing + 0.25 * openings + 0.4 * fan + 1.3 * warm + 3.0 * defrosting + noise("tempZ2", 0.2),
            ambient + noise("tempEnv", 0.2),
            damp + noise("humidityEnv", 1.5),
            np.maximum(4.0 + watts * running + 190.0 * defrosting * (1.0 - frost) + noise("power", 1.5), 0.0),
            condenser + noise("condenserTemp", 0.3),
            evaporator + 22.0 * defrosting * (1.0 - frost) + noise("evaporatorTemp", 0.4),
            np.maximum(current * running + noise("fanCurrent", 0.003), 0.0),
            running,
        )
        return np.stack(np.broadcast_arrays(*columns), axis=-1)


def _load(units: Units, ambient: Floats, damp: Floats, openings: Floats, seal: Floats) -> Floats:
    """Heat that enters, W: through the walls, the seal, and with the moist air of each opening of the door."""
    walls = 2.3 * units.spread("walls", 0.06) * (1.0 + 1.9 * seal) * (ambient + 4.0)
    return np.asarray(walls + 9.0 * openings * (0.5 + damp / 100.0))


def _compressor(at: Floats, units: Units, duty: Floats, averaged: bool) -> tuple[Floats, Floats]:
    """Whether the compressor runs (0 or 1; its duty when averaged) and the place 0..1 in its cycle."""
    offset = uniform(units.keys, np.zeros(1, np.int64), "phase")
    turn = at / (CYCLE_S * units.spread("cycle", 0.1)) + offset
    phase = turn - np.floor(turn)
    if averaged:
        return duty, phase
    threshold = duty * (1.0 + 0.06 * normal(units.keys, np.floor(turn).astype(np.int64), "cycle"))
    return np.where((phase < threshold) | (duty >= 0.999), 1.0, 0.0), phase


def _defrosting(at: Floats, units: Units, averaged: bool) -> Floats:
    turn = at / DEFROST_EVERY_S + uniform(units.keys, np.zeros(1, np.int64), "defrost")
    if averaged:
        return np.full(np.broadcast_shapes(at.shape, (len(units),)), DEFROST_S / DEFROST_EVERY_S)
    return np.where((turn - np.floor(turn)) * DEFROST_EVERY_S < DEFROST_S, 1.0, 0.0)
