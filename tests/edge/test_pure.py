"""The pure cores: time goes in, decisions come out."""

from __future__ import annotations

from array import array
from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.appliance import Appliance
from edge_agent.backoff import ceiling, full_jitter, retry_at
from edge_agent.counters import Counters
from edge_agent.cover import IntakeRate, hours_of_cover
from edge_agent.draft import Draft, Rank
from edge_agent.fault_monitor import FaultChange, FaultMonitor
from edge_agent.framing import Assembled, FrameAssembler
from edge_agent.freeze_frame import FreezeFrame
from edge_agent.ports import DriverError, Reading
from edge_agent.sampler import Sampler
from edge_agent.settings import DeviceSettings
from edge_agent.window import Window
from protocols.frames import decode_frame
from protocols.messages import Channel, ChannelSet, SetSampling
from protocols.topics import Kind

# --- back-off ---


def test_back_off_doubles_up_to_its_cap_and_jitter_spreads_it() -> None:
    assert [ceiling(n, 1, 60) for n in (-1, 0, 1, 2, 5, 6, 7, 10_000)] == [1, 1, 2, 4, 32, 60, 60, 60]
    assert [full_jitter(3, 1, 60, chance) for chance in (0, 0.5, 0.75)] == [0, 4, 6]
    assert [retry_at(100, 1, 10, 300, chance) for chance in (0, 0.5)] == [110, 115]


# --- sampler ---


def sent(sampler: Sampler, *rows: tuple[float, float]) -> list[float]:
    """What one channel sends for (at, value) pairs; suppressed ones are left out."""
    out = [sampler.select(at, (value,))[0] for at, value in rows]
    return [value for value in out if not isnan(value)]


def test_deadband() -> None:
    rows = [(0, 20.0), (1, 20.4), (2, 20.5), (3, 20.9), (4, 20.0), (5, 19.5)]
    assert sent(Sampler(["t"], {"t": 0.5}), *rows) == [20.0, 20.5, 20.0, 19.5]
    assert sent(Sampler(["t"]), *rows) == [value for _, value in rows]
    assert sent(Sampler(["mode"], {"mode": 0}), (0, 1), (1, 1), (2, 2), (3, 2)) == [1, 2]


def test_a_slow_drift_is_sent_when_it_has_left_the_band_of_what_was_sent() -> None:
    assert sent(Sampler(["t"], {"t": 1}), *[(n, n * 0.3) for n in range(9)]) == pytest.approx([0, 1.2, 2.4])


def test_maximum_interval_and_a_clock_set_back() -> None:
    sampler = Sampler(["t"], {"t": 5}, max_interval_s=10)
    assert sent(sampler, (0, 1), (9, 1), (10, 1), (19, 1), (20, 1)) == [1, 1, 1]
    assert sent(sampler, (-3600, 1), (-3599, 1)) == [1]


def test_no_reading_is_neither_sent_nor_remembered() -> None:
    assert sent(Sampler(["t"], {"t": 1}), (0, nan), (1, 3), (2, nan), (3, 3.5), (4, 4)) == [3, 4]


def test_density_ignores_deadbands_for_a_while() -> None:
    sampler = Sampler(["t"], {"t": 5})
    sampler.send_everything(until=3)
    assert sent(sampler, (0, 1), (1, 1), (2, 1), (3, 1), (4, 1)) == [1, 1, 1]


# --- frames ---


def assembler(**changes: float) -> FrameAssembler:
    bounds = {"max_samples": 10, "max_seconds": 100, **changes}
    return FrameAssembler(1, 1, 1000, max_samples=int(bounds["max_samples"]), max_seconds=bounds["max_seconds"])


def rows_of(frame: Assembled) -> list[tuple[float, float]]:
    """(at, value) of a one-channel frame's present readings."""
    start = frame.started_at / 1e6
    return [(start + n * frame.period_ms / 1000, v) for n, v in enumerate(frame.readings) if not isnan(v)]


def feed(frames: FrameAssembler, *at: float) -> list[Assembled]:
    return [frame for moment in at for frame in frames.add(moment, [moment])] + frames.flush()


def test_frames_end_at_their_bound_of_samples_and_of_seconds() -> None:
    assert [frame.samples for frame in feed(assembler(), *range(25))] == [10, 10, 5]
    assert [frame.samples for frame in feed(assembler(max_seconds=4), *range(10))] == [4, 4, 2]
    assert [frame.samples for frame in feed(assembler(max_seconds=0.1), 0, 1, 2)] == [1, 1, 1]


def test_a_short_gap_is_bridged_a_long_one_begins_anew() -> None:
    (bridged,) = feed(assembler(), 0, 1, 4)
    assert [None if isnan(v) else v for v in bridged.readings] == [0, 1, None, None, 4]
    assert [frame.samples for frame in feed(assembler(max_samples=100), 0, 1, 60, 61)] == [2, 2]


