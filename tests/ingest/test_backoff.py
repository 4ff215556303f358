"""Back-off with full jitter."""

from __future__ import annotations

from cloud.ingest.backoff import Backoff


def test_the_ceiling_doubles_up_to_the_longest_and_starts_anew() -> None:
    backoff = Backoff(0.2, 1.0, lambda: 1.0)
    assert [backoff.pause_s() for _ in range(5)] == [0.2, 0.4, 0.8, 1.0, 1.0]
    backoff.succeeded()
    assert backoff.pause_s() == 0.2


def test_the_pause_is_drawn_below_the_ceiling() -> None:
    assert Backoff(8.0, 10.0, lambda: 0.25).pause_s() == 2.0


def test_endless_failures_do_not_overflow() -> None:
    backoff = Backoff(0.2, 15.0, lambda: 1.0, failures=10_000)
    assert backoff.pause_s() == 15.0
