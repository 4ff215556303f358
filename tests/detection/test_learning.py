"""Learning from outcomes: found conjunctions, other families, refutations, repairs, fleet changes."""

from __future__ import annotations

import numpy as np
import pytest

from cloud.detection.conjunctions import Conjunctions
from cloud.detection.engine import Engine
from cloud.detection.models import Believed
from cloud.detection.records import Outcome, RecordBlock, Verdict
from cloud.detection.suspicion import QUIET, Suspicions
from tests.detection.fleets import Family, caught

HOUR = 3600.0


@pytest.mark.parametrize(
    "family",
    [
        Family(),
        Family(
            channels=("u", "v", "w", "s", "t"), scale=250.0, offset=-1e4, seed=8, faults=((3, 2.0, 2), (4, -2.0, 1))
        ),
        Family(codes=("alpha", "beta"), step_s=1800.0, seed=11, faults=((2, 1.8, 1),)),
        Family(modes=4, seed=12),
    ],
    ids=["hourly", "scaled_and_wider", "half_hourly", "four_modes"],
)
def test_conjunctions_are_found_from_failures_in_any_family(family):
    with_, failures = family.play(feedback=True)
    without, _ = family.play(feedback=False)
    hit, wrong = caught(with_, failures)
    blind, _ = caught(without, failures)
    months = family.devices * family.steps / 720.0
    assert len(hit) >= 0.55 * len(failures)
    assert len(hit) >= len(blind) + 0.3 * len(failures)
    assert len(wrong) / months <= 0.3


def test_two_confirmed_failures_make_a_pair_likely_and_its_parts_not():
    cj = Conjunctions(72 * HOUR)
    clock = 0.0
    for device in ("a", "b"):
        pair = frozenset({"code:E1", "drift:p+"})
        for noise in range(4):  # each part comes alone, and nothing happens
            for literal in sorted(pair):
                cj.update(f"{device}{noise}{literal}", clock, frozenset({literal}))
                cj.update(f"{device}{noise}{literal}", clock + HOUR, frozenset())
                cj.settle(f"{device}{noise}{literal}", clock + 100 * HOUR, 1.0)
        cj.update(device, clock, pair)
        cj.failed(device, clock + 24 * HOUR, "pump")
        clock += 200 * HOUR
    together = cj.evidence(frozenset({"code:E1", "drift:p+"}), clock)
    assert together.probability > 0.5
    assert together.kind == "pump"
    assert cj.evidence(frozenset({"code:E1"}), clock).probability < 0.35
    assert cj.evidence(frozenset({"drift:p+"}), clock).probability < 0.35


def test_a_refuted_pair_loses_its_probability():
    cj = Conjunctions(72 * HOUR)
    pair = frozenset({"code:E1", "drift:p+"})
    for i in range(2):
        cj.update(f"f{i}", 0.0, pair)
        cj.failed(f"f{i}", 24 * HOUR, "x")
    before = cj.evidence(pair, 30 * HOUR).probability
    for i in range(4):
        cj.update(f"r{i}", 40 * HOUR, pair)
        cj.refuted(f"r{i}", 41 * HOUR)
    assert cj.evidence(pair, 50 * HOUR).probability < 0.6 * before


def test_an_unknown_pair_is_judged_by_how_unknown_pairs_as_strong_have_done():
    cj = Conjunctions(72 * HOUR)
    for i in range(6):  # each pair new; the strong ones come true, the weak ones do not
        failing, well = (frozenset({f"code:{who}{i}", f"drift:{who}{i}+"}) for who in "ab")
        cj.update(f"f{i}", 0.0, failing, ((f"drift:a{i}+", 0),))
        cj.update(f"f{i}", HOUR, failing, ((f"drift:a{i}+", 2),))
        cj.update(f"w{i}", 0.0, well, ((f"drift:b{i}+", 0),))
        cj.failed(f"f{i}", 24 * HOUR, "x")
        cj.settle(f"w{i}", 100 * HOUR, 1.0)
    pair = frozenset({"code:new", "drift:new+"})
    weak, some, strong = (cj.evidence(pair, 200 * HOUR, (("drift:new+", level),)).probability for level in range(3))
    assert weak < 0.5 < some == strong
    assert cj.evidence(pair, 200 * HOUR, (("drift:new+", 7),)).probability == strong, "none was as strong as that"


def test_unknown_pairs_without_an_outcome_yet_make_their_sort_less_sure():
    cj = Conjunctions(72 * HOUR)
    seen = frozenset({"code:E1", "drift:p+"})
    cj.update("a", 0.0, seen, (("drift:p+", 1),))
    cj.failed("a", 24 * HOUR, "x")
    pair, levels = frozenset({"code:new", "drift:new+"}), (("drift:new+", 1),)
    before = cj.evidence(pair, 60 * HOUR, levels).probability
    for i in range(3):
        cj.update(f"b{i}", 24 * HOUR, frozenset({f"code:{i}", f"drift:{i}+"}), ((f"drift:{i}+", 1),))
    assert cj.evidence(pair, 24 * HOUR, levels).probability == before
    assert cj.evidence(pair, 60 * HOUR, levels).probability < 0.8 * before
    for i in range(3):
        cj.failed(f"b{i}", 60 * HOUR, "x")
    assert cj.evidence(pair, 60 * HOUR, levels).probability > before


