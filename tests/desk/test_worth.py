"""What a ticket is worth, and what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cloud.desk.priority import worth
from cloud.registry.costs import Costs

COSTS = Costs.load()
SEVERITIES = ("low", "medium", "high", "critical")
families = st.sampled_from((*COSTS.by_family, "unheard_of"))


@given(family=families, severity=st.sampled_from(SEVERITIES), p=st.floats(0, 1), q=st.floats(0, 1))
def test_a_likelier_fault_is_worth_no_less(family: str, severity: str, p: float, q: float) -> None:
    low, high = sorted((p, q))
    assert worth(low, severity, family, COSTS).value <= worth(high, severity, family, COSTS).value


@given(family=families, p=st.floats(0.01, 1))
def test_a_graver_fault_is_worth_more(family: str, p: float) -> None:
    values = [worth(p, severity, family, COSTS).value for severity in SEVERITIES]
    assert values == sorted(values)


def test_the_figure_and_its_sentence() -> None:
    found = worth(0.5, "high", "dryer", COSTS)
    assert found.value == pytest.approx(0.5 * 220 - 6 - 0.5 * 89)
    assert found.sentence["en"].startswith("50% likely, 220 of damage to avoid (high)")
    assert set(found.sentence) == {"en", "zh"}


def test_a_costs_file_of_ones_own_and_what_is_wrong_with_it(tmp_path: Path) -> None:
    path = tmp_path / "costs.toml"
    path.write_text("[default]\ncall = 1\nvisit = 2\ndamage = { low = 1, medium = 2, high = 3, critical = 4 }\n")
    assert worth(1.0, "critical", "washer", Costs.load(path)).value == 3.0
    path.write_text("[default]\ncall = -1\nvisit = 2\ndamage = {}\n")
    with pytest.raises(ValidationError, match="call"):
        Costs.load(path)
