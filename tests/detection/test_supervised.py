"""The supervised model: what it sees of a device, how it is taught, when it may speak, and codes that stand."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.detection.bank import ChannelBank
from cloud.detection.code_memory import REMEMBERED_S, CodeMemory
from cloud.detection.engine import Engine
from cloud.detection.judgement import ANOMALY
from cloud.detection.logistic import BayesianLogistic
from cloud.detection.portrait import Portraits
from cloud.detection.records import DeviceEvent, EventKind, Outcome, RecordBlock, Verdict
from cloud.detection.settings import EngineSettings
from cloud.detection.supervised import BATCH, Supervised

HOUR, DAY = 3600.0, 86400.0
CHANNELS = ("flow", "heat", "sound")


# -- the regression --------------------------------------------------------------------------------------
def drawn(n: int, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Features and outcomes: the first raises the odds, the second lowers them, the third means nothing."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    return x, rng.random(n) < 1.0 / (1.0 + np.exp(-(-1.0 + 2.0 * x[:, 0] - 1.0 * x[:, 1])))


def test_untaught_it_states_its_base_drawn_towards_one_half_by_what_it_does_not_know():
    model = BayesianLogistic(3)
    quiet, loud = model.probability(np.array([[0.0, 0.0, 0.0], [4.0, 4.0, 4.0]]))
    assert quiet < 0.05
    assert quiet < loud < 0.5


def test_it_finds_the_odds_it_was_taught():
    model = BayesianLogistic(3, forgetting=0.0)
    x, y = drawn(4000)
    for part in np.array_split(np.arange(4000), 40):
        model.learn(x[part], y[part], np.ones(len(part)))
    assert model.mean == pytest.approx([-1.0, 2.0, -1.0, 0.0], abs=0.25)


def test_the_order_within_a_batch_does_not_matter_and_it_pickles():
    x, y = drawn(200)
    one, other = BayesianLogistic(3), BayesianLogistic(3)
    one.learn(x, y, np.ones(200))
    back = np.arange(200)[::-1]
    other.learn(x[back], y[back], np.ones(200))
    copy = pickle.loads(pickle.dumps(one))
    assert one.probability(x[:5]) == pytest.approx(other.probability(x[:5]))
    assert (copy.probability(x[:5]) == one.probability(x[:5])).all()


def test_a_heavier_outcome_is_so_many_light_ones():
    x, y = drawn(60)
    once, often = BayesianLogistic(3, forgetting=0.0), BayesianLogistic(3, forgetting=0.0)
    once.learn(x, y, np.full(60, 3.0))
    often.learn(np.repeat(x, 3, axis=0), np.repeat(y, 3), np.ones(180))
    assert once.mean == pytest.approx(often.mean, abs=1e-6)


@given(st.floats(1e-3, 0.998))
def test_it_begins_as_the_word_of_whoever_spoke_before(stated):
    model = BayesianLogistic(1, opinions=1, base=-9.0, base_spread=1e-3, opinion_spread=1e-3)
    said = model.probability(model.opinion(np.array([stated]))[:, None])
    assert said[0] == pytest.approx(stated, rel=0.02)


def test_what_was_learnt_long_ago_can_be_unlearnt():
    model = BayesianLogistic(1)
    on = np.ones((50, 1))
    for _ in range(20):
        model.learn(on, np.ones(50, np.bool_), np.ones(50))
    assert model.probability(on[:1])[0] > 0.95
    for _ in range(30):
        model.learn(on, np.zeros(50, np.bool_), np.ones(50))
    assert model.probability(on[:1])[0] < 0.5


# -- codes -----------------------------------------------------------------------------------------------
def test_a_code_stands_until_it_is_cleared_and_is_remembered_for_a_fortnight():
    codes = CodeMemory()
    codes.grow(2)
    codes.raised(1, "E1", 0.0)
    stands, lately, again = codes.signs(1, 0, 5 * HOUR)[0]
    assert (stands, lately, again) == pytest.approx((np.log1p(5.0), np.log1p(1.0), 0.0))
    codes.cleared(1, "E1")
    assert np.isinf(codes.since[1])
    codes.raised(1, "E1", 2 * DAY)
    assert codes.signs(1, 0, 2 * DAY)[0][2] == pytest.approx(np.log1p(1.0)), "the same code again"
    codes.cleared(1, "E1")
    assert codes.spoken(np.array([0, 1])) == [1]
    assert not codes.signs(1, 0, 2 * DAY + REMEMBERED_S + 1.0)[0].any()
    assert codes.spoken(np.array([0, 1])) == []


def test_one_code_of_two_models_is_two_codes():
    codes = CodeMemory()
    codes.grow(2)
    for row in (0, 1):
        codes.raised(row, "E4", 0.0)
    assert codes.signs(0, 0, HOUR)[1].keys() != codes.signs(1, 1, HOUR)[1].keys()


# -- snapshots -------------------------------------------------------------------------------------------
def model_of(features: int = 2) -> Supervised:
    found = Supervised(features, horizon_s=3 * DAY, longest_s=14 * DAY, settle_s=7 * DAY)
    found.grow(8)
    return found


def show(model: Supervised, row: int, day: float, first: float, otherwise: float = 0.0, faulty: bool = False) -> float:
    """The device shows ``first`` as its first feature on a day."""
    said = model.state(
        np.array([row]),
        np.array([day * DAY]),
        np.array([[first, 0.0]]),
        np.array([True]),
        np.array([otherwise]),
        np.array([faulty]),
    )
    return float(said[0])


def test_a_fault_soon_after_makes_a_snapshot_right_and_silence_wrong_at_the_same_age():
    model = model_of()
    show(model, 0, 0.0, 1.0)
    show(model, 1, 0.0, 1.0)
    model.right(0, 2.0 * DAY, 4.0 * DAY, "pump", 1.0)
    show(model, 2, 20.0, 0.0)
    assert len(model.open) == 3, "nothing is learnt before an outcome either way would be known"
    show(model, 2, 21.5, 0.0)
    learnt = {snapshot.row: came_true for snapshot, came_true in model.due}
    assert learnt == {0: True, 1: False}


def test_a_visit_that_finds_nothing_teaches_at_once_and_once():
    model = model_of()
    show(model, 0, 0.0, 1.0)
    model.wrong(0, 0.5 * DAY, 1.0)
    assert [(s.row, came_true) for s, came_true in model.due] == [(0, False)]
    show(model, 1, 30.0, 0.0)
    assert sum(s.row == 0 for s, _ in model.due) == 1 or not model.due


def test_soon_is_a_tenth_of_the_time_between_failures_within_its_bounds():
    model = model_of()
    model.watched_s = 1e12
    assert model.soon() == 14 * DAY
    model.watched_s, model.faults = 100 * 50 * DAY, 99.0
    assert model.soon() == pytest.approx(5 * DAY)
    model.faults = 5000.0
    assert model.soon() == 3 * DAY


def teach(model: Supervised, days: int, *, otherwise: bool, misleading: bool) -> None:
    """Each day one device shows its sign and fails, and (``misleading``) two show it and do not."""
    for day in range(days):
        for row, fails in ((0, True), (1, False), (2, False)):
            sign = 3.0 if fails or misleading else 0.0
            show(model, row, float(day), sign, otherwise=0.9 if otherwise and fails else 0.0)
            if fails:
                model.right(0, day * DAY + HOUR, day * DAY + HOUR, "pump", 1.0)
            model.calling[row] = False  # each day's call is a new one


def test_the_model_speaks_once_its_calls_have_been_worth_more():
    model = model_of()
    assert not model.trusted()
    teach(model, 120, otherwise=False, misleading=False)
    assert model.trusted()


def test_the_model_is_silent_where_others_call_as_well_or_it_calls_needlessly():
    as_well, needless = model_of(), model_of()
    teach(as_well, 120, otherwise=True, misleading=False)
    teach(needless, 120, otherwise=False, misleading=True)
    assert not as_well.trusted()
    assert not needless.trusted()


def test_a_fault_is_named_by_what_looked_like_it():
    model = model_of()
    model.kinds = {"pump": np.array([4.0, 0.1]), "valve": np.array([0.0, 2.0])}
    assert model.kind_of(np.array([1.0, 0.05])) == "pump"
    assert model.kind_of(np.array([0.0, 0.5])) == "valve"
    assert model.kind_of(np.array([-1.0, -1.0])) == ""


def test_snapshots_are_learnt_in_batches():
    model = model_of()
    for day in range(BATCH // 2 + 40):
        for row in range(2):
            show(model, row, float(day), 1.0)
    assert model.model.probability(np.array([[0.0, 1.0, 0.0]]))[0] < 0.05
    assert len(model.due) < BATCH


# -- the engine ------------------------------------------------------------------------------------------
def quiet_engine(devices: int = 12, hours: int = 96, **settings: object) -> tuple[Engine, float]:
    """An engine that has watched a quiet fleet, and the time now."""
    engine = Engine(EngineSettings(**settings))
    rng = np.random.default_rng(3)
    names = [f"d{i}" for i in range(devices)]
    at = 1.7e9
    for _ in range(hours):
        at += HOUR
        values = rng.normal(size=(devices, len(CHANNELS)))
        engine.observe(RecordBlock(names, np.full(devices, at), CHANNELS, values, cohort="m"))
    return engine, at


def happen(engine: Engine, at: float, kind: EventKind, device: str = "d3", code: str = "E7") -> None:
    event = DeviceEvent(at, device, kind, code)
    engine.observe(RecordBlock((), np.zeros(0), (), np.zeros((0, 0)), [event]))


def test_a_machine_that_stopped_with_a_code_is_called_without_a_sample():
    engine, at = quiet_engine()
    assert not engine.wake(at).devices
    happen(engine, at, EventKind.CODE_RAISED)
    early = engine.wake(at + HOUR / 2)
    assert early.devices == ["d3"]
    assert not early.raised()
    (ticket,) = engine.wake(at + 2 * HOUR).raised()
    assert (ticket.device, ticket.problem) == ("d3", "E7")
    assert not engine.wake(at + 3 * HOUR).raised(), "once in the time between tickets"


def test_a_code_that_went_is_no_reason():
    engine, at = quiet_engine()
    happen(engine, at, EventKind.CODE_RAISED)
    happen(engine, at + HOUR / 3, EventKind.CODE_CLEARED)
    assert not engine.wake(at + 5 * HOUR).devices


def test_what_a_code_raised_is_taken_back_when_it_goes_without_waiting_for_a_sample():
    engine, at = quiet_engine()
    happen(engine, at, EventKind.CODE_RAISED)
    assert engine.wake(at + HOUR).scores[0] >= 0.5
    happen(engine, at + 2 * HOUR, EventKind.CODE_CLEARED)
    after = engine.wake(at + 2 * HOUR)
    assert after.devices == ["d3"]
    assert after.scores[0] < 0.1
    assert not engine.wake(at + 3 * HOUR).devices


def test_codes_that_proved_nothing_weigh_less_and_those_confirmed_more():
    outcomes = {}
    for verdict in (Verdict.NO_FAULT_FOUND, Verdict.FAULT_CONFIRMED):
        engine, at = quiet_engine()
        for k in range(12):
            device = f"d{k}"
            happen(engine, at + k * DAY, EventKind.CODE_RAISED, device)
            asked = at + k * DAY + 2 * HOUR
            engine.wake(asked)
            engine.learn(Outcome(device, asked, asked + HOUR, verdict, ""))
            happen(engine, asked + HOUR, EventKind.CODE_CLEARED, device)
        happen(engine, at + 20 * DAY, EventKind.CODE_RAISED)
        outcomes[verdict] = float(engine.wake(at + 20 * DAY + 1.5 * HOUR).scores[0])
    assert outcomes[Verdict.NO_FAULT_FOUND] < 0.5 < outcomes[Verdict.FAULT_CONFIRMED]


def test_waking_is_part_of_the_state_and_repeats():
    one, at = quiet_engine()
    happen(one, at, EventKind.CODE_RAISED)
    copy = Engine.restore(one.checkpoint())
    for engine in (one, copy):
        engine.wake(at + HOUR / 2)
    for hours in (2, 5, 30):
        found, again = one.wake(at + hours * HOUR), copy.wake(at + hours * HOUR)
        assert found.scores.tolist() == again.scores.tolist()
        assert found.raised() == again.raised()


def test_what_a_visit_confirmed_is_not_called_again_at_once():
    engine, at = quiet_engine(refractory_s=0.0, confirmed_quiet_s=10 * DAY)
    happen(engine, at, EventKind.CODE_RAISED)
    assert engine.wake(at + 2 * HOUR).raised()
    engine.learn(Outcome("d3", at + 2 * HOUR, at + DAY, Verdict.FAULT_CONFIRMED, ""))
    assert not engine.wake(at + 2 * DAY).raised()
    assert engine.wake(at + 11 * DAY).raised()


def seasonal_fleet() -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Tickets and failures of 60 devices, 300 days of eight readings: three weeks of drift end in a failure, and a
    season moves all."""
    rng = np.random.default_rng(12)
    engine = Engine(EngineSettings(refractory_s=30 * DAY))
    devices, days = 60, 300
    names = [f"w{i}" for i in range(devices)]
    failing = rng.integers(30, 130, devices)
    tickets, failures = [], []
    for day in range(days):
        for part in range(8):
            values = rng.normal(size=(devices, len(CHANNELS)))
            left = failing - day
            values[:, 0] += np.where((left >= 0) & (left <= 21), 2.5 * (1 - left / 21.0), 0.0)
            values[:, 1] += 4.0 * np.sin(2 * np.pi * day / 120.0)
            at = 1.7e9 + (day * 8 + part) * 3 * HOUR
            block = RecordBlock(names, np.full(devices, at), CHANNELS, values, cohort="m")
            tickets += [(judgement.device, day) for judgement in engine.observe(block).raised()]
        for device in np.flatnonzero(failing == day).tolist():
            failures.append((names[device], day))
            failing[device] = day + int(rng.integers(60, 160))
            engine.learn(Outcome(names[device], at, at, Verdict.FAILURE, "valve"))
    return tickets, failures


