"""Dishwasher: fill, heat and wash, drain, rinse, dry. Codes in the style of Bosch (domain facts, section 3). [K]"""

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

_TARGET: Final = np.array([50.0, 65.0, 45.0])  # eco, intensive, quick
_WASH_S: Final = np.array([5400.0, 4200.0, 1500.0])
_DRY_S: Final = np.array([1800.0, 1500.0, 600.0])
_HEATER_W: Final = 1900.0
_HEAT_CAPACITY: Final = 4.2 * 4186.0 + 9000.0  # 4.2 l of water, and what is washed with it: J/K
_IDLE, _FILL, _HEAT, _WASH, _DRAIN, _RINSE, _DRY = range(7)


class Dishwasher(CyclicAppliance):
    """A dishwasher with a heating circulation pump and a drain pump."""

    name = "dishwasher"
    annual_failure_rate = 0.07  # 6-9 % a year: domain facts, section 5
    runs_a_person_day = 0.24
    program_weights = (0.6, 0.22, 0.18)
    channels: tuple[Channel, ...] = (
        Channel(name="prPhase", role="mode"),
        Channel(name="power", unit="W", resolution=1.0),
        Channel(name="waterTemp", unit="degC", resolution=0.5),
        Channel(name="turbidity", unit="NTU", resolution=1.0),
        Channel(name="pumpCurrent", unit="A", resolution=0.005),
        Channel(name="fillTime", unit="s", resolution=0.5),
        Channel(name="heatTime", unit="s", resolution=1.0),
        Channel(name="drainTime", unit="s", resolution=0.5),
    )
    summary: tuple[Channel, ...] = (
        Channel(name="program", role="mode"),
        Channel(name="cycleTime", unit="s", resolution=1.0),
        Channel(name="energy", unit="Wh", resolution=1.0),
        Channel(name="waterTemp", unit="degC", resolution=0.5),
        Channel(name="turbidity", unit="NTU", resolution=1.0),
        Channel(name="pumpCurrent", unit="A", resolution=0.005),
        Channel(name="fillTime", unit="s", resolution=0.5),
        Channel(name="heatTime", unit="s", resolution=1.0),
        Channel(name="drainTime", unit="s", resolution=0.5),
    )
    modes: tuple[FailureMode, ...] = (
        FailureMode("drain_pump", "drain_pump", "E24", 0.30, 22.0, 0.5, code_at=0.96, code_probability=0.9,
                    early_codes=0.25, notice_hours=4.0, self_cured=0.15),
        FailureMode("filter_clog", "drain_filter", "E22", 0.14, 30.0, 0.5, code_at=0.9, code_probability=0.7,
                    early_codes=0.1, notice_hours=40.0, self_cured=0.45),
        FailureMode("heater_scale", "heat_pump_unit", "E09", 0.20, 130.0, 0.4, code_probability=0.8,
                    notice_hours=48.0, wear="wear-out"),
        FailureMode("inlet_valve", "inlet_valve", "E18", 0.12, 35.0, 0.5, shape=1.4, code_at=0.97,
                    code_probability=0.9, notice_hours=6.0),
        FailureMode("leak", "base_pan_seal", "E15", 0.12, 0.0, code_probability=0.95, notice_hours=3.0),
        FailureMode("board", "main_board", "E01", 0.07, 0.0, code_probability=0.7, notice_hours=5.0,
                    wear="infant"),
        FailureMode("thermistor_drift", "water_thermistor", "E02", 0.05, 25.0, code_probability=0.6,
                    notice_hours=60.0, sensor="waterTemp", wear="random"),
    )  # fmt: skip

    def _run(self, runs: Runs, severities: Severities) -> tuple[Floats, Floats]:
        clog, filth = runs.severity(severities, "drain_pump"), runs.severity(severities, "filter_clog")
        scale, valve = runs.severity(severities, "heater_scale"), runs.severity(severities, "inlet_valve")
        litres = 4.2 * runs.units.load_factor[runs.unit]
        flow = 3.6 * runs.spread("valve", 0.07) * runs.pressure() / (1.0 + 2.2 * valve)
        fill = 60.0 * litres / flow * (1.0 + 0.03 * runs.normal("fill"))
        cold = mains_water(runs.start) + 3.0
        power = _HEATER_W * runs.spread("heater", 0.04) * runs.revised(0.9) * (1.0 - 0.38 * scale)
        crockery = 0.85 + 0.3 * runs.uniform("crockery")
        heat = _HEAT_CAPACITY * crockery * (_TARGET[runs.program] - cold) / power * (1.0 + 0.1 * filth)
        heat = np.minimum(heat, 2400.0) * (1.0 + 0.02 * runs.normal("heat"))
        reached = cold + heat * power / (_HEAT_CAPACITY * crockery * (1.0 + 0.1 * filth))
        drain = (
            42.0 * runs.spread("pump", 0.06) * (1.0 + 1.3 * clog + 0.35 * filth) * (1.0 + 0.05 * runs.normal("drain"))
        )
        current = 0.26 * runs.spread("winding", 0.04) * (1.0 + 0.4 * clog) * (1.0 + 0.02 * runs.normal("pump"))
        soil = 55.0 * (0.7 + 0.6 * runs.uniform("soil")) * (1.0 + 0.9 * filth)
        wash, dry = _WASH_S[runs.program], _DRY_S[runs.program]
        phases = np.stack((fill, heat, wash, drain, 2.0 * (fill + drain) + 700.0, dry), axis=1)
        energy = (power * heat * 1.35 + 65.0 * (wash + phases[:, 4])) / 3600.0
        features = (
            runs.program.astype(np.float64), phases.sum(axis=1), energy, reached, soil, current, fill, heat, drain,
        )  # fmt: skip
        return np.stack(features, axis=1), phases

    def _instant(self, at: Floats, units: Units, cycles: Cycles, place: Moment, held: Floats) -> Floats:
        phase = place.phase
        step = np.floor(at[:, 0]).astype(np.int64)
        now = cycles.features[place.run] if len(cycles) else np.zeros((len(at), len(self.summary)))
        cold = mains_water(at)[:, 0] + 3.0
        hot = now[:, 3]
        temperature = np.select(
            [phase == _HEAT, phase == _WASH, (phase == _DRAIN) | (phase == _RINSE), phase == _DRY],
            [
                cold + (hot - cold) * place.fraction,
                hot - 9.0 * place.fraction,
                cold + 14.0,
                hot - 8.0 - 15.0 * place.fraction,
            ],
            20.0,
        )
        heating = _HEATER_W * units.spread("heater", 0.04)[0]
        watts = np.array([1.0, 8.0, heating, 65.0, 30.0, 180.0, 6.0])[phase]
        murk = np.where((phase >= _HEAT) & (phase <= _RINSE), now[:, 4] * (1.0 - 0.25 * (phase == _RINSE)), 4.0)
        wobble = normal(units.keys, step, "instant")
        columns = (
            phase.astype(np.float64),
            np.maximum(watts * (1.0 + 0.03 * wobble), 0.0),
            temperature + 0.2 * wobble,
            np.maximum(murk * (1.0 + 0.05 * wobble), 0.0),
            np.where(phase == _DRAIN, now[:, 5] * (1.0 + 0.02 * wobble), 0.0),
            held[:, 6], held[:, 7], held[:, 8],
        )  # fmt: skip
        return np.stack(columns, axis=1)
