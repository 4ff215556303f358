"""The models that the simulated fleet is made of: family, GTIN, design spread, and codes that differ by model.

GTINs carry the prefix 952, which GS1 reserves for demonstrations and examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Model:
    """One model. weight: its share of its family. load_factor: design spread, about 1.

    codes: fault code by kind of fault, where this model says it differently from its family.
    """

    model: str
    family: str
    gtin: str
    weight: float = 1.0
    load_factor: float = 1.0
    codes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def check_digit(first_thirteen: str) -> str:
    """The check digit of a GTIN-14 (GS1 General Specifications 7.9: weights 3, 1, 3, ... from the left)."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(first_thirteen))
    return str(-total % 10)


def _gtin(number: int) -> str:
    body = f"0952{number:09d}"
    return body + check_digit(body)


def _codes(**by_kind: str) -> Mapping[str, str]:
    return MappingProxyType(by_kind)


MODELS: tuple[Model, ...] = (
    Model("FR-480", "fridge", _gtin(480_001), 0.45),
    Model("FR-330", "fridge", _gtin(330_001), 0.3, 0.92),
    Model("FR-350", "fridge", _gtin(350_001), 0.25, 0.96, _codes(refrigerant_leak="Er rF", condenser_dust="")),
    Model("WM-90", "washer", _gtin(90_001), 0.6),
    Model("WM-70", "washer", _gtin(70_001), 0.4, 0.85),
    Model("AC-35", "air_conditioner", _gtin(35_001), 0.4),
    Model("AC-50", "air_conditioner", _gtin(50_001), 0.35, 1.15),
    Model("AC-26", "air_conditioner", _gtin(26_001), 0.25, 0.94, _codes(refrigerant_leak="E3", fan_bearing="E6")),
    Model("WH-16", "water_heater", _gtin(16_001), 0.6),
    Model("WH-12", "water_heater", _gtin(12_001), 0.4, 0.88, _codes(scale="LC0")),
    Model("DW-14", "dishwasher", _gtin(14_001), 0.55),
    Model("DW-10", "dishwasher", _gtin(10_001), 0.45, 0.9),
    Model("DR-80", "dryer", _gtin(80_001), 0.6),
    Model("DR-90", "dryer", _gtin(90_002), 0.4, 1.1),
)
"""The same code means different things on different models: E3 is the indoor fan on AC-35 and a leak on AC-26.

An empty code: this model has none for that fault. E6 of AC-26 stands in no dictionary, as happens.
"""


def models_of(family: str) -> tuple[Model, ...]:
    """The models of one family; never empty for a family that is simulated."""
    return tuple(model for model in MODELS if model.family == family)
