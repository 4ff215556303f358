"""Lots that stand out: the exact test, false discoveries by simulation, rounds on a database."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.desk.triage.lots import Comparison, q_values, standing_out, tail
from cloud.desk.triage.quality import close_quality_finding, list_quality_findings, quality_members
from cloud.desk.triage.settings import TriageSettings
from cloud.registry import ownership
from cloud.registry.gs1 import ProductCode
from tests.desk.stage import Stage


@given(
    st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n))), st.integers(0, 9)
)
def test_the_tail_is_what_counting_all_draws_gives(urn: tuple[int, int, int], affected: int) -> None:
    everything, bad, drawn = urn
    draws = [sum(1 for one in draw if one < bad) for draw in combinations(range(everything), drawn)]
    expected = sum(1 for count in draws if count >= affected) / comb(everything, drawn)
    assert tail(affected, drawn, bad, everything) == pytest.approx(expected, abs=1e-12)


def test_the_tail_of_a_large_fleet_neither_vanishes_nor_overflows() -> None:
    assert tail(0, 50_000, 4_000, 100_000) == 1.0
    assert tail(10, 50_000, 4_000, 100_000) == pytest.approx(1.0)
    assert 0.0 <= tail(3_000, 50_000, 4_000, 100_000) < 1e-200
    assert tail(2_000, 50_000, 4_000, 100_000) == pytest.approx(0.51, abs=0.01)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.001, 0.5))
def test_q_values_find_what_the_step_up_procedure_finds(p_values: list[float], level: float) -> None:
    ordered = sorted(p_values)
    passing = [k for k, p in enumerate(ordered, 1) if p * len(ordered) / k <= level]
    cut = ordered[max(passing) - 1] if passing else -1.0
    assert [q <= level for q in q_values(p_values)] == [p <= cut for p in p_values]


def _fleet(dice: np.random.Generator, bad: frozenset[int], lots: int = 40) -> list[Comparison]:
    """Forty lots of one model of 200 devices each, 3 % of which fail; those of `bad` fail four times as often."""
    rates = [0.12 if lot in bad else 0.03 for lot in range(lots)]
    counts = [int(dice.binomial(200, rate)) for rate in rates]
    return [
        Comparison("lot", "M", f"L{lot}", "E1", 200, count, 200 * (lots - 1), sum(counts) - count)
        for lot, count in enumerate(counts)
    ]


def test_of_what_is_found_at_most_one_in_twenty_is_false() -> None:
    """300 fleets, seeded. The mean share's standard error is below 0.01; the procedure's own bound is 0.05 x 36/40."""
    dice = np.random.default_rng(11)
    bad = frozenset({3, 7, 20, 31})
    shares, found_bad = [], 0
    for _ in range(300):
        found = {s.comparison.member for s in standing_out(_fleet(dice, bad), 0.05, 1)}
        false = found - {f"L{lot}" for lot in bad}
        shares.append(len(false) / max(1, len(found)))
        found_bad += len(found) - len(false)
    assert np.mean(shares) <= 0.05
    assert found_bad / (300 * len(bad)) > 0.8, "it must also find something"


def test_in_a_fleet_without_a_bad_lot_hardly_anything_is_found() -> None:
    dice = np.random.default_rng(12)
    alarms = sum(bool(standing_out(_fleet(dice, frozenset()), 0.05, 1)) for _ in range(400))
    assert alarms / 400 <= 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5


# --- on the database ---


@pytest.fixture
async def factory(stage: Stage) -> Stage:
    """Forty washers of one model: lots A, B, C, D of ten."""
    stage.triage = TriageSettings(quality_hours=0.0001)
    for n in range(40):
        name, unit = f"d{n}", ProductCode("09520000900014", f"F{n}", lot="ABCD"[n % 4])
        await ownership.register_device(stage.connection, name, "test", gateway="gw")
        await ownership.register_product(stage.connection, unit)
        await ownership.fit(stage.connection, name, unit, "test")
    return stage


async def _faults(stage: Stage, count: int) -> None:
    """The first `count` devices of lot A report 8E, and one of lot B."""
    for n in [*range(0, 4 * count, 4), 1]:
        row = await stage.rows(f"SELECT device_no FROM device WHERE device = 'd{n}'")
        await stage.report(30 + n / 10, code="8E", device_no=row[0][0])


async def _round(stage: Stage) -> None:
    await stage.rows("UPDATE quality_round SET at = '2000-01-01' RETURNING 1")
    await stage.turn()


async def test_a_bad_lot_becomes_a_quality_finding_with_its_members(factory: Stage) -> None:
    await _faults(factory, 8)
    await factory.turn()
    (found,) = await list_quality_findings(factory.connection)
    assert (found["kind"], found["scope"], found["member"], found["problem"]) == ("lot", "WM-90", "A", "8E")
    assert (found["devices"], found["affected"], found["rest_devices"], found["rest_affected"]) == (10, 8, 31, 1)
    assert found["q_value"] <= 0.05
    assert found["sentence"]["en"].startswith("8 of 10 devices of lot A report 8E (80.0%)")
    behind = await quality_members(factory.connection, found["quality_finding_no"])
    assert {m["device"] for m in behind} == {f"d{n}" for n in range(0, 32, 4)}
    assert await factory.rows("SELECT lot, devices FROM cohort_size ORDER BY lot") == [
        ("A", 10), ("B", 10), ("C", 10), ("D", 10), ("L7", 1),
    ]  # fmt: skip


async def test_a_second_round_finds_the_same_once_and_closed_ones_stay_closed(factory: Stage) -> None:
    await _faults(factory, 5)
    await factory.turn()
    await _round(factory)
    (found,) = await list_quality_findings(factory.connection)
    await close_quality_finding(factory.connection, found["quality_finding_no"], "qi", "supplier told")
    await _round(factory)
    assert await list_quality_findings(factory.connection) == []
    for n in range(20, 40, 4):
        row = await factory.rows(f"SELECT device_no FROM device WHERE device = 'd{n}'")
        await factory.report(29, code="8E", device_no=row[0][0])
    await _round(factory)
    await _round(factory)
    (again,) = await list_quality_findings(factory.connection)
    assert (again["quality_finding_no"], again["affected"]) == (found["quality_finding_no"], 10)


async def test_what_no_longer_stands_out_fades(factory: Stage) -> None:
    await _faults(factory, 6)
    await factory.turn()
    factory.triage = TriageSettings(quality_hours=0.0001, quality_days=0.5)
    await _round(factory)
    assert [f["state"] for f in await list_quality_findings(factory.connection, state=None)] == ["faded"]
