"""What each appliance shows: plausible readings when healthy, and each fault where a technician would look for it."""

import numpy as np
import pytest

from device_sim.fleet.observation import ContinuousView, CyclicTrace, CyclicView
from device_sim.fleet.population import Appliance, FirmwareChange
from device_sim.physics.catalogue import CONTINUOUS, CYCLIC, FAMILIES
from tests.sim.worlds import DAY, JULY, START, column, of_family, quiet, stricken, world

SIGNS = [
    # family, kind, channel of the summary, direction
    ("fridge", "defrost_heater", "fanCurrent", +1),
    ("fridge", "defrost_heater", "tempZ1", +1),
    ("fridge", "evaporator_fan", "compressorDuty", +1),
    ("fridge", "door_seal", "compressorDuty", +1),
    ("fridge", "condenser_dust", "condenserTemp", +1),
    ("fridge", "refrigerant_leak", "compressorDuty", +1),
    ("air_conditioner", "refrigerant_leak", "expansionValve", +1),
    ("air_conditioner", "refrigerant_leak", "dischargeTemp", +1),
    ("air_conditioner", "dirty_filter", "fanSpeed", -1),
    ("air_conditioner", "compressor_wear", "compressorCurrent", +1),
    ("water_heater", "scale", "exhaustTemp", +1),
    ("water_heater", "flame_rod", "flameCurrent", -1),
    ("water_heater", "combustion_fan", "fanCurrent", +1),
    ("water_heater", "exhaust_blocked", "fanSpeed", +1),
    ("washer", "drain_pump", "drainTime", +1),
    ("washer", "bearing", "spinVibration", +1),
    ("washer", "inlet_mesh", "fillTime", +1),
    ("washer", "heater_scale", "heatTime", +1),
    ("dishwasher", "drain_pump", "drainTime", +1),
    ("dishwasher", "filter_clog", "turbidity", +1),
    ("dishwasher", "heater_scale", "heatTime", +1),
    ("dishwasher", "inlet_valve", "fillTime", +1),
    ("dryer", "lint_blockage", "airflow", -1),
    ("dryer", "refrigerant_leak", "drumTemp", -1),
    ("dryer", "drum_bearing", "motorCurrent", +1),
]


