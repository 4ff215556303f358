"""Clocks, drivers, ledger and networks, without a broker."""

import asyncio
import contextlib
import io
import math
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from device_sim.failure.silence import Silence
from device_sim.transport.clocks import AcceleratedClock, LockstepClock
from device_sim.transport.driver import FIRMWARE, REVISED_FIRMWARE, SimulatedDriver
from device_sim.transport.ledger import SentLedger, read_ledger
from device_sim.transport.network import MIXED, NETWORKS, Link, Network, drawn_network
from edge_agent.ports import Clock, Driver, DriverError, GentleDriver
from tests.sim.worlds import DAY, START, of_family, stricken

# --- clocks ---


def test_an_accelerated_clock_stands_until_released_and_then_runs_at_its_speed() -> None:
    real = 100.0
    clock = AcceleratedClock(START, 1440.0, lambda: real)
    real = 130.0
    assert clock.now() == START
    clock.release()
    real = 190.0
    assert clock.now() == START + DAY
    assert isinstance(clock, Clock)


def test_a_speed_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        AcceleratedClock(START, 0.0)


async def test_lockstep_moves_only_when_all_wait_and_nobody_is_busy() -> None:
    busy = True
    clock = LockstepClock(0.0, 2, lambda: busy, poll_s=0.001)
    order: list[tuple[str, float]] = []

    async def sleeper(name: str, times: list[float]) -> None:
        for at in times:
            await clock.sleep_until(at)
            order.append((name, clock.now()))
        clock.leave()

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("a", [1.0, 2.0, 5.0]))
        group.create_task(sleeper("b", [1.5, 2.0]))
        for _ in range(5):
            await asyncio.sleep(0)
        assert order == []
        busy = False
    assert order == [("a", 1.0), ("b", 1.5), ("a", 2.0), ("b", 2.0), ("a", 5.0)]
    assert isinstance(clock, Clock)


async def test_who_stops_waiting_holds_nobody_up() -> None:
    clock = LockstepClock(0.0, 2, lambda: False)
    gone = asyncio.create_task(clock.sleep_until(3.0))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    waiting = asyncio.create_task(clock.sleep_until(4.0))
    await asyncio.sleep(0)
    assert not waiting.done()  # one of two waits: the other may still come
    clock.leave()
    await asyncio.wait_for(waiting, 2)
    assert clock.now() == 4.0


async def test_lockstep_keeps_a_bounded_pace() -> None:
    clock = LockstepClock(START, 1, lambda: False, speed=1000.0)
    began = time.monotonic()
    await clock.sleep_until(START + 10.0)
    await clock.sleep_until(START + 30.0)
    assert time.monotonic() - began >= 0.029
    assert clock.now() == START + 30.0


# --- the driver ---


async def test_a_driver_describes_and_reads_its_appliance() -> None:
    one = of_family("fridge")[0]
    driver = SimulatedDriver(7, one, 60.0, ends_at=START + DAY)
    assert isinstance(driver, Driver)
    description = await driver.open()
    assert description.firmware == FIRMWARE
    assert description.channel_set.period_ms == 60_000
    reading = await driver.read(START + 600.0)
    assert reading is not None
    assert reading.at == START + 600.0
    assert len(reading.values) == len(description.channel_set.channels)
    assert all(map(math.isfinite, reading.values))
    assert await driver.read(START + DAY) is None
    await driver.close()


async def test_a_restarted_driver_reads_the_same() -> None:
    one = of_family("washer")[0]
    first, second = SimulatedDriver(7, one, 60.0), SimulatedDriver(7, one, 60.0)
    early = [await first.read(START + 60.0 * step) for step in range(300)]
    late = [await second.read(START + 60.0 * step) for step in range(250, 300)]
    assert [one.values for one in early[250:] if one] == [one.values for one in late if one]


async def test_a_silent_device_gives_nothing_and_shows_no_code() -> None:
    one = stricken(of_family("fridge")[0], "board", START, START, code="Er CO")
    silent = replace(one, silences=(Silence("power", START + 600.0, START + 1200.0),))
    driver = SimulatedDriver(7, silent, 60.0)
    inside, outside = await driver.read(START + 900.0), await driver.read(START + 1800.0)
    assert inside is not None
    assert all(map(math.isnan, inside.values))
    assert inside.fault_codes == frozenset()
    assert outside is not None
    assert not any(map(math.isnan, outside.values))
    assert outside.fault_codes == {"Er CO"}


