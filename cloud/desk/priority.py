"""Pure: what acting on a ticket is worth, and why it ranks where it does.

worth = probability x damage avoided - price of the call - (1 - probability) x price of a needless visit
"""

from __future__ import annotations

from dataclasses import dataclass

from cloud.registry.costs import Costs


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