def test_a_season_of_all_is_no_fault_of_one():
    tickets, failures = seasonal_fleet()
    late = [f for f in failures if f[1] >= 150]
    hit = {f for f in late for t in tickets if t[0] == f[0] and 0 <= f[1] - t[1] <= 25}
    wrong = [t for t in tickets if t[1] >= 150 and not any(f[0] == t[0] and -2 <= f[1] - t[1] <= 25 for f in failures)]
    ending = [t for t in wrong if t[1] > 270]
    assert len(hit) >= 0.6 * len(late)
    assert len(wrong) - len(ending) <= 0.35 * len(hit)


def test_an_unnamed_fault_is_an_anomaly_until_one_like_it_was_named():
    engine, at = quiet_engine()
    view = engine.view("d1", at)
    assert view is not None
    assert view.problem == ANOMALY


@pytest.mark.parametrize(("unaided", "asked_with", "learnt"), [(True, 1.0, 1), (False, 1.0, 0), (False, 0.02, 1)])
def test_a_finding_teaches_the_sources_if_they_called_or_chance_did(unaided, asked_with, learnt):
    engine, at = quiet_engine()
    family = engine.families[0]
    row = family.rows["d1"]
    family.suspicions.peaks[row, 0] = 6.0
    family.visits.ticketed(row, at, unaided)
    before = family.suspicions.platt[0].outcomes
    engine.learn(Outcome("d1", at, at + DAY, Verdict.NO_FAULT_FOUND, "", asked_with))
    assert (family.suspicions.platt[0].outcomes > before) == bool(learnt)


