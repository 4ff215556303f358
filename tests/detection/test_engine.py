"""The engine through its public interface: a step in one channel is called, a quiet device is not."""

import numpy as np

from cloud.detection.engine import Engine
from cloud.detection.records import RecordBlock


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
