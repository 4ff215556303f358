"""One suite for everything that scores: the supervised models behind the port, and the engine as a whole."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from cloud.detection.engine import Engine
from cloud.detection.models import FaultModel, LiteralRates, RiverLogistic
from cloud.detection.records import Outcome, RecordBlock, Verdict

MODELS = [RiverLogistic, LiteralRates]


def taught(model: FaultModel, n: int = 400, seed: int = 5) -> FaultModel:
    rng = np.random.default_rng(seed)
    for _ in range(n):
        a, b = rng.random() < 0.3, rng.random() < 0.3
        model.learn({"a": float(a), "b": float(b), "x": float(rng.normal())}, bool(a and rng.random() < 0.8))
    return model


@pytest.fixture(params=MODELS, ids=lambda m: m.__name__)
def make(request):
    return request.param


def test_a_model_learns_what_matters(make):
    model = taught(make())
    assert model.probability({"a": 1.0, "b": 0.0, "x": 0.0}) > 2 * model.probability({"a": 0.0, "b": 1.0, "x": 0.0})


def test_a_model_states_probabilities_before_it_has_learnt(make):
    assert 0.0 <= make().probability({"a": 1.0}) <= 1.0
    assert 0.0 <= make().probability({}) <= 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300, -1e300])
def test_a_model_bears_bad_numbers(make, bad):
    model = taught(make())
    model.learn({"a": 1.0, "x": bad}, True)
    p = model.probability({"a": 1.0, "x": bad})
    assert 0.0 <= p <= 1.0
    assert 0.0 <= model.probability({"a": 1.0, "x": 0.0}) <= 1.0


def test_a_model_bears_unseen_vanishing_and_constant_features(make):
    model = taught(make())
    assert 0.0 <= model.probability({"never": 1.0}) <= 1.0
    assert 0.0 <= model.probability({"a": 1.0}) <= 1.0
    for _ in range(50):
        model.learn({"a": 1.0, "x": 7.0}, False)
    assert 0.0 <= model.probability({"a": 1.0, "x": 7.0}) <= 1.0


def test_a_model_pickles_and_repeats(make):
    model = taught(make())
    again, copy = taught(make()), pickle.loads(pickle.dumps(model))
    asked = {"a": 1.0, "b": 1.0, "x": 0.3}
    assert model.probability(asked) == again.probability(asked) == copy.probability(asked)


def test_the_order_of_features_does_not_matter(make):
    one, other = make(), make()
    rng = np.random.default_rng(2)
    for _ in range(200):
        items = [("a", float(rng.random() < 0.5)), ("b", float(rng.random() < 0.5)), ("x", float(rng.normal()))]
        failed = bool(rng.random() < 0.2)
        one.learn(dict(items), failed)
        other.learn(dict(reversed(items)), failed)
    assert one.probability({"a": 1.0, "b": 0.0, "x": 1.0}) == other.probability({"x": 1.0, "b": 0.0, "a": 1.0})


# -- the engine, through its public interface -----------------------------------------------------------
def scores(values: np.ndarray, channels: tuple[str, ...] = ("a", "b", "c"), engine: Engine | None = None) -> np.ndarray:
    engine = engine or Engine()
    out = []
    for k, row in enumerate(values):
        block = RecordBlock(["d"], np.array([1.7e9 + 60.0 * k]), channels, np.asarray(row, float)[None])
        out.append(engine.observe(block).scores[0])
    return np.array(out)


def quiet(n: int, width: int = 3) -> np.ndarray:
    return np.random.default_rng(9).normal(size=(n, width))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0])
def test_one_bad_reading_leaves_the_scores_sound(bad):
    values = quiet(300)
    values[150, 1] = bad
    found = scores(values)
    assert np.isfinite(found).all()
    assert ((found >= 0) & (found <= 1)).all()
    assert (found[200:] < 0.5).all()


@pytest.mark.parametrize("kind", ["constant", "all_nan", "huge", "tiny", "duplicate", "alternating"])
@pytest.mark.parametrize("width", [1, 3])
def test_odd_streams_are_borne_and_call_for_nothing(kind, width):
    values = quiet(400, width)
    values = {
        "constant": np.full_like(values, 5.0),
        "all_nan": np.full_like(values, np.nan),
        "huge": values * 1e12,
        "tiny": values * 1e-12,
        "duplicate": np.repeat(values[:200], 2, axis=0),
        "alternating": np.where(np.arange(400)[:, None] % 2, 1.0, 0.0) * np.ones((1, width)),
    }[kind]
    found = scores(values, tuple("abc"[:width]))
    assert np.isfinite(found).all()
    assert (found < 0.5).all()


def test_scale_and_name_of_channels_do_not_matter():
    values = quiet(400)
    values[300:, 0] += 6
    plain = scores(values)
    other = scores(values * 1000.0 + 20.0, ("zeta", "eta", "theta"))
    assert plain[320] > 0.5
    assert np.abs(plain - other[np.arange(400)])[60:].max() < 0.2


def test_channels_that_vanish_or_are_new_are_borne_and_counted():
    engine = Engine()
    scores(quiet(200), engine=engine)
    late = RecordBlock(["d"], np.array([1.7e9 + 1e6]), ("a",), np.array([[0.1]]))
    more = RecordBlock(["d"], np.array([1.7e9 + 2e6]), ("a", "b", "c", "new"), np.zeros((1, 4)))
    assert np.isfinite(engine.observe(late).scores[0])
    assert np.isfinite(engine.observe(more).scores[0])
    assert engine.unread_channels["new"] == 1


def test_a_repeated_time_is_counted_and_answered_with_the_last_score():
    engine = Engine()
    block = RecordBlock(["d"], np.array([1.7e9]), ("a",), np.array([[1.0]]))
    first = engine.observe(block).scores[0]
    assert engine.observe(block).scores[0] == first
    assert engine.stale_rows["d"] == 1


def test_several_samples_of_a_device_in_a_block_are_the_same_as_one_by_one():
    values = quiet(240)
    apart = scores(values)
    engine, together = Engine(), []
    for k in range(0, 240, 12):
        times = 1.7e9 + 60.0 * np.arange(k, k + 12)
        together += list(engine.observe(RecordBlock(["d"] * 12, times, ("a", "b", "c"), values[k : k + 12])).scores)
    assert np.array_equal(apart, together)


def test_a_block_of_the_wrong_shape_is_refused_with_the_shapes():
    with pytest.raises(ValueError, match=r"needs values of shape \(1, 2\)"):
        RecordBlock(["d"], np.zeros(1), ("a", "b"), np.zeros((1, 3)))


def test_an_outcome_of_an_unknown_device_is_counted():
    engine = Engine()
    engine.learn(Outcome("nobody", 0.0, 0.0, Verdict.FAILURE))
    assert engine.unknown_outcomes == 1
