"""The same records give the same judgements: in any interleaving within the bound, and after a restore."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.detection.checkpoint import CheckpointError
from cloud.detection.engine import Engine
from cloud.detection.intake import Intake, StoredFrame, Tick
from cloud.detection.records import Outcome, RecordBlock, Verdict
from tests.detection.fleets import noise_block


def recorded(devices: int = 4, frames: int = 40, samples: int = 3) -> list[StoredFrame]:
    rng = np.random.default_rng(1)
    out = []
    for d in range(devices):
        for seq in range(frames):
            values = rng.normal(size=(samples, 2)) + (8.0 if d == 0 and seq > 30 else 0.0)
            at = 1000.0 + 10.0 * samples * seq + d
            out.append(StoredFrame(f"d{d}", 1, seq, at, 10.0, ("p", "q"), values, received_at=1e12))
    return out


def judged(arrivals: list[StoredFrame], lateness: float) -> tuple[list[tuple[str, float, float]], int]:
    engine, intake, out = Engine(), Intake(lateness, tick=30.0), []

    def judge(ticks: Iterator[Tick]) -> None:
        for tick in ticks:
            for block in intake.blocks(tick):
                found = engine.observe(block)
                out.extend(zip(found.devices, found.times, found.scores, strict=True))

    for i in range(0, len(arrivals), 7):
        intake.add(arrivals[i : i + 7])
        judge(intake.ready())
    judge(intake.flush())
    return out, intake.late.total()


@given(seed=st.integers(0, 10_000), spread=st.floats(0, 200))
@settings(max_examples=12, deadline=None)
def test_any_arrival_within_the_bound_gives_the_same_judgements(seed, spread):
    frames = recorded()
    order = random.Random(seed)
    arrivals = sorted(frames, key=lambda f: f.started_at + order.uniform(0, spread))
    expected, none_late = judged(sorted(frames, key=lambda f: f.started_at), 300.0)
    found, late = judged(arrivals, 300.0)
    assert none_late == late == 0
    assert len(found) == sum(len(f.values) for f in frames)
    assert found == expected


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_each_record_is_judged_once_in_order_or_counted_as_late(seed):
    frames = recorded()
    random.Random(seed).shuffle(frames)
    found, late = judged(frames, 60.0)
    instants = [(at, device) for device, at, _ in found]
    assert instants == sorted(set(instants))
    assert late > 0
    assert len(found) + late == sum(len(f.values) for f in frames)


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
