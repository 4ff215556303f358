"""Lives: what must hold of every planned fault, and the rates that come out over a population."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_sim.failure.hazard import bathtub, next_failure, season_factor
from device_sim.failure.life import Life, Span, plan_episode, plan_life
from device_sim.failure.modes import FailureMode
from device_sim.failure.silence import plan_silences
from device_sim.people.household import Household
from device_sim.physics.catalogue import FAMILIES
from tests.sim.worlds import DAY, JULY, START, mode_of, world

YEAR = 365.2425 * DAY
MODES = [(name, mode.kind) for name in sorted(FAMILIES) for mode in FAMILIES[name].modes]
PUBLISHED_RATES = {  # failures a device-year: domain facts, section 5; a dryer's is a guess
    "air_conditioner": (0.06, 0.10),
    "washer": (0.05, 0.08),
    "fridge": (0.03, 0.06),
    "dishwasher": (0.06, 0.09),
    "water_heater": (0.04, 0.07),
    "dryer": (0.03, 0.08),
}


def _lives(seed: int, family: str, scale: float = 30.0) -> Life:
    rng = random.Random(seed)
    return plan_life(
        rng,
        FAMILIES[family].modes,
        annual_rate=FAMILIES[family].annual_failure_rate * scale,
        born_at=START - 3 * YEAR,
        span=Span(START, START + YEAR),
        household=Household.drawn(rng),
        codes={},
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(sorted(FAMILIES)))
def test_what_happens_to_a_device_happens_in_order(seed: int, family: str) -> None:
    life = _lives(seed, family)
    for episode in life.episodes:
        moments = [episode.onset, episode.first_observable, episode.failed_at, episode.noticed_at, episode.ended_at]
        known = [at for at in moments if at is not None]
        if episode.failed_at is not None or episode.ended_at is None:  # a cured fault may end before it shows
            assert known == sorted(known)
        assert episode.onset < START + YEAR
        assert all(at >= START - 3 * YEAR for at in known)
        assert all(at < START + YEAR for at in moments[2:] if at is not None)
        for report in episode.codes:
            assert episode.onset <= report.raised_at < report.cleared_at
            assert episode.ended_at is None or report.cleared_at <= episode.ended_at
        spoken = [(report.raised_at, report.cleared_at) for report in episode.codes]
        assert spoken == sorted(spoken)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(sorted(FAMILIES)))
def test_a_part_fails_again_only_after_its_repair(seed: int, family: str) -> None:
    by_kind: dict[str, list[tuple[float, float]]] = {}
    for episode in _lives(seed, family).episodes:
        ended = math.inf if episode.ended_at is None else episode.ended_at
        by_kind.setdefault(episode.mode.kind, []).append((episode.onset, ended))
    for spans in by_kind.values():
        assert all(first[1] <= second[0] for first, second in pairwise(spans))


@given(st.sampled_from(MODES), st.integers(0, 10**6))
def test_severity_grows_from_nothing_to_failure_and_ends_with_the_repair(which: tuple[str, str], seed: int) -> None:
    mode = mode_of(*which)
    rng = random.Random(seed)
    length = max(mode.growth_days, 0.0) * DAY
    episode = plan_episode(
        rng, mode, START, START + length, span=Span(START, START + YEAR), household=Household.drawn(rng), code="X"
    )
    assert episode.severity_at(START - 1) == 0.0
    if episode.ended_at is not None:
        assert episode.severity_at(episode.ended_at) == 0.0
        stages = [episode.severity_at(START + share * (episode.ended_at - START - 1)) for share in (0.1, 0.4, 0.7, 1.0)]
        assert stages == sorted(stages)
        assert stages[0] >= 0.0
        assert stages[-1] <= 1.0
    if episode.failed_at is not None:
        assert episode.severity_at(episode.failed_at) == pytest.approx(1.0)


def test_the_hazard_is_a_bathtub() -> None:
    young, middle, old = bathtub(0.05), bathtub(3.0), bathtub(11.0)
    assert 2.0 <= young / bathtub(1.5) <= 3.0
    assert old > 1.8 * middle
    assert bathtub(0.05, "wear-out") < young
    assert bathtub(11.0, "infant") < old


def test_refrigeration_fails_most_in_july() -> None:
    months = [season_factor(START + month * YEAR / 12, "summer") for month in range(12)]
    assert months.index(max(months)) in (6, 7)
    assert sum(months) / 12 == pytest.approx(1.0, abs=0.01)
    assert season_factor(JULY, "all") == 1.0


def test_thinning_gives_the_rate_that_was_asked_for() -> None:
    mode = FailureMode("k", "p", "X", 1.0, 0.0, wear="random")
    rng = random.Random(1)
    found = [next_failure(rng, mode, 2.0, born_at=START, after=START, before=START + YEAR) for _ in range(4000)]
    failed = sum(at is not None for at in found)
    assert failed / 4000 == pytest.approx(1 - math.exp(-2.0 * 0.9), abs=0.02)


def test_a_year_of_a_fleet_has_the_published_failure_rates() -> None:
    fleet = world(365, 4000).populate()
    for family, (low, high) in PUBLISHED_RATES.items():
        mine = [one for one in fleet if one.model.family == family]
        failures = sum(e.failed_at is not None and not e.mode.sensor for one in mine for e in one.life.episodes)
        spread = 2.5 * math.sqrt(high * len(mine)) / len(mine)
        assert low - spread < failures / len(mine) < high + spread, f"{family}: {failures / len(mine):.3f}"


def test_codes_come_late_or_never_and_sometimes_without_a_fault() -> None:
    fleet = world(365, 3000).populate()
    failed = [e for one in fleet for e in one.life.episodes if e.failed_at is not None and e.noticed_at is not None]
    without = [e for e in failed if not e.codes]
    early = [e for e in failed if e.codes and e.codes[0].raised_at < e.failed_at]
    assert 0.1 < len(without) / len(failed) < 0.5
    assert 0.1 < len(early) / len(failed) < 0.8
    spurious = sum(len(one.life.spurious) for one in fleet)
    assert 0.25 < spurious / len(fleet) < 0.45


def test_a_model_without_a_code_for_a_fault_never_shows_one() -> None:
    life = plan_life(
        random.Random(3), [mode_of("fridge", "evaporator_fan")], annual_rate=50.0, born_at=START,
        span=Span(START, START + YEAR), household=Household.drawn(random.Random(3)), codes={"evaporator_fan": ""},
    )  # fmt: skip
    assert life.episodes
    assert life.reports() == []


def test_people_notice_when_they_are_at_home() -> None:
    rng = random.Random(5)
    for _ in range(50):
        home = Household.drawn(rng)
        at = START + rng.random() * 20 * DAY
        noticed = home.next_home(at)
        assert noticed >= at
        assert home.is_home(noticed)
        assert 6.5 <= (noticed % DAY) / 3600 <= 23.0


def test_silences_are_short_but_for_unbinding_and_touch_no_fault() -> None:
    span = Span(START, START + YEAR)
    found = [plan_silences(random.Random(seed), span, 6.0, 1.5) for seed in range(600)]
    wifi = [one for silences in found for one in silences if one.cause == "wifi"]
    unbound = [one for silences in found for one in silences if one.cause == "unbound"]
    assert len(wifi) / 600 == pytest.approx(6.0 * math.exp(0.5), rel=0.4)  # log-normal between homes: mean e^0.5
    assert sorted(one.end - one.start for one in wifi)[len(wifi) // 2] < 6 * 3600
    assert 1 <= len(unbound) <= 30
    assert all(one.end == span.end for one in unbound)
    with_them = world(365, 80, wifi_a_year=50.0).populate()
    without = world(365, 80, wifi_a_year=0.0, power_a_year=0.0).populate()
    assert [one.life for one in with_them] == [one.life for one in without]
