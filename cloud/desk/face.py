"""Pure: what a ticket shows, made from the cases that it gathers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cloud.desk.decide import Outlook
from cloud.desk.priority import worth
from cloud.registry.costs import Costs

PREDICTED_SEVERITY = "medium"  # [K] of an anomaly that no dictionary entry explains


@dataclass(frozen=True, slots=True)
class Face:
    """The columns of a ticket that follow from its cases."""

    gtin: str
    serial: str
    model: str
    definition_no: int | None
    severity: str
    safety: str
    probability: float
    expected_value: float
    rank_reason: dict[str, str]
    customer_words: dict[str, str]
    likely_part: str | None
    detected_at: datetime
    failed_at: datetime | None


def face(cases: Sequence[Outlook], costs: Costs) -> Face:
    """What a ticket of these cases shows; they are complete, and at least one.

    The leading case is a reported one if there is one (the appliance itself says so), else the likeliest prediction.
    The appliance has failed from the first report whose code means that it does not do its work.
    """
    leading = max(cases, key=lambda c: (c.standing, c.source == "reported", c.probability, -c.case_no))
    if leading.gtin is None or leading.serial is None or leading.model is None:
        raise ValueError(f"case {leading.case_no} lacks codes; no ticket can show it")
    severity = leading.severity or PREDICTED_SEVERITY
    value = worth(leading.probability, severity, leading.family or "", costs)
    return Face(
        gtin=leading.gtin,
        serial=leading.serial,
        model=leading.model,
        definition_no=leading.definition_no,
        severity=severity,
        safety=leading.safety or "none",
        probability=leading.probability,
        expected_value=value.value,
        rank_reason=value.sentence,
        customer_words=_words(leading),
        likely_part=_part(leading),
        detected_at=min(case.occurred_at for case in cases),
        failed_at=min((c.occurred_at for c in cases if c.source == "reported" and c.stops), default=None),
    )


def _words(case: Outlook) -> dict[str, str]:
    if case.source == "reported" and case.customer_words:
        return case.customer_words
    names = case.family_name or {}
    en, zh = names.get("en", "appliance").lower(), names.get("zh", names.get("en", "电器"))
    if case.meaning:
        expected_en, expected_zh = case.meaning.get("en", ""), case.meaning.get("zh", case.meaning.get("en", ""))
        return {
            "en": f"Your {en} still works, but its own readings tell us that a fault is on its way: {expected_en}. "
            "We would like to put it right before it troubles you.",
            "zh": f"您的{zh}目前仍可使用，但它的运行数据显示可能即将出现故障：{expected_zh}。"
            "我们希望在影响您之前处理好。",
        }
    return {
        "en": f"Your {en} has lately behaved differently from what is normal for it. "
        "We would like to check it before it becomes a nuisance.",
        "zh": f"您的{zh}最近的运行状态与平时不同。我们希望在给您带来不便之前检查一下。",
    }


def _part(case: Outlook) -> str | None:
    if case.likely_parts:
        return case.likely_parts[0]
    named: Any = (case.reason or {}).get("part")
    return named if isinstance(named, str) else None
