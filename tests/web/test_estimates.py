"""Rates and shares with their uncertainty; properties and published figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.web.reads.estimates import chance_of_rise, discoveries, median_survival, rate, share

counts = st.integers(0, 10_000)


@given(counts, st.floats(0.01, 1e6))
def test_a_rate_lies_within_its_interval(count: int, exposure: float) -> None:
    found = rate(count, exposure)
    assert found is not None
    assert found.low <= found.value <= found.high


@given(st.integers(1, 10_000), st.data())
def test_a_share_lies_within_its_interval_and_the_interval_within_0_and_1(among: int, data: st.DataObject) -> None:
    found = share(data.draw(st.integers(0, among)), among)
    assert found is not None
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


def test_wilson_and_jeffreys_as_published() -> None:
    wilson = share(81, 263)  # Newcombe 1998, table I, method 3
    assert wilson is not None
    assert (round(wilson.low, 4), round(wilson.high, 4)) == (0.2553, 0.3662)
    jeffreys = rate(10, 1.0)  # chi-square quantiles of 21 degrees of freedom, halved
    assert jeffreys is not None
    assert (round(jeffreys.low, 2), round(jeffreys.high, 2)) == (5.14, 17.74)
    assert rate(3, 0.0) is None
    assert share(0, 0) is None


@given(counts, st.floats(0.1, 100), counts, st.floats(0.1, 100))
def test_the_chance_of_a_rise_is_a_probability_and_more_faults_make_it_less(
    count: int, exposure: float, before: int, exposure_before: float
) -> None:
    chance = chance_of_rise(count, exposure, before, exposure_before)
    assert 0 <= chance <= 1
    assert chance_of_rise(count + 1, exposure, before, exposure_before) <= chance + 1e-9


def test_discoveries_of_benjamini_and_hochberg_1995() -> None:
    chances = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
               0.7590, 1.0000]  # fmt: skip
    assert discoveries(chances) == {0, 1, 2, 3}  # as in their section 3.1
    assert discoveries([]) == set()


def test_the_median_takes_what_was_cut_off_into_account() -> None:
    assert median_survival([(1, False, 1), (2, False, 1), (3, False, 1)]) == 2
    assert median_survival([(1, True, 2), (2, False, 1), (5, False, 1)]) == pytest.approx(2)
    assert median_survival([(1, False, 1), (9, True, 5)]) is None
    assert median_survival([]) is None