def test_a_clock_set_back_or_drifting_begins_a_new_frame_at_its_own_time() -> None:
    assert [f.started_at for f in feed(assembler(), 100, 101, 50, 51)] == [100_000_000, 50_000_000]
    assert [f.started_at for f in feed(assembler(), 0, 1.1, 2.4)] == [0, 2_400_000]


@given(st.lists(st.floats(0.01, 30), min_size=1, max_size=60))
def test_every_row_is_in_one_frame_at_its_time(steps: list[float]) -> None:
    moments, now = [], 1000.0
    for step in steps:
        now += step
        moments.append(round(now, 3))
    moments = sorted(set(moments))
    found = [row for frame in feed(assembler(), *moments) for row in rows_of(frame)]
    assert [value for _, value in found] == pytest.approx(moments, abs=1e-3)
    assert all(abs(at - value) <= 0.2501 for at, value in found)


# --- faults ---


def test_on_delay_and_off_delay_a_code() -> None:
    monitor = FaultMonitor({"E1": 3}, {"*": 2})
    shown = {0: {"E1", "E2"}, 1: {"E1"}, 2: {"E1"}, 3: {"E1"}, 4: set(), 5: {"E1"}, 6: set(), 7: set(), 8: set()}
    changes = [change for at, codes in shown.items() for change in monitor.observe(at, frozenset(codes))]
    assert changes == [
        FaultChange("E2", True, 0),
        FaultChange("E1", True, 0),
        FaultChange("E2", False, 1),
        FaultChange("E1", False, 6),
    ]


def test_what_was_active_before_a_restart_is_cleared_when_it_is_gone() -> None:
    monitor = FaultMonitor(active={"E1": 5.0, "E2": 6.0})
    assert monitor.observe(10, frozenset({"E2"})) == [FaultChange("E1", False, 10)]
    assert monitor.active == {"E2": 6.0}


def test_a_clock_set_back_during_a_delay_begins_it_anew() -> None:
    monitor = FaultMonitor({"*": 5})
    assert monitor.observe(1000, frozenset({"E1"})) == []
    assert monitor.observe(10, frozenset({"E1"})) == []
    assert monitor.observe(15, frozenset({"E1"})) == [FaultChange("E1", True, 10)]


@given(st.lists(st.frozensets(st.sampled_from(["A", "B", "C"])), max_size=40), st.integers(0, 3), st.integers(0, 3))
def test_raised_and_cleared_take_turns(shown: list[frozenset[str]], on: int, off: int) -> None:
    monitor, state = FaultMonitor({"*": on}, {"*": off}), dict.fromkeys("ABC", False)
    for at, codes in enumerate(shown):
        for change in monitor.observe(at, codes):
            assert change.raised != state[change.code]
            assert change.at <= at
            state[change.code] = change.raised
    assert {code for code, active in state.items() if active} == set(monitor.active)


# --- freeze frame ---


def freeze(before: float, after: float) -> FreezeFrame:
    return FreezeFrame(FrameAssembler(1, 1, 1000, max_samples=1000, max_seconds=1000, flags=1), before, after)


def test_the_window_around_a_fault() -> None:
    ring, out = freeze(5, 3), []
    for at in range(30):
        out += ring.observe(at, [float(at)])
        if at == 20:
            span, complete = ring.raised(at)
            assert span is not None
            assert (span.started_at, span.ended_at) == (15, 23)
            out += complete
    (frame,) = out
    assert [value for _, value in rows_of(frame)] == list(range(15, 24))
    assert frame.flags == 1


def test_overlapping_windows_are_sent_once_and_a_stop_sends_what_there_is() -> None:
    ring, out = freeze(5, 3), []
    for at in range(24):
        out += ring.observe(at, [float(at)])
        if at in (10, 12, 22):
            out += ring.raised(at)[1]
    out += ring.flush()
    assert [[value for _, value in rows_of(frame)] for frame in out] == [list(range(5, 16)), list(range(17, 24))]


def test_no_window_no_freeze_frame() -> None:
    ring = freeze(0, 0)
    assert ring.observe(1, [1.0]) == []
    assert ring.raised(1) == (None, [])


# --- appliance ---


def appliance(counters: Counters | None = None, **settings: object) -> Appliance:
    channels = ChannelSet.of((Channel(name="t"), Channel(name="p")), 1000)
    device = DeviceSettings.model_validate({"id": "d", "driver": "x", **settings})
    return Appliance(channels, device, counters or Counters())


def frames_of(drafts: list[Draft]) -> list[array[float]]:
    return [decode_frame(d.compose(1, 1)).readings for d in drafts if d.kind == Kind.TELEMETRY]


