"""The engine through its public interface: a step in one channel is called, a quiet device is not."""

from dataclasses import replace

import numpy as np

from cloud.detection.engine import Engine
from cloud.detection.records import DeviceEvent, EventKind, Outcome, RecordBlock, Verdict
from tests.detection.fleets import noise_block


def test_a_step_is_called_and_quiet_is_not():
    rng = np.random.default_rng(1)
    engine = Engine()
    called = []
    for t in range(400):
        values = rng.normal(size=(2, 3))
        values[1, 0] += 15 if t > 300 else 0
        block = RecordBlock(["quiet", "broken"], np.full(2, t * 3600.0), ("a", "b", "c"), values)
        called += [(j.device, t) for j in engine.observe(block).raised()]
    assert called
    assert {device for device, _ in called} == {"broken"}
    assert min(t for _, t in called) in range(301, 306)


def test_problem_and_fitness_are_those_of_the_judgement():
    engine, problems = Engine(), set()
    for k in range(200):
        block = noise_block(k, devices=5)
        at = float(block.times[0])
        if k > 5:
            block.values[2:4] = np.nan
        if k % 20 == 0:
            code = [EventKind.CODE_RAISED, EventKind.CODE_CLEARED] if k < 100 else [EventKind.CODE_RAISED]
            block = replace(block, events=[DeviceEvent(at, "d1", kind, "E1") for kind in code])
        found = engine.observe(block)
        if k % 20 == 8:
            engine.learn(Outcome("d1", at, at, Verdict.FAULT_CONFIRMED, "pump"))
        completeness, judgeable = engine.fitness(list(found.devices))
        assert [found.problem(i) for i in range(5)] == [j.problem for j in found]
        assert completeness.tolist() == [j.completeness for j in found]
        assert judgeable.tolist() == [j.judgeable for j in found]
        problems.update(found.problem(i) for i in range(5))
    assert judgeable.tolist() == [True, True, False, False, True]
    assert problems == {"anomaly", "pump", "E1"}, (
        "a passing code points to what it was confirmed as, a standing one to itself"
    )


def test_a_block_may_hold_views_of_what_is_not_its_own():
    engines = [Engine() for _ in range(3)]
    for k in range(60):
        block = noise_block(k)
        wide = np.repeat(block.values.astype(np.float32), 2, axis=1)
        wide.flags.writeable = False
        plain = replace(block, values=wide[:, ::2].astype(np.float64))
        views = replace(block, values=wide[:, ::2], times=np.broadcast_to(block.times[:1], block.times.shape))
        columns = replace(block, values=np.asfortranarray(plain.values))
        scores = [engine.observe(b).scores for engine, b in zip(engines, (plain, views, columns), strict=True)]
        assert np.array_equal(scores[0], scores[1])
        assert np.array_equal(scores[0], scores[2])
