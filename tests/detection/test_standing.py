"""What codes that stand are worth: counted by how long they stood, taught by findings and failures."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.detection.standing import LEVELS_S, PRIOR, StandingCodes

HOUR, DAY = 3600.0, 86400.0


def codes() -> StandingCodes:
    return StandingCodes(soon_s=14 * DAY, settle_s=21 * DAY)


def spell(found: StandingCodes, row: int, began: float, lasted: float, code: str = "E1") -> None:
    found.raised(row, 0, code, began)
    found.cleared(row, code, began + lasted)


def worth(found: StandingCodes, hours: float, code: str = "E1", cohort: int = 0) -> float:
    return found.worth(cohort, {code: 0.0}, hours * HOUR)


def test_untaught_a_code_is_worth_its_prior_by_how_long_it_stood():
    assert [worth(codes(), level / HOUR) for level in LEVELS_S] == pytest.approx(PRIOR)
    assert codes().worth(0, {}, 0.0) == 0.0


def test_spells_that_ended_at_a_repair_teach_every_level_on_their_way():
    found = codes()
    for row in range(30):
        found.raised(row, 0, "E1", row * HOUR)
        found.failed(row, row * HOUR + 10 * HOUR, row * HOUR + 2 * DAY, 1.0)
        found.cleared(row, "E1", row * HOUR + 3 * DAY)
    found.learn_due(30 * DAY)
    assert worth(found, 0.2) > 0.9, "all of them were right, so the first minutes were as well"


def test_codes_that_go_by_themselves_are_no_argument_against_those_that_stand():
    found = codes()
    for row in range(40):
        spell(found, row, row * HOUR, 300.0)
    before = worth(found, 2.0)
    found.learn_due(60 * DAY)
    assert worth(found, 0.0) < 0.5 * PRIOR[0]
    assert worth(found, 2.0) == before


def test_a_code_that_stands_for_nothing_is_told_from_one_that_means_it():
    found = codes()
    for row in range(20):
        spell(found, row, 0.0, 5 * DAY, "remind")
        spell(found, row, 0.0, 5 * DAY, "broken")
    for row in range(20, 40):
        found.raised(row, 0, "broken", DAY)
        found.judged(row, 2 * DAY, right=True, weight=1.0)
    found.learn_due(60 * DAY)
    assert worth(found, 6.0, "remind") < worth(found, 6.0, "new") < worth(found, 6.0, "broken")
    assert worth(found, 6.0, "broken", cohort=1) == worth(found, 6.0, "new"), "another model's code is another code"


def test_failures_and_health_are_learnt_at_one_age_and_findings_at_once():
    found = codes()
    for row in range(3):
        spell(found, row, 0.0, 2 * DAY)
    found.failed(0, DAY, 2 * DAY, 1.0)
    found.learn_due(20 * DAY)
    assert worth(found, 6.0) == pytest.approx(PRIOR[5])
    found.judged(1, DAY, right=False, weight=1.0)
    assert found.all_codes[5].tolist() == [0.0, 1.0]
    found.learn_due(22 * DAY)
    assert found.all_codes[5].tolist() == [1.0, 2.0], "each spell teaches once"


def test_a_random_check_weighs_what_it_stands_for():
    found = codes()
    spell(found, 0, 0.0, DAY)
    found.judged(0, HOUR, right=True, weight=50.0)
    assert found.all_codes[0].tolist() == [50.0, 0.0]


def test_what_was_learnt_long_ago_fades():
    found = codes()
    for k in range(2000):
        spell(found, 0, k * DAY, HOUR)
        found.judged(0, k * DAY, right=True, weight=1.0)
    for k in range(2000, 2900):
        spell(found, 0, k * DAY, HOUR)
        found.judged(0, k * DAY, right=False, weight=1.0)
    assert worth(found, 0.0) < 0.2


spells = st.tuples(
    st.integers(0, 3), st.floats(0, 40 * DAY), st.floats(0, 30 * DAY), st.sampled_from(["none", "fails", "yes", "no"])
)


@given(st.lists(spells, max_size=25))
def test_each_spell_counts_once_at_each_level_that_it_passed(drawn):
    found = codes()
    ordered = sorted(drawn, key=lambda s: s[1])
    for row, began, lasted, outcome in ordered:
        found.learn_due(began)
        found.raised(row, 0, "E1", began)
        if outcome == "fails":
            found.failed(row, began, began, 1.0)
        elif outcome != "none":
            found.judged(row, began, outcome == "yes", 1.0)
        found.cleared(row, "E1", began + lasted)
    raised = len(ordered)
    found.learn_due(200 * DAY)
    assert not found.open
    assert not found.of_row
    totals = found.all_codes.sum(axis=1)
    assert totals[0] <= raised
    assert (np.diff(totals) <= 1e-9).all(), "no more spells pass a level than passed the one before"
    assert 0.0 < worth(found, 3.0) < 1.0
    again = pickle.loads(pickle.dumps(found))
    assert worth(again, 3.0) == worth(found, 3.0)
