"""The same records give the same judgements: in any interleaving within the bound, and after a restore."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.detection.checkpoint import CheckpointError
from cloud.detection.engine import Engine
from cloud.detection.records import DeviceEvent, EventKind, Outcome, RecordBlock, Verdict
from cloud.detection.watermark import Sample, Watermark
from tests.detection.fleets import noise_block


def recorded(seed: int, devices: int = 4, steps: int = 120) -> list[Sample]:
    rng = np.random.default_rng(seed)
    out = []
    for d in range(devices):
        for k in range(steps):
            values = rng.normal(size=2) + (8.0 if d == 0 and k > 90 else 0.0)
            out.append(Sample(1000.0 + 10.0 * k + d, f"d{d}", (1, k), ("p", "q"), tuple(values)))
    return out


def judged(arrivals: list[Sample], lateness_s: float) -> tuple[list[tuple[str, float, float]], int]:
    engine, stage, out = Engine(), Watermark(lateness_s, tick_s=30.0), []
    for i in range(0, len(arrivals), 7):
        for block in stage.add(arrivals[i : i + 7]):
            found = engine.observe(block)
            out += list(zip(found.devices, found.times, found.scores, strict=True))
    for block in stage.flush():
        found = engine.observe(block)
        out += list(zip(found.devices, found.times, found.scores, strict=True))
    return out, sum(stage.late.values())


@given(seed=st.integers(0, 10_000), spread=st.floats(0, 200))
@settings(max_examples=12, deadline=None)
def test_any_arrival_within_the_bound_gives_the_same_judgements(seed, spread):
    samples = recorded(1)
    order = random.Random(seed)
    arrivals = sorted(samples, key=lambda s: s.at + order.uniform(0, spread))
    expected, none_late = judged(sorted(samples), 200.0)
    found, late = judged(arrivals, 200.0)
    assert none_late == late == 0
    assert found == expected


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_each_record_is_released_once_in_order_or_handed_back_as_late(seed):
    order = random.Random(seed)
    samples = recorded(2, devices=3, steps=40)
    order.shuffle(samples)
    stage, blocks = Watermark(60.0, 20.0), []
    for sample in samples:
        blocks += stage.add([sample])
    blocks += stage.flush()
    late = stage.take_late()
    released = [(t, d) for b in blocks for t, d in zip(b.times, b.devices, strict=True)]
    assert released == sorted(released)
    assert len(released) + len(late) == len(samples)
    assert sum(stage.late.values()) == len(late)
    assert stage.take_late() == []


def test_a_duplicate_is_counted_and_released_once():
    stage = Watermark(0.0, 10.0)
    sample = Sample(1.0, "a", (1, 1), ("x",), (1.0,))
    stage.add([sample, sample])
    assert [list(b.devices) for b in stage.flush()] == [["a"]]
    assert stage.duplicates == 1


def test_events_are_released_with_their_tick():
    stage = Watermark(0.0, 10.0)
    event = DeviceEvent(3.0, "a", EventKind.CODE_RAISED, "E1")
    stage.add([Sample(4.0, "a", (), ("x",), (0.0,))], [event])
    (block,) = stage.flush()
    assert list(block.events) == [event]


def test_restored_engine_goes_on_bit_for_bit():
    engine = Engine()
    outcome = Outcome("d1", 1.7e9 + 200 * 3600, 1.7e9 + 210 * 3600, Verdict.FAILURE, "pump")
    for k in range(210):
        engine.observe(noise_block(k))
    engine.learn(outcome)
    twin = Engine.restore(engine.checkpoint())
    for k in range(210, 320):
        ours, theirs = engine.observe(noise_block(k)), twin.observe(noise_block(k))
        assert np.array_equal(ours.scores, theirs.scores)
        assert ours.raised() == theirs.raised()
    ours, theirs = engine.families[0], twin.families[0]
    for part in ("bank", "cutter", "phases", "sensors", "suspicions"):
        for name, value in vars(getattr(ours, part)).items():
            if isinstance(value, np.ndarray):
                assert np.array_equal(value, getattr(getattr(theirs, part), name), equal_nan=True), (part, name)


@pytest.mark.parametrize("blob", [b"", b"junk" * 40, Engine().checkpoint()[:-3], Engine().checkpoint()[:-1] + b"\x00"])
def test_a_damaged_checkpoint_is_refused(blob):
    with pytest.raises(CheckpointError):
        Engine.restore(blob)


def test_a_checkpoint_may_name_nothing_outside_the_package():
    from cloud.detection import checkpoint

    with pytest.raises(CheckpointError, match="may not name"):
        checkpoint.unpack(checkpoint.pack(random.Random(1)))


def test_state_of_a_device_stays_small():
    names = [f"d{i:04}" for i in range(1000)]
    engine, rng = Engine(), np.random.default_rng(0)
    for k in range(40):
        block = RecordBlock(names, np.full(1000, 1.7e9 + 60.0 * k), tuple("abcdefgh"), rng.normal(size=(1000, 8)))
        engine.observe(block)
    assert len(engine.checkpoint()) / 1000 < 4096
