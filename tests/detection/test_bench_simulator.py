"""The open benchmark's own rules, on truth made by hand, and a tiny course that must come out the same twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulator.baselines import CODE_RULES, ReportedCodes, StaticLimits
from benchmarks.simulator.certainty import Recovery, calibration, failing_within, faulty, judged, precision, recovered
from benchmarks.simulator.course import Course, Desk, run, ticks_of
from benchmarks.simulator.entry import EngineEntry
from benchmarks.simulator.figures import (
    CALLED,
    CENSORED,
    NOTICED,
    faults_of,
    figures,
    incidence,
    losses,
    median_lead,
    within,
    within_budget,
)
from benchmarks.simulator.people import Habits, People
from benchmarks.simulator.port import Answer, Block, Code, Label, Tick
from cloud.detection.settings import EngineSettings
from device_sim.failure.life import Life, Span
from device_sim.failure.modes import CodeReport, Episode, FailureMode
from device_sim.fleet.population import Appliance, World, with_life
from device_sim.fleet.records import BulkFleet
from device_sim.people.money import FAMILY_COSTS, Balance, Call, balance

DAY = 86400.0
START = 1_767_225_600.0
SPAN = Span(START, START + 100 * DAY)
WEAR = FailureMode("wear", "bearing", "E1", 1.0, 10.0)
SENSOR = FailureMode("drift", "thermistor", "E2", 1.0, 10.0, sensor="t")


def episode(
    onset: float, failed: float | None, noticed: float | None, ended: float | None, mode: FailureMode = WEAR
) -> Episode:
    """Times in days after the start."""
    at = [None if day is None else START + day * DAY for day in (failed, noticed, ended)]
    return Episode(mode, START + onset * DAY, START + (onset + 1) * DAY, at[0], at[1], at[2], 10 * DAY, ())


@pytest.fixture(scope="module")
def plain() -> tuple[Appliance, ...]:
    return World(3, SPAN, 6, failure_scale=0.0).populate()


def fleet(plain: Sequence[Appliance], *lives: Sequence[Episode]) -> list[Appliance]:
    return [with_life(a, Life(tuple(life), ())) for a, life in zip(plain, lives, strict=False)]


def call(device: int, day: float) -> Call:
    return Call(device, START + day * DAY)


def test_figures_of_truth_made_by_hand(plain: tuple[Appliance, ...]) -> None:
    appliances = fleet(
        plain,
        [episode(10, 20, 21, 23)],  # called 9 days before it was noticed
        [episode(10, 20, 21, 23)],  # called after it was noticed
        [episode(10, 20, 21, 23)],  # never called
        [],  # called twice though well
        [episode(30, 40, 41, 43, SENSOR)],  # a sensor's fault: right to call, no failure of the machine
        [episode(95, None, None, None)],  # fails beyond the end
    )
    calls = [call(0, 12), call(1, 22), call(3, 50), call(3, 80), call(4, 35)]
    found = figures(appliances, calls, SPAN, seed=1, draws=50)
    assert (found["failures"], found["called"], found["false_calls"]) == (3, 1, 2)
    assert found["called_before_noticed"][0] == pytest.approx(1 / 3, abs=1e-3)
    assert found["median_lead_h"][0] == 9 * 24
    assert found["faults_censored"] == 1
    cost = FAMILY_COSTS[appliances[0].model.family]
    assert found["saved_usd"] == round(
        cost.urgent + cost.damage - 2 * FAMILY_COSTS[appliances[3].model.family].false_call
    )
    years = 6 * 100 / 365.2425
    assert found["false_calls_per_1000_years"][0] == pytest.approx(2000 / years, rel=1e-3)
    low, high = found["called_before_noticed"][1:]
    assert 0.0 <= low <= 1 / 3 <= high <= 1.0


def test_losses_name_their_cause_and_add_up_to_the_regret(plain: tuple[Appliance, ...]) -> None:
    abrupt = replace(WEAR, kind="board", growth_days=0.0)
    sudden = replace(episode(20, 20, 21, 23, abrupt), first_observable=START + 20 * DAY)
    told = replace(sudden, codes=(CodeReport("E1", START + 20.5 * DAY, START + 23 * DAY),))
    appliances = fleet(
        plain,
        [episode(10, 20, 21, 23)],  # called in time
        [episode(10, 20, 21, 23)],  # called after it failed, before it was noticed
        [episode(10, 20, 21, 23)],  # never called, and no code
        [sudden],  # nobody could have called
        [told],  # a code came half a day before
        [],  # called though well
    )
    calls = [call(0, 12), call(1, 20.2), call(5, 50)]
    found = losses(appliances, calls)
    assert {cause: n for cause, (n, _) in found.items()} == {
        "gradual, called late": 1,
        "gradual, missed, no code in time": 1,
        "abrupt, missed, no code in time": 1,
        "abrupt, missed, a code came": 1,
        "false calls": 1,
    }
    assert sum(share for _, share in found.values()) == pytest.approx(balance(appliances, calls, 1.0).regret, abs=1e-3)


def test_what_lies_beyond_the_end_is_censored_not_missed(plain: tuple[Appliance, ...]) -> None:
    appliances = fleet(
        plain,
        [episode(10, 20, 21, 23)],
        [episode(90, None, None, None)],
        [episode(80, 99, None, None)],
        [episode(5, None, None, 30)],  # cured by its user: nobody will ever notice it
    )
    found = faults_of(appliances, [call(0, 15), call(2, 90)], SPAN)
    assert found.first.tolist() == [CALLED, CENSORED, CALLED]
    assert (found.lead[[0, 2]] / DAY).tolist() == [6.0, 10.0]
    assert found.lead_known.tolist() == [True, False, False]


def test_incidence_is_the_share_without_censoring_and_more_than_it_with() -> None:
    wait = np.array([1.0, 2.0, 3.0, 4.0])
    first = np.array([CALLED, NOTICED, CALLED, NOTICED])
    assert incidence(wait, first, np.ones(4)) == pytest.approx(0.5)
    censored = np.array([CALLED, NOTICED, CENSORED, CALLED])
    # by hand: 1/4 at 1; at 2 survive 3/4 * 2/3 = 1/2; at 4 the last at risk is called: 1/4 + 1/2
    assert incidence(wait, censored, np.ones(4)) == pytest.approx(0.75)
    assert incidence(wait, censored, np.array([2.0, 1.0, 0.0, 1.0])) == pytest.approx(0.75)


def test_the_median_lead_waits_for_those_not_yet_noticed() -> None:
    lead = np.array([1.0, 2.0, 3.0, 4.0])
    assert median_lead(lead, np.ones(4, bool), np.ones(4)) == 2.0
    assert median_lead(lead, np.array([False, False, True, True]), np.ones(4)) == 3.0
    assert np.isnan(median_lead(lead, np.zeros(4, bool), np.ones(4)))


@given(st.lists(st.tuples(st.floats(0.0, 100.0), st.sampled_from([0, 1, 2])), min_size=1, max_size=30))
def test_incidence_is_a_probability(rows: list[tuple[float, int]]) -> None:
    wait, first = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    assert -1e-9 <= incidence(wait, first, np.ones(len(rows))) <= 1.0 + 1e-9


def labels(people: People, until: float = 1000.0) -> list[Label]:
    return list(people.known_by(START + until * DAY))


def test_labels_come_late_and_only_of_those_called_or_failed(plain: tuple[Appliance, ...]) -> None:
    appliances = fleet(plain, [episode(10, 20, 21, 23)], [], [episode(30, 40, 41, 43, SENSOR)], [])
    people = People(appliances, SPAN, 5, Habits(wrong=0.0, reported=1.0))
    for device, day in ((0, 12.0), (1, 12.0), (2, 35.0)):
        people.called(device, START + day * DAY)
    people.called(3, START + 12 * DAY, asked_with=0.001)
    found = labels(people)
    assert all(label.known_at > label.at for label in found)
    assert [label.known_at for label in found] == sorted(label.known_at for label in found)
    said = {(label.number, label.verdict, label.kind, label.asked_with) for label in found}
    assert said == {
        (0, "fault_confirmed", "bearing", 1.0),
        (1, "no_fault_found", "", 1.0),
        (2, "other_fault", "thermistor", 1.0),
        (3, "no_fault_found", "", 0.001),
        (0, "failure", "bearing", 1.0),
        (2, "failure", "thermistor", 1.0),
    }


def test_a_wrong_verdict_says_the_opposite(plain: tuple[Appliance, ...]) -> None:
    people = People(fleet(plain, [episode(10, 20, None, None)], []), SPAN, 5, Habits(wrong=1.0))
    people.called(0, START + 12 * DAY)
    people.called(1, START + 12 * DAY)
    assert {label.number: label.verdict for label in labels(people)} == {0: "no_fault_found", 1: "fault_confirmed"}


def test_every_record_and_code_is_in_one_tick_and_none_comes_before_its_time() -> None:
    world = World(4, Span(START, START + 3 * DAY), 30, failure_scale=50.0)
    appliances = world.populate()
    names = [a.device for a in appliances]
    records = codes = 0
    last = -np.inf
    for day in BulkFleet(world, appliances).days():
        for tick in ticks_of(day, names):
            assert tick.end > last
            for block in tick.blocks:
                assert (block.times > tick.start).all()
                assert (block.times <= tick.end).all()
                assert list(block.devices) == [names[n] for n in block.numbers]
                records += len(block.times)
            assert all(tick.start < code.at <= tick.end for code in tick.codes)
            codes += len(tick.codes)
            last = tick.end
        records -= len(day)
        codes -= len(day.codes)
    assert records == 0
    assert codes == 0


def test_the_desk_calls_a_device_once_in_its_quiet_time() -> None:
    desk = Desk(3, np.array([0.5, 0.9]), 14 * DAY)
    said = Answer([1, 1], np.array([1, 2]), np.array([0.95, 0.6]))
    assert desk.calls(said, 0.0) == [1]
    assert desk.calls(said, 13 * DAY) == []
    assert desk.calls(said, 14 * DAY) == [1]
    for day in (0, 13, 14):
        desk.sweep(said, day * DAY)
    assert [[(c.device, c.at / DAY) for c in calls] for calls in desk.swept] == [
        [(1, 0), (2, 0), (1, 14), (2, 14)],
        [(1, 0), (1, 14)],
    ]


def test_reported_codes_grow_stricter_with_time_and_repetition() -> None:
    codes = ReportedCodes()

    def score(at_h: float, *changes: tuple[float, bool]) -> float:
        said = [Code(h * 3600.0, 7, "d", "E1", raised) for h, raised in changes]
        answer = codes.observe(Tick(0.0, at_h * 3600.0, (), tuple(said)))
        return float(answer.scores.max(initial=0.0))

    assert score(1.0, (0.9, True)) == 1
    assert score(2.0) == 4  # stood for an hour
    assert score(3.0, (2.5, False)) == 0
    assert score(4.0, (3.5, True)) == 2
    assert score(30.0) == len(CODE_RULES)


def test_static_limits_name_the_device_that_left_them() -> None:
    limits, rng = StaticLimits(calibration_days=5), np.random.default_rng(0)
    numbers = np.arange(10)
    found = []
    for day in range(12):
        values = rng.normal(20.0, 1.0, (10, 1)).astype(np.float32)
        values[3] += 30.0 * (day >= 8)
        at = START + day * DAY + 3600.0
        block = Block("m", ("temp",), numbers, [str(n) for n in numbers], np.full(10, at), values)
        answer = limits.observe(Tick(at - 3600.0, at, (block,), ()))
        found.append({int(n) for n, s in zip(answer.numbers, answer.scores, strict=True) if s > 8})
    assert found[:9] == [set()] * 9
    assert found[9:] == [{3}] * 3


def test_the_budget_picks_the_most_failures_within_it() -> None:
    def worth(called: int, false: int) -> Balance:
        return Balance(failures=10, called_before_noticed=called, false_calls=false, appliance_years=1000.0)

    curve = [(0.1, worth(9, 50)), (0.5, worth(6, 10)), (0.9, worth(2, 0))]
    assert within_budget(curve, 10.0) == 1
    assert within_budget(curve, 5.0) == 2
    assert within_budget(curve[:1], 10.0) is None


def test_days_before_a_failure_are_true_and_unknown_ones_are_left_out(plain: tuple[Appliance, ...]) -> None:
    truth = failing_within(fleet(plain, [episode(10, 20.5, 21, 23)], []), SPAN, 100, 3 * DAY)
    assert np.flatnonzero(truth[:, 0] == 1.0).tolist() == [17, 18, 19]  # ends of days 18, 19, 20
    assert np.isnan(truth[20:22, 0]).all()
    assert np.isnan(truth[97:]).all()
    assert truth[:97, 1].sum() == 0.0
    assert np.flatnonzero(faulty(fleet(plain, [episode(10, 20.5, 21, 23)]), SPAN, 100)[:, 0]).tolist() == [
        *range(9, 23)
    ]
    perfect = calibration(np.where(truth > 0, 1.0, 0.0), truth)
    assert (perfect["ece"], perfect["brier"], perfect["came_true"]) == (0.0, 0.0, 3)


def test_labels_are_counted_until_precision_is_back(plain: tuple[Appliance, ...]) -> None:
    appliances = fleet(plain, [episode(0, None, None, None)], [])
    bad, good = [call(1, 50 + k) for k in range(5)], [call(0, 60 + k) for k in range(10)]
    known = [Label(1, "d", c.at, c.at + DAY, "no_fault_found", "") for c in bad]
    at = START + 50 * DAY
    both = judged(appliances, bad + good)
    assert precision(both, at, SPAN.end).share == pytest.approx(10 / 15)
    # the window of ten with one false call runs from the fifth call, when four labels were known, to the 14th
    assert recovered(both, known, at, former=1.0, window=10) == Recovery(4, 5)
    assert recovered(judged(appliances, good), [], at, former=1.0, window=10) == Recovery(0, 0)
    assert recovered(judged(appliances, bad * 3), known, at, former=1.0, window=10) is None


def tiny(detector_seed: int = 1, people_seed: int = 2) -> tuple[Course, EngineEntry]:
    world = World(6, Span(START, START + 10 * DAY), 40, failure_scale=20.0)
    appliances = world.populate()
    settings = EngineSettings(random_check_share=0.01, young_samples=8, refractory_s=14 * DAY)
    entry = EngineEntry([a.device for a in appliances], settings, detector_seed)
    fleet_of = BulkFleet(world, appliances, 10_800.0)
    (course,) = run(fleet_of, appliances, world.span, [entry], people_seed=people_seed, thresholds=[(0.1, 0.5)])
    return course, entry


def test_a_tiny_course_comes_out_the_same_twice() -> None:
    (first, entry), (second, again) = tiny(), tiny()
    assert first.calls == second.calls
    assert first.checks == second.checks
    assert first.swept == second.swept
    assert first.labels == second.labels
    assert np.array_equal(entry.stated, again.stated, equal_nan=True)
    assert first.records > 1000
    assert first.checks


def test_the_world_does_not_follow_the_detectors_seed() -> None:
    (first, _), (second, _) = tiny(detector_seed=1), tiny(detector_seed=99)
    assert first.records == second.records
    own = [replace(label, known_at=0.0) for label in first.labels if label.verdict == "failure"]
    other = [replace(label, known_at=0.0) for label in second.labels if label.verdict == "failure"]
    assert own == other
    assert first.checks != second.checks  # what the detector draws is its own


def test_a_frozen_copy_judges_and_learns_no_more() -> None:
    _, entry = tiny()
    twin = entry.frozen()
    label = Label(0, next(iter(entry.numbers)), START + 9 * DAY, START + 10 * DAY, "failure", "bearing")
    before = [family.failures_reported for family in twin.engine.families]
    twin.learn(label)
    assert [family.failures_reported for family in twin.engine.families] == before
    assert np.array_equal(entry.stated, twin.stated, equal_nan=True)


def test_the_documents_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "open-benchmark.md").read_text(encoding="utf-8")
    example = text.split("```python\n")[1].split("```")[0]
    exec(compile(example, "open-benchmark.md", "exec"), {})
    assert "called_before_noticed" in capsys.readouterr().out


def test_what_happens_in_a_silence_is_told_when_it_ends() -> None:
    span = Span(START, START + 60 * DAY)
    world = World(5, span, 400, failure_scale=20.0, wifi_a_year=500.0)
    appliances = world.populate()
    told: dict[tuple[int, str, bool], list[float]] = {}
    for day in BulkFleet(world, appliances, 21_600.0).days():
        for change in day.codes:
            assert not appliances[change.device].silent_at(change.at)
            told.setdefault((change.device, change.code, change.raised), []).append(change.at)
    late = 0
    for number, appliance in enumerate(appliances):
        for report in appliance.life.reports():
            at = appliance.heard_at(report.raised_at)
            if report.raised_at in span and at in span:
                assert at in told[number, report.code, True]
                late += at > report.raised_at
    assert late, "no code fell into a silence: the test shows nothing"


def test_a_part_of_a_course_has_its_own_failures_and_knows_earlier_calls_for_them() -> None:
    span = Span(START, START + 200 * DAY)
    appliances = World(3, span, 300, failure_scale=10.0).populate()
    rng = np.random.default_rng(1)
    calls = [Call(int(rng.integers(300)), float(START + rng.uniform(0, 200) * DAY)) for _ in range(600)]
    halves = [Span(span.start, START + 100 * DAY), Span(START + 100 * DAY, span.end)]
    whole = balance(appliances, calls, 1.0)
    parts = [balance(*within(appliances, calls, half), 1.0) for half in halves]
    assert sum(part.failures for part in parts) == whole.failures
    assert sum(part.false_calls for part in parts) == whole.false_calls
    assert parts[1].called_before_noticed > 0
