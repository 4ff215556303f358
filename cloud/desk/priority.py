"""Pure: what acting on a ticket is worth, and why it ranks where it does.

worth = probability x damage avoided - price of the call - (1 - probability) x price of a needless visit
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class FamilyCosts(BaseModel):
    """Prices of one family, in the currency of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    call: float = Field(ge=0)
    visit: float = Field(ge=0)
    damage: dict[str, float]
    self_help_solves: float = Field(default=0.4, ge=0, le=1)


@dataclass(frozen=True, slots=True)
class Costs:
    """Prices by family; a family that the file does not name has the default ones."""

    default: FamilyCosts
    by_family: dict[str, FamilyCosts]

    @classmethod
    def load(cls, path: Path | None = None) -> Costs:
        """Read a costs file (None: the one that ships). ValueError or ValidationError: what is wrong with it."""
        text = path.read_text() if path else (files("cloud.desk") / "costs.toml").read_text()
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


@dataclass(frozen=True, slots=True)
class Worth:
    """An expected value in the costs' currency, and the sentence that explains it, by language."""

    value: float
    sentence: dict[str, str]


def worth(probability: float, severity: str, family: str, costs: Costs) -> Worth:
    """What acting is worth: the order of the queue."""
    prices = costs.of(family)
    damage = prices.damage[severity]
    needless = (1.0 - probability) * prices.visit
    value = probability * damage - prices.call - needless
    return Worth(
        round(value, 2),
        {
            "en": f"{probability:.0%} likely, {damage:.0f} of damage to avoid ({severity}), less "
            f"{prices.call:.0f} for the call and {needless:.0f} for the chance of a needless visit: worth {value:.0f}.",
            "zh": f"可能性 {probability:.0%}，可避免损失 {damage:.0f}（{_SEVERITY_ZH[severity]}），"
            f"减去通话费用 {prices.call:.0f} 和可能白跑一趟的费用 {needless:.0f}：净值 {value:.0f}。",
        },
    )


_SEVERITY_ZH = {"low": "轻微", "medium": "中等", "high": "严重", "critical": "危急"}
