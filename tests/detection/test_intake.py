"""The intake gives one canonical order, whatever the order of arrival; an independent reorder stage is its oracle."""

from __future__ import annotations

import math
import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cloud.detection.intake import Intake, StoredFrame
from cloud.detection.records import DeviceEvent, EventKind, RecordBlock
from tests.detection.plain_reorder import PlainReorder

TICK = 10.0
Row = tuple[float, str, float]


def frame(device: str, started_at: float, values: list[float], *, seq: int = 0, hold: float = 0.0) -> StoredFrame:
    column = np.array(values, np.float64)[:, None]
    return StoredFrame(device, 1, seq, started_at, 1.0, ("power",), column, received_at=1e12, hold=hold)


def rows_of(blocks: list[RecordBlock]) -> list[Row]:
    return [(float(t), d, float(v)) for b in blocks for t, d, v in zip(b.times, b.devices, b.values[:, 0], strict=True)]


def released(intake: Intake, *, flush: bool = False) -> list[RecordBlock]:
    ticks = intake.flush() if flush else intake.ready()
    return [block for tick in ticks for block in intake.blocks(tick)]


frames = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 300), st.integers(1, 25)), min_size=1, max_size=25, unique=True
)


@given(frames, st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(chosen: list[tuple[str, int, int]], chance: random.Random) -> None:
    made = [
        frame(device, float(at), [float(i) for i in range(length)], seq=n)
        for n, (device, at, length) in enumerate(chosen)
    ]
    in_order = Intake(lateness=1000, tick=TICK)
    in_order.add(made)
    shuffled = Intake(lateness=1000, tick=TICK)
    arrived = made[:]
    chance.shuffle(arrived)
    blocks = []
    for one in arrived:
        shuffled.add([one])
        blocks += released(shuffled)
    assert rows_of(released(in_order, flush=True)) == rows_of(blocks + released(shuffled, flush=True))
    assert not shuffled.late


@given(frames, st.floats(0, 60))
def test_agrees_with_the_plain_reorder_stage(chosen: list[tuple[str, int, int]], lateness: float) -> None:
    intake, oracle = Intake(lateness=lateness, tick=TICK), PlainReorder(lateness, TICK)
    mine, theirs = [], []
    for n, (device, at, length) in enumerate(chosen):
        values = [float(n * 100 + i) for i in range(length)]
        intake.add([frame(device, float(at), values, seq=n)])
        mine += released(intake)
        theirs += oracle.add([(float(at + i), device, n * 100 + i, v) for i, v in enumerate(values)])
    mine += released(intake, flush=True)
    theirs += oracle.flush()
    assert [row[:2] for row in rows_of(mine)] == [sample[:2] for sample in theirs]
    assert sorted(rows_of(mine)) == sorted((at, device, value) for at, device, _, value in theirs)
    assert intake.late == oracle.late


def test_late_samples_are_counted_and_the_rest_of_their_frame_is_judged() -> None:
    intake = Intake(lateness=0, tick=TICK)
    intake.add([frame("a", 35, [1.0])])
    assert not released(intake)
    intake.add([frame("b", 25, [float(i) for i in range(10)])])
    assert intake.late == {"b": 5}
    assert [row[0] for row in rows_of(released(intake, flush=True))] == [30, 31, 32, 33, 34, 35]


def test_a_clock_ahead_of_its_receipt_does_not_make_others_late() -> None:
    intake = Intake(lateness=0, tick=TICK)
    wrong = StoredFrame("fast", 1, 0, 90_000.0, 1.0, ("power",), np.ones((1, 1)), received_at=50.0)
    intake.add([wrong])
    intake.add([frame("a", 50, [1.0])])
    assert not intake.late


def test_an_event_without_samples_is_released_with_its_tick() -> None:
    intake = Intake(lateness=0, tick=TICK)
    event = DeviceEvent(5.0, "a", EventKind.CODE_RAISED, "E1")
    intake.add([], [(event, 5.0)])
    (block,) = released(intake, flush=True)
    assert list(block.events) == [event]
    assert not block.devices


@given(st.lists(st.one_of(st.just(math.nan), st.floats(-5, 5)), min_size=1, max_size=60), st.integers(1, 20))
def test_a_reading_stands_within_its_hold_and_not_beyond(values: list[float], hold: int) -> None:
    intake = Intake(lateness=0, tick=TICK)
    parts = [values[:7], values[7:]]
    for n, part in enumerate(p for p in parts if p):
        intake.add([frame("a", float(7 * n), part, seq=n, hold=float(hold))])
    got = [value for _, _, value in rows_of(released(intake, flush=True))]
    for at, value in enumerate(got):
        known = [i for i in range(max(0, at - hold), at + 1) if not math.isnan(values[i])]
        expected = values[known[-1]] if known else math.nan
        assert value == expected or (math.isnan(value) and math.isnan(expected))
