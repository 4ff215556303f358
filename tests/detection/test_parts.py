"""The parts of the engine, each by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.detection.bank import ChannelBank
from cloud.detection.calibration import Platt
from cloud.detection.cycles import PhaseCutter
from cloud.detection.decision import (
    FalseCallBudget,
    checked_at_random,
)
from cloud.detection.engine import Engine
from cloud.detection.evaluation import (
    Failure,
    Money,
    Ticket,
    bootstrap,
    brier,
    expected_calibration_error,
    regret,
    score,
    ticket_diff,
)
from cloud.detection.family import _between
from cloud.detection.modes import OperatingModes
from cloud.detection.novelty import RecordBook
from cloud.detection.records import RecordBlock
from cloud.detection.sensors import SensorState, SensorWatch
from cloud.detection.settings import EngineSettings
from cloud.registry.costs import Costs

ROW = np.zeros(1, np.int64)
ONE = np.ones((1, 1), bool)


def test_bank_sees_a_broken_relation_that_no_channel_shows_alone():
    rng = np.random.default_rng(0)
    bank = ChannelBank(2, (1, 4, 16, 64), 1.0, 40, 1000)
    bank.grow(1)
    heard = []
    for k in range(600):
        a = rng.normal()
        b = a + 0.1 * rng.normal() if k < 500 else rng.normal()
        surprise, _ = bank.observe(ROW, np.array([[a, b]]), np.ones((1, 2), bool), ROW, *np.zeros((2, 1, 2)))
        heard.append(surprise[0])
    assert np.mean(heard[560:]) > np.mean(heard[400:500]) + 2.0
    assert np.abs(bank.residuals(0, 0)).max() > 2


def test_cohort_prior_judges_a_new_device_early():
    rng = np.random.default_rng(1)
    engine = Engine()
    names = [f"d{i}" for i in range(10)]
    for k in range(150):
        at = np.full(10, 1.7e9 + 3600.0 * k)
        engine.observe(RecordBlock(names, at, ("a", "b"), 50 + rng.normal(size=(10, 2)), cohort="m"))
    bank = engine.families[0].bank
    assert (bank.cohort_weight[0] > 5).all()
    assert np.abs(bank.cohort_mean[0] - 50).max() < 0.5


def test_modes_are_found_and_a_change_of_mode_is_no_symptom():
    rng = np.random.default_rng(2)
    modes = OperatingModes(2, 1)
    out = []
    for _ in range(400):
        m = rng.integers(0, 3)
        setting = np.array([[(0.0, 20.0, 42.0)[m] + 0.001 * rng.normal(), (0.0, 0.7, 0.84)[m]]])
        reading = np.array([[(100.0, 500.0, 900.0)[m] + rng.normal()]])
        relative, known = modes.standardise(setting, reading, ONE)
        out.append(relative[0, 0] if known[0, 0] else np.nan)
    assert not modes.continuous
    late = np.array(out[100:])
    assert np.nanstd(late) < 1.5
    assert np.abs(late[np.isfinite(late)]).max() < 6


def test_settings_that_only_waver_are_one_mode():
    rng = np.random.default_rng(3)
    modes = OperatingModes(2, 1)
    for _ in range(200):
        modes.standardise(rng.normal(size=(1, 2)), np.ones((1, 1)), ONE)
    assert modes.continuous


@pytest.mark.parametrize(("share", "lasts"), [(0.0005, False), (0.01, False), (0.0, True)])
def test_what_a_counter_does_seldom_calls_nobody_and_what_lasts_does(share, lasts):
    rng = np.random.default_rng(9)
    engine, names, tickets = Engine(), [f"d{i}" for i in range(20)], []
    for k in range(600):
        tries = 1.0 + (rng.random(20) < share)
        if lasts and k >= 560:
            tries[3] = 2.0
        values = np.column_stack([rng.normal(size=(20, 3)), tries])
        block = RecordBlock(names, np.full(20, 1.7e9 + 3600.0 * k), ("a", "b", "c", "tries"), values)
        tickets += [judgement.device for judgement in engine.observe(block).raised()]
    assert set(tickets) == ({"d3"} if lasts else set())


def test_what_is_constant_within_each_mode_neither_wavers_nor_slows_the_family_down():
    rng = np.random.default_rng(4)
    engine, names = Engine(), [f"d{i}" for i in range(10)]
    for k in range(200):
        here = names[: 1 + k // 10]
        mode = rng.integers(0, 3, len(here))
        constant = np.array([518.67, 445.0, 491.19])[mode]
        moving = np.array([100.0, 500.0, 900.0])[mode] + rng.normal(size=len(here))
        values = np.stack([np.array([0.0, 20.0, 42.0])[mode], constant, moving], axis=1)
        at = np.full(len(here), 1.7e9 + 3600.0 * k)
        engine.observe(RecordBlock(here, at, ("op.load", "inlet", "outlet"), values))
    family = engine.families[0]
    assert family.bank.inflation < 2.0
    assert not family.bank.smooth[:, :, family.channels.index("inlet")].any()


def test_a_second_mode_that_comes_late_is_no_symptom_and_baselines_start_afresh():
    rng = np.random.default_rng(6)
    engine, names, tickets = Engine(), [f"d{i}" for i in range(10)], []
    for k in range(300):
        mode = rng.integers(0, 2 if k >= 150 else 1, 10)
        values = np.stack([42.0 * mode, np.array([100.0, 500.0])[mode] + rng.normal(size=10)], axis=1)
        block = RecordBlock(names, np.full(10, 1.7e9 + 3600.0 * k), ("op.load", "power"), values)
        tickets += engine.observe(block).raised()
    family = engine.families[0]
    assert family.modes.units == 1
    assert not tickets
    assert np.abs(family.bank.mean).max() < 3.0, "in standard deviations of the mode, where it was in watts before"


def test_phases_are_cut_with_their_length_and_rest():
    cutter = PhaseCutter(1)
    cutter.grow(1)
    trace, found = ([0.0] * 20 + [100.0] * 7) * 6 + [0.0] * 5, []
    for x in trace:
        cut = cutter.observe(ROW, np.array([[x]]), ONE)
        if cut and cut[0][0, 0]:
            found.append(tuple(cut[1][0, 0]))
    assert [f[0] for f in found] == [7.0] * 6
    assert [f[1] for f in found[1:]] == [20.0] * 5


@pytest.mark.parametrize(("growth", "called"), [(1.0, False), (1.4, True)])
def test_a_few_cycles_a_day_that_grow_are_no_yardstick_of_their_own(growth, called):
    rng = np.random.default_rng(8)
    engine, raised = Engine(), []
    for phase in range(24):  # two a day
        on = rng.normal(30, 0.6) * (growth if phase >= 16 else 1.0)
        trace = [0.0] * round(720 - on) + [2000.0] * round(on)
        begins = 1.7e9 + 43200.0 * phase
        for k, power in enumerate(trace):
            block = RecordBlock(["heater"], np.array([begins + 60.0 * k]), ("w",), np.array([[power]]))
            raised += [phase for _ in engine.observe(block).raised() if phase >= 12]  # it knows the device by then
    assert bool(raised) is called


@pytest.mark.parametrize(("growth", "called"), [(1.0, False), (1.4, True)])
def test_cycles_that_grow_are_called_though_levels_stay(growth, called):
    rng = np.random.default_rng(5)
    engine, raised, k = Engine(), [], 0
    while k < 10 * 1440:
        on = rng.normal(14, 0.7) * (growth if k > 7 * 1440 else 1.0)
        for power in [1.0] * int(rng.normal(30, 2)) + [90.0] * round(on):
            block = RecordBlock(["fridge"], np.array([1.7e9 + 60.0 * k]), ("w",), np.array([[power + rng.random()]]))
            raised += [k for _ in engine.observe(block).raised()]
            k += 1
    assert bool(raised) is called
    assert all(k > 7 * 1440 for k in raised)


def test_records_are_news_once():
    rng = np.random.default_rng(6)
    book = RecordBook()
    book.grow(1)
    x = rng.normal(size=1000)
    x[600], x[800] = 15.0, 15.0
    margin = np.array([book.observe(ROW, np.array([v]), np.ones(1, bool))[0] for v in x])
    assert margin[600] > 0.8
    assert margin[800] < 0.1
    assert (margin[300:600] < 0.4).all()


def test_sensors_stuck_and_missing_are_told_apart():
    rng = np.random.default_rng(7)
    watch = SensorWatch(3)
    watch.grow(1)
    for k in range(6000):
        x = rng.normal(size=(1, 3))
        if k > 2000:
            x[0, 0] = 1.0
        seen = np.array([[True, True, k < 2000]])
        watch.observe(ROW, np.array([1.7e9 + 60.0 * k]), x, seen)
    assert watch.state(0) == [SensorState.STUCK, SensorState.FINE, SensorState.MISSING]
    now = 1.7e9 + 60.0 * 6000
    assert not watch.silent(ROW, now)[0]
    assert watch.silent(ROW, now + 7200)[0]
    assert watch.completeness(ROW)[0] == pytest.approx(2 / 3, abs=0.08)
    assert watch.completeness(ROW, np.array([now + 86400.0]))[0] < 0.1


def test_half_the_readings_missing_is_half_complete():
    watch = SensorWatch(1)
    watch.grow(1)
    for k in range(4 * 1440):
        if k < 1440 or k % 2:
            watch.observe(ROW, np.array([1.7e9 + 60.0 * k]), np.array([[float(k)]]), ONE)
        if k == 1440 + 700:
            early = watch.completeness(ROW)[0]
    assert 0.5 < early < 0.95


def test_platt_starts_from_its_prior_and_moves_with_outcomes():
    platt = Platt(3.0, 1.5)
    assert platt.probability(np.array(3.0)) == pytest.approx(0.5)
    for _ in range(30):
        platt.learn(4.0, False)
    assert platt.probability(np.array(4.0)) < 0.4
    assert platt.probability(np.array(6.0)) > platt.probability(np.array(4.0))


def test_costs_say_from_which_probability_a_call_pays():
    costs = Costs.load()
    prices = costs.of("washer")
    pays = prices.least_probability("high")
    assert pays * prices.saved("high") == pytest.approx((1.0 - pays) * prices.needless())
    assert prices.least_probability("critical") < pays < prices.least_probability("low") <= 1.0


def test_a_ticket_is_due_where_a_call_pays_for_its_model():
    raised = {}
    for pays_from in (0.2, 0.7):
        engine, raised[pays_from] = Engine(), []
        engine.pays_from = {"dear": pays_from}
        rng = np.random.default_rng(2)
        for k in range(260):
            values = rng.normal(size=(3, 3))
            values[1, 0] += 0.5 * max(k - 240, 0)
            block = RecordBlock(["a", "b", "c"], np.full(3, 1.7e9 + k * 3600.0), ("u", "v", "w"), values, cohort="dear")
            raised[pays_from] += [judgement.score for judgement in engine.observe(block).raised()]
    assert 0.2 <= raised[0.2][0] < 0.7
    assert raised[0.7][0] >= 0.7


def test_budget_is_never_overdrawn_and_learns_what_was_false():
    budget = FalseCallBudget(10.0)
    assert budget.take("sure", 0.0, 0.95, "s")
    assert not budget.take("a", 0.0, 0.5, "s"), "a call may spend no more than a tenth of what is left"
    budget.watched(30 * 86400.0)
    left = budget.earned - budget.spent
    assert left == pytest.approx(11.0 - 1 / 3), "charged what an unproven source is taken for"
    calls = 0
    while budget.take(f"d{calls}", 1.0, 0.5, f"s{calls}"):
        calls += 1
    assert budget.earned - budget.spent < 5.0
    assert budget.take("sure too", 1.0, 0.75, "s"), "while little is left only the surer calls are made"
    spent = budget.spent
    budget.known("d0", 1.0, True)
    assert budget.spent == pytest.approx(spent - 0.5)
    budget.known("d1", 1.5, False)
    assert budget.spent == pytest.approx(spent)
    assert budget.refused == 2


def test_a_source_that_is_new_calls_a_few_and_more_when_those_were_right():
    budget = FalseCallBudget(10.0)
    budget.watched(365 * 86400.0)

    def calls(at: float) -> int:
        return sum(budget.take(f"d{at}-{k}", at, 0.99, "model") for k in range(40))

    first = calls(1.0)
    assert first == 3, "however sure it says it is"
    for k in range(first):
        budget.known(f"d1.0-{k}", 1.0, True)
    more = calls(2.0)
    assert more > first
    for k in range(more):
        budget.known(f"d2.0-{k}", 2.0, False)
    assert calls(3.0) <= more
    assert budget.falsehood("model") > 0.4
    assert budget.take("other", 3.0, 0.99, "another")
    assert not budget.take("later", 3.0, 0.99, "model")
    assert budget.take("later", 40 * 86400.0, 0.99, "model"), "visits of which nothing is heard stop nobody for ever"


def test_a_fault_that_shows_after_a_visit_found_none_is_given_back():
    for days, back in ((10, 1.0), (90, 0.0)):
        budget = FalseCallBudget(10.0)
        budget.watched(365 * 86400.0)
        assert budget.take("d", 1.0, 0.9, "s")
        budget.known("d", 1.0, False)
        spent = budget.spent
        budget.known("d", 1.0 + days * 86400.0, True)
        assert budget.spent == pytest.approx(spent - back)
        budget.known("d", 2.0 + days * 86400.0, True)
        assert budget.spent == pytest.approx(spent - back), "once"


def test_engine_holds_a_false_call_budget():
    rng = np.random.default_rng(8)
    counts = []
    for budget in (None, 0.05):
        engine, raised = Engine(EngineSettings(false_call_budget=budget)), 0
        for k in range(600):
            values = rng.normal(size=(4, 3))
            values[:, 0] += 8.0 * ((k // 60) % 2) * (k > 200)
            names = ["p", "q", "r", "s"]
            raised += len(
                engine.observe(RecordBlock(names, np.full(4, 1.7e9 + 3600.0 * k), ("a", "b", "c"), values)).raised()
            )
        counts.append(raised)
    assert counts[1] < counts[0]


def test_random_checks_are_chosen_by_share_and_repeat():
    chosen = [d for d in range(5000) if checked_at_random(1, f"d{d}", 7, 0.02)]
    assert 60 <= len(chosen) <= 140
    assert chosen == [d for d in range(5000) if checked_at_random(1, f"d{d}", 7, 0.02)]
    assert chosen != [d for d in range(5000) if checked_at_random(1, f"d{d}", 8, 0.02)]


def test_evaluation_of_probabilities():
    rng = np.random.default_rng(9)
    p = rng.random(20000)
    y = rng.random(20000) < p
    assert expected_calibration_error(p, y) < 0.02
    assert expected_calibration_error(p, rng.random(20000) < p / 2) > 0.2
    assert brier(y.astype(float), y) == 0.0
    low, high = bootstrap(range(200), lambda drawn: float(np.mean([i % 2 for i in drawn])), seed=1)
    assert low < 0.5 < high
    assert high - low < 0.2


def test_tickets_are_scored_and_set_side_by_side():
    day = 86400.0
    failures = [Failure("a", 10 * day), Failure("b", 20 * day)]
    champion = score([Ticket("a", 9 * day), Ticket("c", 3 * day)], failures, 3 * day, day / 2, day)
    challenger = score(
        [Ticket("a", 8 * day), Ticket("b", 18 * day), Ticket("b", 20.5 * day)], failures, 3 * day, day / 2, day
    )
    assert champion.foreseen == {failures[0]: day}
    assert [t.device for t in champion.false] == ["c"]
    assert challenger.false == []
    diff = ticket_diff(champion, challenger, Money(100, 50))
    assert diff.only_challenger == [failures[1]]
    assert diff.money == 150
    assert regret(champion, challenger, Money(100, 50)) == pytest.approx(0.75)


@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=40), st.sampled_from([0.1, 0.9]))
def test_time_left_lies_where_the_percentile_lies(leads, share):
    assert _between(sorted(leads), share, 5.0) == np.percentile(np.array(leads) - 5.0, 100 * share)