async def test_a_revised_firmware_restarts_the_device_once() -> None:
    one = replace(of_family("fridge")[0], revised_at=START + 600.0)
    driver = SimulatedDriver(7, one, 60.0)
    await driver.read(START)
    with pytest.raises(DriverError, match="restarts with firmware"):
        await driver.read(START + 600.0)
    assert (await driver.open()).firmware == REVISED_FIRMWARE
    assert await driver.read(START + 660.0) is not None


async def test_a_self_test_tells_a_grown_fault_from_health() -> None:
    healthy = of_family("fridge")[0]
    ill = stricken(healthy, "evaporator_fan", START - 9 * DAY, START + DAY)
    for appliance, passed in ((healthy, True), (ill, False)):
        driver = SimulatedDriver(7, appliance, 60.0)
        await driver.read(START)
        assert (await driver.self_test()).passed is passed


async def test_gentle_running_is_reported_and_alters_no_reading() -> None:
    washer = of_family("washer")[0]
    gentle, plain = SimulatedDriver(7, washer, 60.0), SimulatedDriver(7, washer, 60.0)
    assert isinstance(gentle, GentleDriver)
    await gentle.run_gently(START + DAY)
    for step in range(300):
        at = START + 60.0 * step
        assert await gentle.read(at) == await plain.read(at)
    assert (await gentle.self_test()).results["gentle_until"] == START + DAY
    await gentle.run_gently(None)
    assert await gentle.self_test() == await plain.self_test()


async def test_a_fridge_must_keep_cold() -> None:
    fridge = SimulatedDriver(7, of_family("fridge")[0], 60.0)
    with pytest.raises(ValueError, match="keep cold"):
        await fridge.run_gently(START + DAY)
    await fridge.run_gently(None)


# --- the ledger ---


def test_a_ledger_joins_runs_and_reads_back_what_it_wrote(tmp_path: Path) -> None:
    out = io.StringIO()
    ledger = SentLedger(out)
    for seq, kind in ((1, "telemetry"), (2, "telemetry"), (3, "fault"), (4, "telemetry"), (5, "telemetry")):
        ledger.note("gw", "d", kind, 9, seq)
    ledger.note("gw", "d", "telemetry", 10, 1)
    ledger.flush()
    path = tmp_path / "sent.jsonl"
    path.write_text(out.getvalue() + '{"gateway":"gw","dev')
    runs = [(run.boot, run.kind, run.first, run.last) for run in read_ledger(path)]
    assert runs == [(9, "telemetry", 1, 2), (9, "fault", 3, 3), (9, "telemetry", 4, 5), (10, "telemetry", 1, 1)]
    assert ledger.messages == {"telemetry": 5, "fault": 1}


def test_a_broken_ledger_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "sent.jsonl"
    path.write_text('{"gateway": "gw"}\nnothing\n')
    with pytest.raises(ValueError, match="line 1"):
        list(read_ledger(path))


# --- networks ---


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(100):
        writer.write(chunk)
    writer.close()


async def test_a_good_link_passes_everything_on() -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Link("127.0.0.1", port, NETWORKS["good"], random.Random(1)) as link:
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        writer.write(b"over and back")
        assert await asyncio.wait_for(reader.readexactly(13), 5) == b"over and back"
        writer.close()


async def test_a_flapping_link_is_cut_and_comes_back() -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    network = Network(up_s=0.05, down_s=0.02)
    async with server, Link("127.0.0.1", port, network, random.Random(2)) as link:
        for _ in range(3):
            async with asyncio.timeout(5):
                while True:
                    try:
                        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
                        writer.write(b"x")
                        await reader.readexactly(1)
                        break
                    except (OSError, asyncio.IncompleteReadError):
                        await asyncio.sleep(0.01)
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read(1) == b""  # until the cut, nothing more comes
        assert link.cuts >= 3


def test_networks_are_drawn_by_their_shares_and_unknown_ones_refused() -> None:
    rng = random.Random(3)
    drawn = [drawn_network(rng, "mixed") for _ in range(2000)]
    assert drawn.count(NETWORKS["good"]) / 2000 == pytest.approx(MIXED["good"], abs=0.04)
    with pytest.raises(ValueError, match="expected mixed or one of good, slow"):
        drawn_network(rng, "perfect")
