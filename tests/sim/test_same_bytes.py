"""Same seed, same bytes: the ground truth, the drivers' samples and the bulk records of a fixed world."""

import hashlib
import io

import numpy as np
import pytest

from device_sim.fleet.observation import ContinuousView, CyclicTrace
from device_sim.fleet.population import Appliance
from device_sim.fleet.records import BulkFleet
from device_sim.fleet.truth import write_truth
from device_sim.physics.catalogue import CONTINUOUS, CYCLIC
from tests.sim.worlds import START, column, digest, of_family, world

DAY = 86_400.0

TRUTH = "9658d92d8dcf1bed"
RECORDS = "a3dee27ad56ac963"
TRACES = {
    "air_conditioner": "8459c00af8492a77",
    "dishwasher": "7f869cdf3f4ceb4c",
    "dryer": "e6ce59bb1bc5373e",
    "fridge": "43cf1d8aea6b4271",
    "washer": "3e9ece522555ac47",
    "water_heater": "34ccdc15b036f76a",
}
"""The bytes of seed 7. A change of the physics changes them, on purpose and in this file; nothing else may."""


def _truth(seed: int) -> str:
    out = io.StringIO()
    drawn = world(365, 200, seed)
    write_truth(out, drawn.populate(), drawn.span)
    return hashlib.sha256(out.getvalue().encode()).hexdigest()[:16]


def _trace(family: str) -> str:
    one = of_family(family)[0]
    return digest(_readings([one], column(START + 3 * DAY, DAY, 60.0)).astype(np.float32))


def _readings(appliances: list[Appliance], at: np.ndarray) -> np.ndarray:
    if appliances[0].model.family in CONTINUOUS:
        return ContinuousView(7, appliances, averaged=False).readings(at)
    return CyclicTrace(7, appliances[0]).readings(at)


def _records(seed: int) -> str:
    drawn = world(5, 100, seed)
    total = hashlib.sha256()
    for day in BulkFleet(drawn, drawn.populate()).days():
        for block in day.blocks:
            total.update(digest(block.devices, block.times, block.values).encode())
    return total.hexdigest()[:16]


def test_the_ground_truth_of_a_seed_is_the_same_to_the_byte() -> None:
    assert _truth(7) == TRUTH
    assert _truth(8) != TRUTH


def test_the_bulk_records_of_a_seed_are_the_same_to_the_byte() -> None:
    assert _records(7) == RECORDS
    assert _records(8) != RECORDS


@pytest.mark.parametrize("family", sorted(TRACES))
def test_the_samples_of_a_seed_are_the_same_to_the_byte(family: str) -> None:
    assert _trace(family) == TRACES[family]


def test_every_family_is_pinned() -> None:
    assert set(TRACES) == set(CONTINUOUS) | set(CYCLIC)


@pytest.mark.parametrize("family", sorted(CONTINUOUS))
def test_an_appliance_reads_the_same_alone_and_in_a_fleet(family: str) -> None:
    fleet = of_family(family, 5)
    at = column(START + DAY, 7200, 60.0)
    together = _readings(fleet, at)
    alone = _readings(fleet[3:4], at)
    np.testing.assert_array_equal(together[:, 3:4], alone)


@pytest.mark.parametrize("family", sorted({**CONTINUOUS, **CYCLIC}))
def test_a_trace_may_begin_anywhere(family: str) -> None:
    """The physics has no memory but the clock, so an agent that restarts reads what it would have read."""
    fleet = of_family(family)
    whole = _readings(fleet, column(START + 2 * DAY, DAY, 60.0))
    late = _readings(fleet, column(START + 2.5 * DAY, DAY / 2, 60.0))
    np.testing.assert_array_equal(whole[720:], late)