def test_the_first_row_goes_at_once_and_each_frame_begins_with_all_channels() -> None:
    device = appliance(sampling={"frame_samples": 3, "deadbands": {"t": 10, "p": 10}})
    drafts = [draft for at in range(7) for draft in device.observe(Reading(at, (1.0, 2.0)))]
    shown = [[None if isnan(v) else v for v in frame] for frame in frames_of(drafts)]
    assert shown == [[1, 2], [1, 2, None, None, None, None], [1, 2, None, None, None, None]]


def test_what_a_float32_cannot_hold_becomes_no_reading_and_is_counted() -> None:
    counters = Counters()
    device = appliance(counters)
    (first,) = frames_of(device.observe(Reading(0, (inf, 1e39))))
    assert all(map(isnan, first))
    assert counters.infinite_readings == 2


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (Reading(0, (1.0,)), "1 values for 2 channels"),
        (Reading(-5, (1.0, 2.0)), "event time"),
        (Reading(nan, (1.0, 2.0)), "event time"),
        (Reading(0, (1.0, 2.0), frozenset({"x" * 65})), "fault code"),
    ],
)
def test_a_reading_that_cannot_be_is_the_drivers_error(reading: Reading, words: str) -> None:
    with pytest.raises(DriverError, match=words):
        appliance().observe(reading)


def test_a_deadband_says_how_long_a_reading_stands_and_changes_the_channel_set() -> None:
    device = appliance()
    plain = device.channel_set
    assert plain.hold_ms == 0
    device.observe(Reading(0, (1.0, 2.0)))
    device.observe(Reading(1, (1.0, 2.0)))
    assert len(frames_of(device.set_sampling(SetSampling(deadbands={"t": 1}, max_interval_ms=60_000)))) == 1
    assert device.channel_set.hold_ms == 61_000
    assert device.channel_set.id != plain.id
    assert appliance(sampling={"deadbands": {"elsewhere": 1}}).channel_set.id == plain.id


def test_density_ends_by_itself() -> None:
    device = appliance(sampling={"frame_samples": 100, "frame_seconds": 100})
    device.observe(Reading(0, (1.0, 2.0)))
    device.raise_density(100, until=2.0)
    assert device.period_ms == 100
    device.observe(Reading(1.9, (1.0, 2.0)))
    assert device.period_ms == 100
    device.observe(Reading(2.0, (1.0, 2.0)))
    assert device.period_ms == 1000


# --- window ---


def test_the_window_is_bounded_and_keeps_room_for_events() -> None:
    window = Window(8, 1000, timeout_s=10, timeout_max_s=40)
    for number in range(6):
        assert window.has_room(Rank.TELEMETRY, 100)
        window.add(number, Rank.TELEMETRY, 100, now=0, chance=0.5)
    assert not window.has_room(Rank.TELEMETRY)
    assert not window.has_room(Rank.FREEZE)
    assert window.has_room(Rank.EVENT, 10_000)
    window.add(6, Rank.EVENT, 100, 0, 0.5)
    window.add(7, Rank.EVENT, 100, 0, 0.5)
    assert not window.has_room(Rank.EVENT)
    assert window.land(3)
    assert not window.land(3)
    assert (len(window), window.bytes) == (7, 700)


def test_bytes_bound_the_window_but_one_message_may_always_go() -> None:
    window = Window(8, 1000, timeout_s=10, timeout_max_s=40)
    assert window.has_room(Rank.TELEMETRY, 60_000)
    window.add(1, Rank.TELEMETRY, 900, 0, 0)
    assert not window.has_room(Rank.TELEMETRY, 200)
    assert window.has_room(Rank.TELEMETRY, 100)


def test_overdue_messages_come_again_later_and_later() -> None:
    window = Window(8, 1000, timeout_s=10, timeout_max_s=40)
    window.add(1, Rank.TELEMETRY, 1, now=0, chance=0.99)
    moments, now = [], 0.0
    for _ in range(5):
        deadline = window.next_deadline()
        assert deadline is not None
        assert window.overdue(deadline - 0.001, 10) == []
        assert window.overdue(deadline, 10) == [1]
        moments.append(round(deadline - now))
        now = deadline
        window.again(1, now, 0.99)
    assert moments == [10, 20, 40, 40, 40]
    window.land(1)
    assert window.overdue(1e9, 10) == []
    assert window.next_deadline() is None


# --- cover ---


def test_hours_of_cover() -> None:
    rate = IntakeRate()
    for minute in range(61):
        rate.observe(minute * 60.0, minute * 1000)
    assert rate.bytes_per_hour == pytest.approx(60_000)
    assert hours_of_cover(1_000_000, 400_000, rate.bytes_per_hour) == pytest.approx(10)
    rate.observe(0.0, 61_000)  # a clock set back
    assert rate.bytes_per_hour == pytest.approx(60_000)
    assert hours_of_cover(1, 0, None) is None
    assert hours_of_cover(1, 0, 0.0) is None
