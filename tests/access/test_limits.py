"""Limits: pure, with the time as an argument."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloud.web.auth.limits import REMEMBERED, Buckets, Throttle


def test_the_throttle_forgets_after_its_window_and_knows_subjects_apart() -> None:
    throttle = Throttle(limit=2, window_s=60)
    for now in (0.0, 10.0):
        assert throttle.allows("mei", now)
        throttle.failed("mei", now)
    assert not throttle.allows("mei", 59.0)
    assert throttle.allows("li", 59.0)
    assert throttle.allows("mei", 60.0)


@given(st.lists(st.floats(0, 5, allow_nan=False), min_size=1, max_size=200))
def test_no_more_than_burst_and_rate_is_ever_let_through(pauses: list[float]) -> None:
    buckets, now, passed = Buckets(rate_per_s=2.0, burst=5), 0.0, 0
    for pause in pauses:
        now += pause
        passed += buckets.wait_s("mei", now) == 0.0
    assert passed <= 5 + 2.0 * now + 1e-6


def test_after_the_wait_that_is_told_the_next_request_goes_on() -> None:
    buckets = Buckets(rate_per_s=2.0, burst=1)
    assert buckets.wait_s("mei", 0.0) == 0.0
    wait_s = buckets.wait_s("mei", 0.0)
    assert 0 < wait_s <= 0.5
    assert buckets.wait_s("mei", wait_s) == 0.0


def test_memory_is_bounded() -> None:
    throttle, buckets = Throttle(), Buckets(1, 1)
    for n in range(REMEMBERED + 50):
        throttle.failed(str(n), 0.0)
        buckets.wait_s(str(n), 0.0)
    assert len(throttle._failures) == len(buckets._levels) == REMEMBERED
