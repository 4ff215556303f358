"""Bulk records: ordered, repeatable, without silence or truth in them; and the money model over them."""

from dataclasses import replace

import numpy as np
import pytest

from device_sim.failure.silence import Silence
from device_sim.fleet.observation import ContinuousView, CyclicView
from device_sim.fleet.records import BulkFleet, Day
from device_sim.people.money import FAMILY_COSTS, Call, balance
from tests.sim.worlds import DAY, JULY, START, of_family, quiet, stricken, world


def _days(days: float = 6, appliances: int = 120, period: float = 3600.0) -> tuple[BulkFleet, list[Day]]:
    drawn = world(days, appliances, failure_scale=20.0)
    fleet = BulkFleet(drawn, drawn.populate(), period)
    return fleet, list(fleet.days())


def test_records_come_in_order_of_time_and_device() -> None:
    fleet, days = _days()
    assert [day.start for day in days] == [START + number * DAY for number in range(6)]
    seen: dict[str, float] = {}
    for day in days:
        for block in day.blocks:
            pairs = list(zip(block.times.tolist(), block.devices.tolist(), strict=True))
            assert pairs == sorted(set(pairs))
            assert block.values.shape == (len(block), len(block.channels))
            assert day.start <= block.times[0]
            assert block.times[-1] < day.start + DAY
            assert block.times[0] >= seen.get(block.model, 0.0)
            seen[block.model] = float(block.times[-1])
            assert {fleet.appliances[device].model.model for device in block.devices} == {block.model}
        assert list(day.codes) == sorted(day.codes, key=lambda change: (change.at, change.device, change.code))


def test_no_run_is_lost_at_midnight() -> None:
    fleet, days = _days(days=10)
    runs = sum(len(block) for day in days for block in day.blocks if block.family in ("washer", "dishwasher", "dryer"))
    expected = 0
    for model in {one.model.model for one in fleet.appliances}:
        members = [one for one in fleet.appliances if one.model.model == model]
        if members[0].model.family not in ("washer", "dishwasher", "dryer"):
            continue
        view = CyclicView(7, members)
        for day in range(int(START // DAY), int(START // DAY) + 10):
            cycles = view.cycles(day)
            expected += sum(
                end < START + 10 * DAY and not members[unit].silent_at(end)
                for unit, end in zip(cycles.unit, cycles.end, strict=True)
            )
    assert runs == expected


def test_a_second_reading_gives_the_same_again() -> None:
    fleet, first = _days(3)
    second = list(fleet.days())
    for one, other in zip(first, second, strict=True):
        assert one.codes == other.codes
        for block, again in zip(one.blocks, other.blocks, strict=True):
            np.testing.assert_array_equal(block.values, again.values)


def test_nothing_in_a_record_tells_the_truth() -> None:
    _, days = _days(1)
    forbidden = ("severity", "fault", "onset", "failure", "truth", "label")
    for block in days[0].blocks:
        assert not any(word in name.lower() for name in block.channels for word in forbidden)


def test_a_silent_device_has_no_records() -> None:
    drawn = world(2, 3, mix={"fridge": 1.0})
    members = [quiet(one) for one in drawn.populate()]
    members[1] = replace(members[1], silences=(Silence("wifi", START + 6 * 3600, START + 12 * 3600),))
    records = [block for day in BulkFleet(drawn, members).days() for block in day.blocks]
    times = np.concatenate([block.times[block.devices == 1] for block in records])
    hours = (times - START) / 3600
    assert len(hours) == 48 - 6
    assert not ((hours >= 6) & (hours < 12)).any()


def test_a_record_is_the_mean_of_what_the_driver_reads() -> None:
    """The duty of the summary is the share of samples with the compressor on, over the same days."""
    fridges = of_family("fridge", 4, start=JULY)
    times = (JULY + np.arange(0, 5 * DAY, 60.0)).reshape(-1, 1)
    sampled = ContinuousView(7, fridges, averaged=False).readings(times)[:, :, -1].mean(axis=0)
    summed = ContinuousView(7, fridges, averaged=True).readings(times[::60])[:, :, -1].mean(axis=0)
    np.testing.assert_allclose(sampled, summed, atol=0.04)


def test_a_period_must_divide_a_day() -> None:
    with pytest.raises(ValueError, match="does not divide a day"):
        BulkFleet(world(1, 2), (), 7000.0)


def test_money_rewards_the_early_call_and_punishes_the_false_one() -> None:
    one, other = of_family("fridge", 2)
    ill = stricken(one, "refrigerant_leak", START, START + 10 * DAY)
    cost = FAMILY_COSTS["fridge"]
    early = balance([ill, other], [Call(0, START + 5 * DAY)], years=1.0)
    late = balance([ill, other], [Call(0, START + 10.5 * DAY)], years=1.0)
    false = balance([ill, other], [Call(1, START + 5 * DAY)], years=1.0)
    nothing = balance([ill, other], [], years=1.0)
    assert early.saved == cost.urgent + cost.damage == early.oracle
    assert early.regret == 0.0
    assert early.called_before_noticed == 1
    assert late.saved == 0.5 * early.saved
    assert late.called_before_noticed == 1
    assert false.saved == -cost.false_call
    assert false.false_calls_per_1000_years == 500.0
    assert (nothing.saved, nothing.regret, nothing.failures) == (0.0, 1.0, 1)
