"""Every simulated family by name."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from device_sim.physics.families import ContinuousFamily, CyclicFamily
from device_sim.physics.fridge import Fridge

CONTINUOUS: Final = MappingProxyType[str, ContinuousFamily]({family.name: family for family in (Fridge(),)})
CYCLIC: Final = MappingProxyType[str, CyclicFamily]({})
FAMILIES: Final = MappingProxyType[str, ContinuousFamily | CyclicFamily]({**CONTINUOUS, **CYCLIC})