def _summary(appliances: list[Appliance], start: float, days: int) -> tuple[list[str], np.ndarray]:
    """All records of some appliances of one family, shape (records, channels), without those without a reading."""
    family = appliances[0].model.family
    names = [channel.name for channel in FAMILIES[family].summary]
    if family in CONTINUOUS:
        values = ContinuousView(7, appliances, averaged=True).readings(column(start, days * DAY, 3600.0))
        values = values.reshape(-1, values.shape[-1])
    else:
        view = CyclicView(7, appliances)
        values = np.concatenate([view.cycles(int(start // DAY) + day).features for day in range(days)])
    if family == "air_conditioner":
        values = values[values[:, names.index("compressorFrequency")] > 0]
    return names, values


@pytest.mark.parametrize(("family", "kind", "channel", "sign"), SIGNS)
def test_a_growing_fault_moves_its_channel(family: str, kind: str, channel: str, sign: int) -> None:
    healthy = of_family(family, 6, start=JULY)
    ill = [stricken(one, kind, JULY - 60 * DAY, JULY + 40 * DAY) for one in healthy]  # severity about 0.6 and more
    names, before = _summary(healthy, JULY, 10)
    _, after = _summary(ill, JULY, 10)
    place = names.index(channel)
    shift = np.nanmean(after[:, place]) - np.nanmean(before[:, place])
    assert sign * shift > 0.25 * np.nanstd(before[:, place]), f"{channel} moved by {shift:.3g}"


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_growing_fault_of_a_machine_has_a_sign(family: str) -> None:
    growing = {mode.kind for mode in FAMILIES[family].modes if mode.growth_days > 0 and not mode.sensor}
    assert growing - {kind for name, kind, _, _ in SIGNS if name == family} <= {"fan_bearing"}


def test_an_ageing_fan_of_an_air_conditioner_loses_its_steadiness() -> None:
    healthy = of_family("air_conditioner", 6, start=JULY)
    ill = [stricken(one, "fan_bearing", JULY - 60 * DAY, JULY + 10 * DAY) for one in healthy]
    names, before = _summary(healthy, JULY, 5)
    _, after = _summary(ill, JULY, 5)
    place = names.index("fanSpeed")
    assert np.std(np.diff(after[:, place])) > 1.2 * np.std(np.diff(before[:, place]))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_shares_of_the_modes_add_up_and_names_differ(family: str) -> None:
    modes = FAMILIES[family].modes
    assert sum(mode.share for mode in modes) == pytest.approx(1.0)
    assert len({mode.kind for mode in modes}) == len(modes)
    channels = {channel.name for channel in FAMILIES[family].channels}
    assert 5 <= len(channels) <= 10
    assert all(mode.sensor in channels for mode in modes if mode.sensor)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_healthy_day_is_finite_and_quantised(family: str) -> None:
    one = of_family(family)[0]
    at = column(START + 15 * DAY, DAY, 60.0)
    view = ContinuousView(7, [one], averaged=False) if family in CONTINUOUS else CyclicTrace(7, one)
    values = view.readings(at)[:, 0]
    assert values.shape == (1440, len(FAMILIES[family].channels))
    held = {"fillTime", "heatTime", "drainTime", "spinVibration", "dryTime", "airflow"}
    for place, channel in enumerate(FAMILIES[family].channels):
        readings = values[:, place]
        assert np.isfinite(readings).all() or channel.name in held, channel.name
        if channel.resolution:
            steps = readings[np.isfinite(readings)] / channel.resolution
            np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)


def test_a_fridge_works_harder_in_july_than_in_january() -> None:
    fridges = of_family("fridge", 10)
    names, winter = _summary(fridges, START, 10)
    _, summer = _summary(fridges, JULY + 15 * DAY, 10)
    place = names.index("compressorDuty")
    assert summer[:, place].mean() > 1.05 * winter[:, place].mean()


def test_an_air_conditioner_cools_in_july_heats_in_january_and_rests_between() -> None:
    units = of_family("air_conditioner", 10)
    modes = {}
    for name, start in (("january", START), ("may", START + 125 * DAY), ("july", JULY + 15 * DAY)):
        values = ContinuousView(7, units, averaged=True).readings(column(start, 7 * DAY, 3600.0))
        modes[name] = values[:, :, 0]
    assert (modes["january"] == 2).mean() > 0.3 > (modes["january"] == 1).mean()
    assert (modes["july"] == 1).mean() > 0.3 > (modes["july"] == 2).mean()
    assert (modes["may"] == 0).mean() > max((modes["january"] == 0).mean(), (modes["july"] == 0).mean())


def test_a_compressor_switches_on_and_off_when_sampled_fast() -> None:
    one = of_family("fridge")[0]
    compressor = ContinuousView(7, [one], averaged=False).readings(column(START, DAY, 60.0))[:, 0, -1]
    assert set(np.unique(compressor)) == {0.0, 1.0}
    assert 15 <= np.count_nonzero(np.diff(compressor)) / 2 <= 60


@pytest.mark.parametrize("family", sorted(CYCLIC))
def test_runs_follow_each_other_and_their_phases(family: str) -> None:
    view = CyclicView(7, of_family(family, 30))
    for day in range(20500, 20510):
        cycles = view.cycles(day)
        np.testing.assert_allclose(cycles.end - cycles.start, cycles.phases.sum(axis=1), atol=1e-6)
        assert (cycles.phases > 0).all() or family == "washer"  # a cold wash does not heat
        for unit in np.unique(cycles.unit):
            mine = cycles.unit == unit
            assert (cycles.start[mine][1:] >= cycles.end[mine][:-1]).all()


def test_a_run_that_was_traced_shows_the_features_of_its_record() -> None:
    one = of_family("washer")[0]
    view, trace = CyclicView(7, [one]), CyclicTrace(7, one)
    day = next(day for day in range(20500, 20530) if len(view.cycles(day)))
    cycles = view.cycles(day)
    names = [channel.name for channel in view.family.channels]
    after = trace.readings(np.array([[cycles.end[0] + 60.0]]))[0, 0]
    assert after[names.index("drainTime")] == cycles.features[0, 8]
    during = trace.readings(np.array([[cycles.start[0] + cycles.phases[0, 0] / 2]]))[0, 0]
    assert during[names.index("prPhase")] == 1.0


def test_low_water_pressure_in_a_region_slows_filling_and_is_no_fault() -> None:
    washers = of_family("washer", 200)
    names, values = _summary(washers, START, 60)
    fill = values[:, names.index("fillTime")] / values[:, names.index("water")]
    slow = fill > 1.6 * np.median(fill)
    assert 0.002 < slow.mean() < 0.05


def test_a_revised_firmware_moves_every_family() -> None:
    change = FirmwareChange(at=JULY, share=1.0)
    for family in FAMILIES:
        drawn = world(30, 20, start=JULY - 15 * DAY, mix={family: 1.0}, firmware=change).populate()
        assert all(one.revised_at == JULY for one in drawn)
        healthy = [quiet(one) for one in drawn]
        _, with_it = _summary(healthy, JULY, 5)
        _, without = _summary(of_family(family, 20, start=JULY - 15 * DAY), JULY, 5)
        assert with_it.shape == without.shape
        assert not np.array_equal(with_it, without)


def test_a_failing_sensor_drifts_and_ends_as_an_open_circuit() -> None:
    one = of_family("fridge", start=JULY)[0]
    ill = stricken(one, "thermistor_drift", JULY, JULY + 10 * DAY)
    view = ContinuousView(7, [ill], averaged=False)
    sound = ContinuousView(7, [one], averaged=False)
    near = column(JULY + 9 * DAY, 3600, 60.0)
    drifted = view.readings(near)[:, 0, 0] - sound.readings(near)[:, 0, 0]
    assert abs(np.median(drifted)) > 3.0
    others = np.delete(view.readings(near), 0, axis=2)
    np.testing.assert_array_equal(others, np.delete(sound.readings(near), 0, axis=2))
    assert (view.readings(column(JULY + 10.5 * DAY, 600, 60.0))[:, 0, 0] == -40.0).all()
