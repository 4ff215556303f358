"""Every simulated family by name."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from device_sim.physics.air_conditioner import AirConditioner
from device_sim.physics.dishwasher import Dishwasher
from device_sim.physics.dryer import Dryer
from device_sim.physics.families import ContinuousFamily, CyclicFamily
from device_sim.physics.fridge import Fridge
from device_sim.physics.washer import Washer
from device_sim.physics.water_heater import WaterHeater

_continuous: tuple[ContinuousFamily, ...] = (Fridge(), AirConditioner(), WaterHeater())
_cyclic: tuple[CyclicFamily, ...] = (Washer(), Dishwasher(), Dryer())

CONTINUOUS: Final = MappingProxyType({family.name: family for family in _continuous})
CYCLIC: Final = MappingProxyType({family.name: family for family in _cyclic})
FAMILIES: Final = MappingProxyType[str, ContinuousFamily | CyclicFamily]({**CONTINUOUS, **CYCLIC})
