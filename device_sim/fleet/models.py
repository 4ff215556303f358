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


MODELS: tuple[Model, ...] = (
    Model("FR-480", "fridge", _gtin(480_001), 0.6),
    Model("FR-330", "fridge", _gtin(330_001), 0.4, 0.92),
    Model("WM-90", "washer", _gtin(90_001), 0.6),
    Model("WM-70", "washer", _gtin(70_001), 0.4, 0.85),
    Model("AC-35", "air_conditioner", _gtin(35_001), 0.55),
    Model("AC-50", "air_conditioner", _gtin(50_001), 0.45, 1.15),
    Model("WH-16", "water_heater", _gtin(16_001), 1.0),
    Model("DW-14", "dishwasher", _gtin(14_001), 1.0),
    Model("DR-80", "dryer", _gtin(80_001), 1.0),
)


def models_of(family: str) -> tuple[Model, ...]:
    """The models of one family; never empty for a family that is simulated."""
    return tuple(model for model in MODELS if model.family == family)
