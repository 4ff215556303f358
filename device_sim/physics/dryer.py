"""Heat-pump dryer: warm-up, dry, cool down. Lint chokes the air, gas escapes, the drum's bearing wears. [K]"""

from __future__ import annotations

from typing import Final

import numpy as np

from device_sim.failure.modes import FailureMode
from device_sim.physics.cyclic import CyclicAppliance, Moment, Runs
from device_sim.physics.families import Cycles
from device_sim.physics.units import Severities, Units
from device_sim.physics.weather import indoor
from device_sim.randomness import Floats, normal
from protocols.messages import Channel

_WATER_KG: Final = np.array([2.6, 1.6, 3.4])  # what cupboard-dry, quick and extra-dry have to evaporate
_IDLE, _WARM, _DRY, _COOL = range(4)


class Dryer(CyclicAppliance):
    """A condenser dryer with a heat pump."""

    name = "dryer"
    annual_failure_rate = 0.06
    runs_a_person_day = 0.17
    program_weights = (0.6, 0.25, 0.15)
    channels: tuple[Channel, ...] = (
        Channel(name="prPhase", role="mode"),
        Channel(name="power", unit="W", resolution=1.0),
        Channel(name="drumTemp", unit="degC", resolution=0.5),
        Channel(name="dischargeTemp", unit="degC", resolution=1.0),
        Channel(name="exhaustHumidity", unit="%", resolution=1.0),
        Channel(name="fanSpeed", unit="rpm", resolution=10.0),
        Channel(name="motorCurrent", unit="A", resolution=0.01),
        Channel(name="dryTime", unit="s", resolution=1.0),
        Channel(name="airflow", unit="m3/h", resolution=1.0),
    )
    summary: tuple[Channel, ...] = (
        Channel(name="program", role="mode"),
        Channel(name="cycleTime", unit="s", resolution=1.0),
        Channel(name="energy", unit="Wh", resolution=1.0),
        Channel(name="drumTemp", unit="degC", resolution=0.5),
        Channel(name="dischargeTemp", unit="degC", resolution=1.0),
        Channel(name="fanSpeed", unit="rpm", resolution=10.0),
        Channel(name="motorCurrent", unit="A", resolution=0.01),
        Channel(name="dryTime", unit="s", resolution=1.0),
        Channel(name="airflow", unit="m3/h", resolution=1.0),
    )
    modes: tuple[FailureMode, ...] = (
        FailureMode("lint_blockage", "lint_filter", "dL", 0.36, 50.0, 0.5, code_at=0.9,
                    code_probability=0.75, early_codes=0.1, notice_hours=48.0, self_cured=0.35),
        FailureMode("refrigerant_leak", "heat_pump", "dH", 0.18, 60.0, 0.4, shape=0.9, code_probability=0.6,
                    notice_hours=30.0),
        FailureMode("drum_bearing", "drum_bearing", "dM", 0.22, 90.0, 0.4, shape=1.4, code_at=0.95,
                    code_probability=0.5, notice_hours=30.0, wear="wear-out"),
        FailureMode("board", "main_board", "dC", 0.14, 0.0, notice_hours=4.0, wear="infant"),
        FailureMode("thermistor_drift", "drum_thermistor", "dT", 0.10, 30.0, code_probability=0.5,
                    notice_hours=60.0, sensor="drumTemp", wear="random"),
    )  # fmt: skip

    def _run(self, runs: Runs, severities: Severities) -> tuple[Floats, Floats]:
        lint, leak = runs.severity(severities, "lint_blockage"), runs.severity(severities, "refrigerant_leak")
        bearing = runs.severity(severities, "drum_bearing")
        dust = runs.uniform("lint") * 0.08  # what the last runs left in the filter
        airflow = 190.0 * runs.spread("duct", 0.05) * (1.0 - 0.55 * lint - dust)
        water = _WATER_KG[runs.program] * (0.7 + 0.6 * runs.uniform("laundry")) * runs.units.load_factor[runs.unit]
        rate = 1.75 * runs.spread("evaporator", 0.05) * (1.0 - 0.5 * leak) * (0.45 + 0.55 * airflow / 190.0)  # kg/h
        dry = np.minimum(water / rate, 2.6) * 3600.0 * runs.revised(1.1)
        warm = 600.0 * (1.0 + 0.6 * leak)
        room = indoor(runs.units.outdoor(runs.start.reshape(-1, 1))[np.arange(len(runs)), runs.unit])
        drum = (
            room
            + 36.0
            + 14.0 * lint
            - 9.0 * leak
            + 2.0 * runs.units.offset("drum")[runs.unit]
            + 1.0 * runs.normal("drum")
        )
        discharge = (
            room
            + 55.0
            + 16.0 * lint
            - 7.0 * leak
            + 2.5 * runs.units.offset("discharge")[runs.unit]
            + 1.5 * runs.normal("discharge")
        )
        fan = 2600.0 * runs.spread("fan", 0.02) * (1.0 + 0.14 * lint) * (1.0 + 0.01 * runs.normal("fan"))
        current = 0.92 * runs.spread("motor", 0.05) * (1.0 + 0.45 * bearing) * (1.0 + 0.02 * runs.normal("motor"))
        phases = np.stack((warm, dry, np.full(len(runs), 480.0)), axis=1)
        watts = 640.0 * (1.0 + 0.15 * lint - 0.2 * leak) + 150.0 * (current - 0.92)
        energy = (watts * (warm + dry) + 180.0 * 480.0) / 3600.0
        features = (
            runs.program.astype(np.float64), phases.sum(axis=1), energy, drum, discharge, fan, current, dry, airflow,
        )  # fmt: skip
        return np.stack(features, axis=1), phases

    def _instant(self, at: Floats, units: Units, cycles: Cycles, place: Moment, held: Floats) -> Floats:
        phase = place.phase
        step = np.floor(at[:, 0]).astype(np.int64)
        now = cycles.features[place.run] if len(cycles) else np.zeros((len(at), len(self.summary)))
        room = indoor(units.outdoor(at)[:, 0])
        level = np.select([phase == _WARM, phase == _DRY, phase == _COOL],
                          [place.fraction, np.ones(len(at)), 1.0 - place.fraction], 0.0)  # fmt: skip
        wobble = normal(units.keys, step, "instant")
        hours = np.maximum(now[:, 1] - 1080.0, 1.0) / 3600.0
        watts = np.where(phase == _COOL, 180.0, now[:, 2] / hours * (0.6 + 0.4 * level))
        running = phase > 0
        columns = (
            phase.astype(np.float64),
            np.where(running, np.maximum(watts * (1.0 + 0.03 * wobble), 0.0), 1.0),
            room + (now[:, 3] - room) * level + 0.3 * wobble,
            room + (now[:, 4] - room) * level + 0.5 * wobble,
            np.clip(50.0 + 42.0 * (phase == _DRY) * (1.0 - place.fraction) + wobble, 5.0, 100.0),
            np.where(running, now[:, 5] * (1.0 + 0.005 * wobble), 0.0),
            np.where(running, now[:, 6] * (1.0 + 0.02 * wobble), 0.0),
            held[:, 7], held[:, 8],
        )  # fmt: skip
        return np.stack(columns, axis=1)