def test_what_stood_beside_a_key_once_is_missed_less_than_what_always_did():
    def share_left(failures: int) -> float:
        cj = Conjunctions(72 * HOUR)
        for i in range(failures):
            cj.update(f"f{i}", 0.0, frozenset({"code:E1", "drift:p+", "code:beside"}))
            cj.failed(f"f{i}", 24 * HOUR, "x")
        with_it, without = (
            cj.evidence(frozenset({"code:E1", "drift:p+"}) | more, 200 * HOUR).probability
            for more in (frozenset({"code:beside"}), frozenset())
        )
        return without / with_it

    assert share_left(1) == pytest.approx(1 - 1 / 6)
    assert share_left(1) > share_left(2) > share_left(9) > 1 - 1 / 3


def test_what_begins_just_before_a_failure_is_no_warning():
    cj = Conjunctions(72 * HOUR)
    cj.update("a", 0.0, frozenset({"code:late"}))
    cj.failed("a", 1 * HOUR, "x")
    assert cj.posterior(("code:late",), 2 * HOUR).positives == 0


def test_right_and_false_suspicions_are_learnt_at_the_same_age():
    found = Suspicions(settle_s=100.0)
    found.grow(1)
    rows, statistics = np.zeros(1, np.int64), np.array([[5.5, QUIET, QUIET]])
    found.remember(rows, np.array([0.0]), statistics, True)
    before = found.platt[0].weight.copy()
    found.failed(0, 10.0, 1.0)
    found.learn_due(50.0)
    assert np.array_equal(found.platt[0].weight, before)
    found.learn_due(111.0)
    assert found.platt[0].weight[0] > before[0]


def test_refutations_lower_the_unsupervised_probability():
    found = Suspicions(settle_s=100.0)
    found.grow(1)
    asked = np.array([[5.0, QUIET, QUIET]])
    before = found.probability(asked)[0]
    for _ in range(6):
        found.remember(np.zeros(1, np.int64), np.array([0.0]), np.array([[5.0, QUIET, QUIET]]), True)
        found.judged(0, False, 1.0)
    assert found.probability(asked)[0] < 0.6 * before


def test_a_model_speaks_only_after_it_has_shown_itself():
    believed = Believed(10.0, failures=20)
    rng = np.random.default_rng(1)
    for k in range(400):
        bad = bool(rng.random() < 0.2)
        believed.state(f"d{k}", float(k), {"a": float(bad), "b": 1.0}, 0.2)
        if k < 30:
            assert not believed.trusted()
        if bad:
            believed.failed(f"d{k}", k + 1.0, 1.0)
        believed.settle(float(k), 1.0)
    assert believed.trusted()
    assert believed.state("x", 401.0, {"a": 1.0, "b": 1.0}, 0.2) > 0.5


def test_a_fleet_that_changes_at_once_is_not_called_and_is_reported():
    rng = np.random.default_rng(4)
    engine, names, called = Engine(), [f"d{i}" for i in range(20)], []
    for k in range(500):
        values = rng.normal(size=(20, 3))
        if k >= 250:
            values[:, 1] += 6.0  # new firmware: everyone
        if k >= 400:
            values[3, 0] += 15.0  # and later one of them really breaks
        block = RecordBlock(names, np.full(20, 1.7e9 + 3600.0 * k), ("a", "b", "c"), values, cohort="m")
        called += [(j.device, k) for j in engine.observe(block).raised()]
    changes = engine.families[0].fleet.changes
    assert any(c.reset and c.moved >= 8 for c in changes)
    assert len({d for d, k in called if 250 <= k < 400}) <= 4
    assert any(d == "d3" and k >= 400 for d, k in called)


def test_a_repair_starts_afresh():
    engine = Engine()
    rng = np.random.default_rng(7)
    for k in range(200):
        values = rng.normal(size=(1, 3)) + (6.0 if k >= 150 else 0.0)
        engine.observe(RecordBlock(["d"], np.array([1.7e9 + 3600.0 * k]), ("a", "b", "c"), values))
    sick = engine.view("d", 1.7e9 + 200 * 3600.0)
    assert sick is not None
    assert sick.probability > 0.5
    engine.learn(Outcome("d", 1.7e9 + 200 * 3600.0, 1.7e9 + 201 * 3600.0, Verdict.FAILURE, "pump"))
    for k in range(202, 230):
        found = engine.observe(
            RecordBlock(["d"], np.array([1.7e9 + 3600.0 * k]), ("a", "b", "c"), rng.normal(size=(1, 3)))
        )
    assert found[0].probability < 0.3
