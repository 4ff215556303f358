"""What calls and visits cost and what a fault costs when nobody acts, by family of appliance: ``costs.toml``.

One file for the whole product: the detector reads off it from which probability on a call pays, the desk in which
order tickets are worth acting on.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

UNKNOWN_SEVERITY = "medium"  # of a fault that is only suspected


class FamilyCosts(BaseModel):
    """Prices of one family, in the currency of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    call: float = Field(ge=0)
    visit: float = Field(ge=0)
    damage: dict[str, float]
    self_help_solves: float = Field(default=0.4, ge=0, le=1)

    def saved(self, severity: str = UNKNOWN_SEVERITY) -> float:
        """What a right call saves."""
        return self.damage[severity] - self.call

    def needless(self) -> float:
        """What a call for nothing costs, with the visit that follows it."""
        return self.call + self.visit

    def least_probability(self, severity: str = UNKNOWN_SEVERITY) -> float:
        """The probability at which a call begins to pay (Elkan 2001); 1 where none does."""
        return min(self.needless() / max(self.saved(severity) + self.needless(), 1e-9), 1.0)


@dataclass(frozen=True, slots=True)
class Costs:
    """Prices by family; a family that the file does not name has the default ones."""

    default: FamilyCosts
    by_family: dict[str, FamilyCosts]

    @classmethod
    def load(cls, path: Path | None = None) -> Costs:
        """Read a costs file (None: the one that ships). ValueError or ValidationError: what is wrong with it."""
        text = path.read_text() if path else (files("cloud.registry") / "costs.toml").read_text()
        table = tomllib.loads(text)
        default = FamilyCosts.model_validate(table["default"])
        named = {
            name: FamilyCosts.model_validate({**table["default"], **prices})
            for name, prices in table.get("family", {}).items()
        }
        return cls(default, named)

    def of(self, family: str) -> FamilyCosts:
        """The prices of a family."""
        return self.by_family.get(family, self.default)
