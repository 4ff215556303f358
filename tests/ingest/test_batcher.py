"""The batcher: times and sizes in, batches out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloud.ingest.batcher import Batcher
from cloud.ingest.ports import Arrival


def arrivals(*sizes: int) -> list[Arrival]:
    return [Arrival("t", bytes(size), place) for place, size in enumerate(sizes)]


def test_an_empty_batcher_has_nothing_due() -> None:
    batcher = Batcher(10, 1000, 0.02)
    assert batcher.wait_s(5.0) is None
    assert batcher.take() == []


def test_the_oldest_message_sets_the_time() -> None:
    batcher = Batcher(10, 1000, 0.25)
    batcher.add(arrivals(1), 1.0)
    batcher.add(arrivals(1), 1.125)
    assert batcher.wait_s(1.125) == 0.125
    assert batcher.age_of_oldest_s(1.125) == 0.125
    assert batcher.wait_s(1.5) == 0.0
    assert len(batcher.take()) == 2
    assert batcher.wait_s(1.5) is None


def test_a_full_batch_is_due_at_once() -> None:
    batcher = Batcher(3, 1000, 60.0)
    batcher.add(arrivals(1, 1, 1, 1), 1.0)
    assert batcher.wait_s(1.0) == 0.0
    assert len(batcher.take()) == 3
    assert batcher.wait_s(1.0) == 60.0


def test_bytes_fill_a_batch_too_and_a_giant_goes_alone() -> None:
    batcher = Batcher(100, 10, 60.0)
    batcher.add(arrivals(6, 6, 50, 1), 1.0)
    assert [[len(a.payload) for a in batcher.take()] for _ in range(4)] == [[6], [6], [50], [1]]


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 8), st.integers(1, 100))
def test_nothing_is_lost_or_reordered(sizes: list[int], messages: int, most_bytes: int) -> None:
    batcher = Batcher(messages, most_bytes, 0.02)
    batcher.add(arrivals(*sizes), 0.0)
    taken: list[Arrival] = []
    while batch := batcher.take():
        assert len(batch) <= messages
        assert len(batch) == 1 or sum(len(a.payload) for a in batch) <= most_bytes
        taken += batch
    assert taken == arrivals(*sizes)
    assert len(batcher) == 0
