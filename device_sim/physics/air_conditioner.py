"""Inverter air conditioner: outdoor temperature and room give the load, the load the compressor's frequency.

Channels after the Haier hOn frame and Midea's groups (domain facts, section 1). Undercharge: capacity -8..-22 %
and EER -4..-6 % at 15 % (homeenergy.org, cited there); superheat, discharge temperature and valve opening rise.
Other figures [K].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from device_sim.failure.modes import FailureMode
from device_sim.physics.units import Severities, Units, severity
from device_sim.physics.weather import indoor
from device_sim.randomness import Floats, normal, smooth, uniform
from protocols.messages import Channel

UNDERCHARGE_AT_FAILURE: Final = 0.5
_OFF, _COOLING, _HEATING = 0.0, 1.0, 2.0


@dataclass(frozen=True)
class _Demand:
    """What the room asks for: mode, and load as a share of the rated capacity; shape (times, units)."""

    mode: Floats
    load: Floats
    room: Floats
    outside: Floats

    @property
    def running(self) -> Floats:
        return np.where(self.mode > _OFF, 1.0, 0.0)

    @property
    def cooling(self) -> Floats:
        return np.where(self.mode == _COOLING, 1.0, 0.0)


class AirConditioner:
    """A split unit that cools, and in most homes heats."""

    name = "air_conditioner"
    annual_failure_rate = 0.08  # 6-10 % a year: domain facts, section 5
    channels: tuple[Channel, ...] = (
        Channel(name="operMode", role="mode"),
        Channel(name="power", unit="W", resolution=1.0),
        Channel(name="roomTemp", unit="degC", resolution=0.5),
        Channel(name="outdoorTemp", unit="degC", resolution=1.0),
        Channel(name="indoorCoilTemp", unit="degC", resolution=0.5),
        Channel(name="dischargeTemp", unit="degC", resolution=1.0),
        Channel(name="compressorFrequency", unit="Hz", resolution=1.0),
        Channel(name="compressorCurrent", unit="A", resolution=0.1),
        Channel(name="expansionValve", unit="steps", resolution=1.0),
        Channel(name="fanSpeed", unit="rpm", resolution=8.0),
    )
    summary = channels
    modes: tuple[FailureMode, ...] = (
        FailureMode("refrigerant_leak", "refrigerant_circuit", "EC", 0.26, 65.0, 0.5, shape=0.9, code_at=0.92,
                    code_probability=0.65, early_codes=0.05, notice_hours=120.0, season="summer"),
        FailureMode("dirty_filter", "air_filter", "F1", 0.20, 60.0, 0.4, code_at=0.9,
                    code_probability=0.4, notice_hours=140.0, season="summer", self_cured=0.5),
        FailureMode("fan_bearing", "indoor_fan_motor", "E3", 0.14, 30.0, 0.5, shape=1.6, code_at=0.93,
                    code_probability=0.8, early_codes=0.2, notice_hours=30.0, wear="wear-out"),
        FailureMode("compressor_wear", "compressor", "P0", 0.14, 75.0, 0.5, shape=1.3, code_at=0.9,
                    code_probability=0.85, early_codes=0.12, notice_hours=20.0, wear="wear-out"),
        FailureMode("communication", "outdoor_board", "E1", 0.14, 0.0, code_probability=0.95, notice_hours=10.0,
                    wear="infant"),
        FailureMode("thermistor_drift", "coil_thermistor", "E4", 0.12, 25.0, code_probability=0.6,
                    notice_hours=100.0, sensor="indoorCoilTemp", wear="random"),
    )  # fmt: skip

    def observe(self, at: Floats, units: Units, severities: Severities, averaged: bool) -> Floats:
        """Readings, shape (times, units, channels); see ContinuousFamily."""
        filth, bearing = severity(severities, "dirty_filter"), severity(severities, "fan_bearing")
        dead = severity(severities, "communication")
        want = _demand(at, units)
        circuit = _circuit(at, units, severities, want)
        running = want.running * (1.0 - dead)
        side = 2.0 * want.cooling - 1.0  # a room that is not conditioned gets warmer in summer, colder in winter
        drift = side * (2.2 * circuit.shortfall * running + 2.0 * want.running * dead)
        fan = 1120.0 * units.spread("fan", 0.02) * (1.0 - 0.12 * filth - 0.1 * bearing)
        step = np.floor(at).astype(np.int64)

        def noise(channel: str, deviation: float | Floats) -> Floats:
            return deviation * normal(units.keys, step, channel) * (0.4 if averaged else 1.0)

        def when_running(value: Floats, otherwise: Floats | float) -> Floats:
            return running * value + (1.0 - running) * otherwise

        columns = (
            want.mode,
            np.maximum(when_running(circuit.watts, 3.0) + noise("power", 1.0 + 8.0 * running), 0.0),
            want.room + drift + noise("roomTemp", 0.2),
            want.outside + noise("outdoorTemp", 0.4),
            when_running(circuit.coil, want.room) + noise("indoorCoilTemp", 0.3),
            when_running(circuit.discharge, want.outside) + noise("dischargeTemp", 0.8),
            when_running(circuit.hertz, 0.0),
            np.maximum(when_running(circuit.amperes, 0.0) + noise("compressorCurrent", 0.05 * running), 0.0),
            when_running(circuit.valve, 0.0),
            np.maximum(when_running(fan, 0.0) + noise("fanSpeed", running * (8.0 + 60.0 * bearing)), 0.0),
        )
        return np.stack(np.broadcast_arrays(*columns), axis=-1)


@dataclass(frozen=True)
class _Circuit:
    """The refrigerant circuit while it runs; shortfall: the share of the load that full speed cannot deliver."""

    hertz: Floats
    amperes: Floats
    watts: Floats
    discharge: Floats
    valve: Floats
    coil: Floats
    shortfall: Floats


def _circuit(at: Floats, units: Units, severities: Severities, want: _Demand) -> _Circuit:
    filth, wear = severity(severities, "dirty_filter"), severity(severities, "compressor_wear")
    undercharge = UNDERCHARGE_AT_FAILURE * severity(severities, "refrigerant_leak")
    capacity = units.spread("capacity", 0.04) * units.load_factor * (1.0 - undercharge) * (1.0 - 0.3 * filth)
    capacity = capacity * np.where(units.revised(at), 0.88, 1.0)
    need = want.load / np.maximum(capacity, 0.1)
    hertz = np.clip(78.0 * need * (1.0 + 0.04 * smooth(units.keys, at, 1500.0, "ripple")), 22.0, 98.0)
    amperes = hertz * 0.085 * units.spread("winding", 0.04) * (1.0 - 0.25 * undercharge) * (1.0 + 0.4 * wear)
    lift = np.abs(want.outside - want.room)
    coil_lift = (10.0 + 0.07 * hertz) * (1.0 - 0.75 * undercharge + 0.35 * filth)
    return _Circuit(
        hertz=hertz,
        amperes=amperes,
        watts=25.0 + 230.0 * amperes * 0.93 * (0.8 + 0.008 * lift),
        discharge=want.outside * 0.55 + 38.0 + 0.34 * hertz + 46.0 * undercharge + 9.0 * filth + 7.0 * wear,
        valve=np.minimum(150.0 + 2.6 * hertz + 420.0 * undercharge, 500.0),
        coil=want.room + np.where(want.cooling > 0, -1.0, 1.9) * coil_lift,
        shortfall=np.maximum(need * 78.0 / 98.0 - 1.0, 0.0),
    )


def _demand(at: Floats, units: Units) -> _Demand:
    """Cooling above 23 deg C outdoors, heating below 13 in the homes that heat with it; off when nobody is there."""
    outside = units.outdoor(at)
    heats = uniform(units.keys, np.zeros(1, np.int64), "heats") < 0.85
    home = units.activity(at) > 0.12
    heat = (outside < 13.0) & heats & home
    cool = (outside > 23.0) & home
    mode = np.where(cool, _COOLING, np.where(heat, _HEATING, _OFF))
    load = np.where(cool, 0.28 + (outside - 23.0) / 20.0, 0.28 + (13.0 - outside) / 32.0)
    load = np.clip(load * units.spread("room", 0.1), 0.2, 1.1)
    free = indoor(outside) + 0.5 * smooth(units.keys, at, 10_800.0, "room")
    room = np.where(cool, 25.0 + 0.15 * (free - 25.0), np.where(heat, 21.0 + 0.15 * (free - 21.0), free))
    return _Demand(mode, load, room, outside)
