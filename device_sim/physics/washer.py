"""Washing machine: fill, heat, wash, drain, rinse, spin. Each fault lengthens or shakes its own part of the run.

Drain times of 35 s healthy to 90 s clogged: domain facts, section 4. Other figures [K].
"""

from __future__ import annotations

from typing import Final

import numpy as np

from device_sim.failure.modes import FailureMode
from device_sim.physics.cyclic import CyclicAppliance, Moment, Runs
from device_sim.physics.families import Cycles
from device_sim.physics.units import Severities, Units
from device_sim.physics.weather import mains_water
from device_sim.randomness import Floats, normal
from protocols.messages import Channel

_TARGET: Final = np.array([40.0, 30.0, 60.0, 20.0])  # cotton 40, quick 30, cotton 60, cold
_WASH_S: Final = np.array([3300.0, 1200.0, 4200.0, 1500.0])
_LITRES: Final = np.array([15.0, 11.0, 16.0, 13.0])
_HEATER_W: Final = 2000.0
_IDLE, _FILL, _HEAT, _WASH, _DRAIN, _RINSE, _SPIN = range(7)


class Washer(CyclicAppliance):
    """A front loader with an electric heater and a drain pump."""

    name = "washer"
    annual_failure_rate = 0.058  # 5-8 % a year: domain facts, section 5
    runs_a_person_day = 0.26
    program_weights = (0.45, 0.25, 0.18, 0.12)
    channels: tuple[Channel, ...] = (
        Channel(name="prPhase", role="mode"),
        Channel(name="power", unit="W", resolution=1.0),
        Channel(name="waterTemp", unit="degC", resolution=0.5),
        Channel(name="drumSpeed", unit="rpm", resolution=1.0),
        Channel(name="vibration", unit="mm/s", resolution=0.01),
        Channel(name="pumpCurrent", unit="A", resolution=0.005),
        Channel(name="fillTime", unit="s", resolution=0.5),
        Channel(name="heatTime", unit="s", resolution=1.0),
        Channel(name="drainTime", unit="s", resolution=0.5),
        Channel(name="spinVibration", unit="mm/s", resolution=0.01),
    )
    summary: tuple[Channel, ...] = (
        Channel(name="program", role="mode"),
        Channel(name="cycleTime", unit="s", resolution=1.0),
        Channel(name="energy", unit="Wh", resolution=1.0),
        Channel(name="water", unit="l", resolution=0.1),
        Channel(name="waterTemp", unit="degC", resolution=0.5),
        Channel(name="pumpCurrent", unit="A", resolution=0.005),
        Channel(name="fillTime", unit="s", resolution=0.5),
        Channel(name="heatTime", unit="s", resolution=1.0),
        Channel(name="drainTime", unit="s", resolution=0.5),
        Channel(name="spinVibration", unit="mm/s", resolution=0.01),
    )
    modes: tuple[FailureMode, ...] = (
        FailureMode("drain_pump", "drain_pump", "5E", 0.24, 24.0, 0.5, code_at=0.97, code_probability=0.9,
                    early_codes=0.25, notice_hours=2.0),
        FailureMode("bearing", "drum_bearing", "UE", 0.18, 110.0, 0.4, shape=1.4, code_at=0.9,
                    code_probability=0.6, early_codes=0.2, notice_hours=48.0, wear="wear-out"),
        FailureMode("inlet_mesh", "inlet_mesh", "4E", 0.14, 45.0, 0.5, shape=1.5, code_at=0.97,
                    code_probability=0.9, early_codes=0.15, notice_hours=3.0, self_cured=0.25),
        FailureMode("heater_scale", "heater", "HE", 0.16, 140.0, 0.4, code_at=1.0, code_probability=0.85,
                    notice_hours=24.0, wear="wear-out"),
        FailureMode("door_lock", "door_lock", "dE", 0.12, 0.0, code_probability=0.95, notice_hours=1.0,
                    wear="infant"),
        FailureMode("leak", "tub_gasket", "LE", 0.09, 0.0, code_probability=0.7, notice_hours=2.0),
        FailureMode("thermistor_drift", "water_thermistor", "tE1", 0.07, 25.0, code_probability=0.6,
                    notice_hours=60.0, sensor="waterTemp", wear="random"),
    )  # fmt: skip

    def _run(self, runs: Runs, severities: Severities) -> tuple[Floats, Floats]:
        clog, bearing = runs.severity(severities, "drain_pump"), runs.severity(severities, "bearing")
        mesh, scale = runs.severity(severities, "inlet_mesh"), runs.severity(severities, "heater_scale")
        litres = _LITRES[runs.program] * (0.75 + 0.5 * runs.uniform("laundry")) * runs.units.load_factor[runs.unit]
        flow = 9.0 * runs.spread("valve", 0.07) * runs.pressure() / (1.0 + 2.5 * mesh)
        fill = 60.0 * litres / flow
        cold = mains_water(runs.start)
        rise = np.maximum(_TARGET[runs.program] - cold, 0.0)
        power = _HEATER_W * runs.spread("heater", 0.04) * runs.revised(0.9) * (1.0 - 0.4 * scale)
        heat = np.minimum(litres * 4186.0 * rise / power, 2700.0) * (1.0 + 0.03 * runs.normal("heat"))
        drain = 35.0 * runs.spread("pump", 0.06) * (0.7 + 0.3 * litres / 14.0) * (1.0 + 1.55 * clog)
        drain = drain * runs.revised(1.12) * (1.0 + 0.05 * runs.normal("drain"))
        current = 0.22 * runs.spread("winding", 0.04) * (1.0 + 0.45 * clog) * (1.0 + 0.02 * runs.normal("pump"))
        unbalance = np.abs(runs.normal("unbalance"))
        vibration = 2.4 * runs.spread("mount", 0.12) * (1.0 + 0.35 * unbalance) * (1.0 + 1.8 * bearing)
        respins = np.floor(unbalance * 0.8 + 2.5 * bearing * runs.uniform("respin"))
        wash = _WASH_S[runs.program]
        spin = 480.0 * (1.0 + 0.35 * respins)
        phases = np.stack((fill, heat, wash, drain, 2.0 * (fill + drain) + 600.0, spin), axis=1)
        energy = (power * heat + 160.0 * wash + 120.0 * phases[:, 4] + 320.0 * (1.0 + 0.25 * bearing) * spin) / 3600.0
        reached = cold + heat * power / (litres * 4186.0)
        features = (
            runs.program.astype(np.float64), phases.sum(axis=1), energy, 3.0 * litres, reached, current,
            fill, heat, drain, vibration,
        )  # fmt: skip
        return np.stack(features, axis=1), phases

    def _instant(self, at: Floats, units: Units, cycles: Cycles, place: Moment, held: Floats) -> Floats:
        phase = place.phase
        step = np.floor(at[:, 0]).astype(np.int64)
        now = cycles.features[place.run] if len(cycles) else np.zeros((len(at), len(self.summary)))
        cold = mains_water(at)[:, 0]
        lukewarm = now[:, 4] - 6.0 * place.fraction
        warming = cold + (now[:, 4] - cold) * place.fraction
        temperature = np.select([phase == _HEAT, phase == _WASH], [warming, lukewarm], cold)
        heating = _HEATER_W * units.spread("heater", 0.04)[0]
        watts = np.array([1.0, 12.0, heating, 160.0, 35.0, 120.0, 320.0])[phase]
        rpm = np.array([0.0, 0.0, 45.0, 45.0, 0.0, 50.0, 1150.0])[phase] * np.where(
            phase == _SPIN, np.minimum(1.0, place.fraction * 4.0), 1.0
        )
        shake = np.where(phase == _SPIN, now[:, 9] * np.minimum(1.0, place.fraction * 4.0), 0.15 * (phase > 0))
        wobble = normal(units.keys, step, "instant")
        columns = (
            phase.astype(np.float64),
            np.maximum(watts * (1.0 + 0.03 * wobble), 0.0),
            temperature + 0.2 * wobble,
            rpm * (1.0 + 0.01 * wobble),
            np.maximum(shake * (1.0 + 0.06 * wobble), 0.0),
            np.where(phase == _DRAIN, now[:, 5] * (1.0 + 0.02 * wobble), 0.0),
            held[:, 6], held[:, 7], held[:, 8], held[:, 9],
        )  # fmt: skip
        return np.stack(columns, axis=1)
