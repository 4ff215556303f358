"""Draws are functions of their coordinates, with the distribution that they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim.randomness import dice, key, normal, smooth, uniform

KEYS = np.array([key(1, f"device/{number}") for number in range(500)], np.uint64)
STEPS = np.arange(400, dtype=np.int64).reshape(-1, 1)


def test_a_draw_is_the_same_alone_and_among_others() -> None:
    together = normal(KEYS, STEPS, "power")
    assert together[17, 3] == normal(KEYS[3:4], STEPS[17], "power")[0]


def test_streams_seeds_and_devices_are_independent() -> None:
    one, other = normal(KEYS, STEPS, "power").ravel(), normal(KEYS, STEPS, "temperature").ravel()
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.01
    assert key(1, "device/1") != key(2, "device/1") != key(2, "device/2")
    across = normal(KEYS, STEPS, "power")
    assert abs(np.corrcoef(across[:, 0], across[:, 1])[0, 1]) < 0.2


def test_normal_draws_are_nearly_normal() -> None:
    draws = normal(KEYS, STEPS, "power")
    assert abs(draws.mean()) < 0.01
    assert draws.std() == pytest.approx(1.0, abs=0.01)
    assert np.abs(draws).max() < 3.47
    assert (np.abs(draws) < 1.0).mean() == pytest.approx(0.6827, abs=0.02)  # of four uniforms: 0.668


def test_uniform_draws_fill_their_interval_evenly() -> None:
    draws = uniform(KEYS, STEPS, "door").ravel()
    assert draws.min() >= 0.0
    assert draws.max() < 1.0
    counts, _ = np.histogram(draws, bins=20, range=(0, 1))
    assert counts.max() / counts.min() < 1.1


@given(st.floats(0, 4e9), st.floats(60, 1e6))
def test_smooth_noise_does_not_jump(at: float, scale: float) -> None:
    times = np.array([[at], [at + scale * 1e-4]])
    values = smooth(KEYS[:5], times, scale, "weather")
    assert np.abs(values[1] - values[0]).max() < 0.01


def test_dice_of_a_name_are_repeatable_and_their_own() -> None:
    assert dice(3, "life", "a").random() == dice(3, "life", "a").random()
    assert dice(3, "life", "a").random() != dice(3, "life", "b").random()