def test_what_a_device_with_a_known_fault_shows_teaches_nothing_until_it_is_repaired():
    model = model_of()
    show(model, 0, 0.0, 1.0)
    show(model, 1, 0.0, 1.0, faulty=True)
    assert [snapshot.row for snapshot in model.open] == [0]
    engine, at = quiet_engine()
    family = engine.families[0]
    row = np.array([family.rows["d1"]])
    engine.learn(Outcome("d1", at, at + DAY, Verdict.FAULT_CONFIRMED, "pump"))
    assert family.visits.known_faulty(row, np.array([at + 2 * DAY]))[0]
    happen(engine, at + 3 * DAY, EventKind.PART_REPLACED, "d1", "pump")
    assert not family.visits.known_faulty(row, np.array([at + 4 * DAY]))[0]
    engine.learn(Outcome("d1", at, at + 5 * DAY, Verdict.FAULT_CONFIRMED, "pump"))
    assert not family.visits.known_faulty(row, np.array([at + 6 * DAY]))[0], "what came before the repair is over"


def test_a_change_of_the_fleet_that_reaches_devices_at_different_times_is_no_feature():
    bank = ChannelBank(1, (1, 4, 16, 64), 1.0, 40, 1000)
    bank.grow(20)
    bank.count[:], cohort, heard_at = 100.0, np.zeros(20, np.int64), np.arange(20.0) % 4 * 43200.0
    runs = np.where(np.arange(20) < 5, 6, 1)  # since all readings went up by four sigma; the first five ran often
    for k, span in enumerate(bank.spans):
        bank.smooth[k, :, 0] = 4.0 * (1.0 - (1.0 - 2.0 / (span + 1.0)) ** runs)
    bank.smooth[:, 0] *= 3.0  # and one is worse
    rows, at = np.arange(20), np.full(20, 3.5 * 43200.0)

    def seen(portraits: Portraits) -> np.ndarray:
        portraits.follow_cohorts(bank, cohort, heard_at, float(at[0]))
        codes = CodeMemory()
        codes.grow(20)
        return portraits.of(bank, rows, cohort, at, np.zeros(20), codes)[0][:, :2].max(axis=1)

    found = seen(Portraits(1, 4))
    assert found[0] > 0.8
    assert (found[1:] < 0.1).all()
    bank.smooth[0, 5:] = 0.0  # the latest readings of most are as ever: then who has moved has moved alone
    assert (seen(Portraits(1, 4))[1:5] > 0.5).all()
