"""What a failing sensor does to its channel: drift, then noise and spikes, at last it sticks (open or short).

Shapes from domain facts, section 4 ("NTC sensor: stuck, bias, noise, spike"). Magnitudes [K].
"""

from __future__ import annotations

from typing import Final

import numpy as np

from device_sim.physics.units import Units
from device_sim.randomness import Floats, normal, uniform

OPEN_CIRCUIT: Final = -40.0
"""What an open thermistor reads, deg C."""


def misreport(values: Floats, wrong: Floats, at: Floats, units: Units) -> Floats:
    """The readings of a faulty sensor, shape (times, units).

    wrong: severity 0..1, shape broadcastable to values. Up to 0.99 the sensor drifts by up to 6 units of its
    channel, its noise grows and it spikes; at failure it reads an open circuit.
    """
    index = np.floor(at).astype(np.int64)
    side = np.where(uniform(units.keys, np.zeros(1, np.int64), "sensor/side") < 0.5, -1.0, 1.0)
    drift = 6.0 * side * wrong
    noise = 1.2 * wrong * normal(units.keys, index, "sensor/noise")
    spike = np.where(uniform(units.keys, index, "sensor/spike") < 0.01 * wrong, 25.0, 0.0)
    return np.where(wrong >= 0.99, OPEN_CIRCUIT, values + drift + noise + spike)


def quantised(values: Floats, resolutions: Floats) -> Floats:
    """Readings rounded to each channel's resolution (0: not rounded); the last axis is the channels."""
    step = np.where(resolutions > 0.0, resolutions, 1.0)
    return np.where(resolutions > 0.0, np.round(values / step) * step, values)
