# ruff: noqa: ASYNC110, SIM117
"""The agent against real brokers: from reading to receipt, commands, faults, restarts."""

from __future__ import annotations

import asyncio
import itertools
import time
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from edge_agent.agent import Agent, AgentFailed
from edge_agent.ports import Description, Reading
from protocols.errors import ProtocolError
from protocols.messages import (
    Birth,
    Command,
    Death,
    Fault,
    Heartbeat,
    Loss,
    RaiseDensity,
    Reply,
    SelfTest,
    SetSampling,
)
from protocols.topics import Kind, Topic
from tests.edge.gateways import CHANNELS, Counting, SimulatedClock, device, settings
from tests.edge.receipting_cloud import ReceiptingCloud


def readings(cloud: ReceiptingCloud) -> list[float]:
    """The first channel's readings of all ordinary frames, in order of boot and seq, without the gaps of a machine
    that stood still for a period."""
    return [value for value in rows(cloud) if not isnan(value)]


def rows(cloud: ReceiptingCloud) -> list[float]:
    """The same with the gaps."""
    frames = sorted((f for f in cloud.frames() if not f.header.flags), key=lambda f: (f.header.boot, f.header.seq))
    return [frame.readings[row * 2] for frame in frames for row in range(frame.header.samples)]


async def test_every_reading_is_committed_and_the_spool_is_empty(broker: Any) -> None:
    async with ReceiptingCloud(broker.mqtt_port) as cloud:
        driver = Counting(total=57)
        async with Agent(settings(broker.mqtt_port, devices=[device()]), drivers={"dev-1": driver}) as agent:
            await agent.wait_played_out()
            async with asyncio.timeout(10):
                await agent.wait_drained()
            assert agent.counters.freed == agent.counters.published == len(cloud.committed)
        assert readings(cloud) == [float(n) for n in range(1, 58)]
        assert sum(map(isnan, rows(cloud))) <= agent.counters.missed_samples
        frames = cloud.frames()
        assert all(frame.header.channel_set == CHANNELS.id for frame in frames)
        assert any(isnan(reading) for frame in frames for reading in frame.readings)
        (_, birth), *_ = cloud.of(Kind.BIRTH)
        (inventory,) = Birth.decode(birth).devices
        assert (inventory.device, inventory.firmware, inventory.channel_sets) == ("dev-1", "1.2.3", (CHANNELS,))
        await cloud.until(lambda: any(topic.kind == Kind.DEATH for topic, _ in cloud.other))
        death = next(payload for topic, payload in cloud.other if topic.kind == Kind.DEATH)
        assert Death.decode(death).cause == "stopped"


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
@pytest.mark.parametrize("session", ["persistent", "clean"])
async def test_each_way_of_speaking_mqtt(request: Any, qos: int, protocol: str, session: str) -> None:
    broker = request.getfixturevalue("mosquitto" if protocol == "5" else "nats")
    way = {"url": f"mqtt://127.0.0.1:{broker.mqtt_port}", "qos": qos, "protocol": protocol, "session": session}
    async with ReceiptingCloud(broker.mqtt_port) as cloud:
        configured = settings(broker.mqtt_port, broker=way, devices=[device()])
        async with Agent(configured, drivers={"dev-1": Counting(total=10)}) as agent:
            await agent.wait_played_out()
            async with asyncio.timeout(10):
                await agent.wait_drained()
        assert readings(cloud) == [float(n) for n in range(1, 11)]


async def test_a_fault_overtakes_and_its_freeze_frame_follows(nats: Any) -> None:
    configured = settings(
        nats.mqtt_port,
        devices=[
            device(
                faults={"freeze_before_s": 0.2, "freeze_after_s": 0.1}, sampling={"deadbands": {"temperature": 1000}}
            )
        ],
    )
    driver = Counting(faults=lambda n: ["E7"] if 30 <= n < 40 else [], total=80)
    async with ReceiptingCloud(nats.mqtt_port) as cloud, Agent(configured, drivers={"dev-1": driver}) as agent:
        await agent.wait_played_out()
        async with asyncio.timeout(10):
            await agent.wait_drained()
        raised, cleared = (Fault.decode(payload) for _, payload in cloud.of(Kind.FAULT))
        assert (raised.code, raised.raised, cleared.raised) == ("E7", True, False)
        assert raised.freeze_frame is not None
        assert raised.freeze_frame.ended_at - raised.freeze_frame.started_at == 300
        frozen = [frame for frame in cloud.frames() if frame.header.is_freeze_frame]
        rows = [frame.readings[row * 2] for frame in frozen for row in range(frame.header.samples)]
        assert rows == [float(n) for n in range(int(rows[0]), int(rows[0]) + len(rows))]
        assert 30.0 in rows
        assert 12 <= len(rows) <= 17
        # with the wide deadband an ordinary frame tells its first row only
        assert all(
            isnan(frame.readings[2]) for frame in cloud.frames() if not frame.header.flags and frame.header.samples > 1
        )


async def test_commands_are_done_once_answered_and_kept(nats: Any, tmp_path: Path) -> None:
    now = round(time.time() * 1000)
    driver = Counting()

    def replies(cloud: ReceiptingCloud) -> dict[str, Reply]:
        return {reply.id: reply for reply in (Reply.decode(payload) for _, payload in cloud.of(Kind.REPLY))}

    async with ReceiptingCloud(nats.mqtt_port) as cloud:
        configured = settings(nats.mqtt_port, tmp_path, devices=[device()])
        async with Agent(configured, drivers={"dev-1": driver}) as agent:
            await cloud.until(lambda: cloud.of(Kind.TELEMETRY))
            orders: dict[str, tuple[str, Any, int]] = {
                "test": ("dev-1", SelfTest(), now + 60_000),
                "late": ("dev-1", SelfTest(), now - 1),
                "stranger": ("dev-9", SelfTest(), now + 60_000),
                "slow": ("dev-1", SetSampling(period_ms=50, deadbands={"power": 3}), now + 60_000),
                "wrong": ("dev-1", SetSampling(deadbands={"pressure": 3}), now + 60_000),
                "dense": ("dev-1", RaiseDensity(period_ms=10, duration_s=1), now + 60_000),
            }
            for id_, (target, order, expires) in orders.items():
                await cloud.command("gw-1", target, Command(at=now, id=id_, expires_at=expires, order=order))
            await cloud.until(lambda: len(replies(cloud)) == len(orders))
            outcomes = {id_: reply.outcome for id_, reply in replies(cloud).items()}
            assert outcomes == {
                "test": "done", "late": "expired", "stranger": "refused",
                "slow": "done", "wrong": "refused", "dense": "done",
            }  # fmt: skip
            assert replies(cloud)["test"].result == {"passed": True, "relays": 4}
            assert "no channel pressure" in replies(cloud)["wrong"].detail
            assert "not on this gateway" in replies(cloud)["stranger"].detail
            await cloud.until(lambda: any(frame.header.period_ms == 10 for frame in cloud.frames()))
            await cloud.until(lambda: cloud.frames()[-1].header.period_ms == 50)
            births = [Birth.decode(payload) for _, payload in cloud.of(Kind.BIRTH)]
            assert births[-1].devices[0].channel_sets[0].hold_ms == 300_050

            # the same command again: answered again, not done again
            again = Command(at=now, id="test", expires_at=now + 60_000, order=SelfTest())
            await cloud.command("gw-1", "dev-1", again)
            await cloud.until(lambda: len(cloud.of(Kind.REPLY)) == len(orders) + 1)
            assert driver.tests == 1
            assert agent.counters.commands_repeated == 1

            # nonsense is counted and harms nobody
            await cloud.send(Topic("gw-1", Kind.COMMAND, "dev-1").build(), b'{"v":1,"at":1}')
            await cloud.send(Topic("gw-1", Kind.RECEIPT).build(), b"\xff")
            async with asyncio.timeout(5):
                while agent.counters.downlink_malformed < 2:
                    await asyncio.sleep(0.02)

        # after a restart the sampling still holds, and so does the memory of commands
        count = len(cloud.committed)
        async with Agent(configured, drivers={"dev-1": driver}):
            await cloud.until(lambda: len(cloud.committed) > count + 3)
            await cloud.command("gw-1", "dev-1", again)
            await cloud.until(lambda: len(cloud.of(Kind.REPLY)) == len(orders) + 2)
            assert driver.tests == 1
            assert cloud.frames()[-1].header.period_ms == 50


async def test_a_command_sent_while_the_gateway_was_away_is_kept_for_it(broker: Any, tmp_path: Path) -> None:
    driver = Counting()
    configured = settings(broker.mqtt_port, tmp_path, devices=[device()])
    async with ReceiptingCloud(broker.mqtt_port) as cloud:
        async with Agent(configured, drivers={"dev-1": driver}):
            await cloud.until(lambda: cloud.of(Kind.TELEMETRY))
        now = round(time.time() * 1000)
        await cloud.command("gw-1", "dev-1", Command(at=now, id="c", expires_at=now + 60_000, order=SelfTest()))
        async with Agent(configured, drivers={"dev-1": driver}):
            await cloud.until(lambda: cloud.of(Kind.REPLY))
        # it may arrive before the driver has opened: then it is refused, but answered it is
        assert Reply.decode(cloud.of(Kind.REPLY)[0][1]).id == "c"


async def test_what_cannot_be_stored_is_freed_by_its_digest(nats: Any) -> None:
    def refuse(payload: bytes) -> str | None:
        return "absurd-time" if payload[:1] == b"\xfc" and payload[12] % 2 else None

    async with ReceiptingCloud(nats.mqtt_port, refuse=refuse) as cloud:
        async with Agent(settings(nats.mqtt_port, devices=[device()]), drivers={"dev-1": Counting(total=40)}) as agent:
            await agent.wait_played_out()
            async with asyncio.timeout(10):
                await agent.wait_drained()
            assert agent.counters.rejected > 2
            assert agent.counters.freed == agent.counters.rejected + len(cloud.committed)


async def test_without_a_receipt_it_is_published_again(nats: Any) -> None:
    async with ReceiptingCloud(nats.mqtt_port) as cloud:
        cloud.silent = True
        async with Agent(settings(nats.mqtt_port, devices=[device()]), drivers={"dev-1": Counting(total=20)}) as agent:
            await agent.wait_played_out()
            async with asyncio.timeout(10):
                while agent.counters.republished < 3:
                    await asyncio.sleep(0.02)
            births = len(agent.spool.find(Kind.BIRTH))
            assert agent.spool.depth.messages == agent.counters.frames + births >= 6
            cloud.silent = False
            async with asyncio.timeout(10):
                await agent.wait_drained()
        assert readings(cloud) == [float(n) for n in range(1, 21)]


async def test_a_broker_that_is_away_at_the_start(nats: Any, tmp_path: Path) -> None:
    nats.stop()
    configured = settings(nats.mqtt_port, tmp_path, devices=[device()])
    async with Agent(configured, drivers={"dev-1": Counting(total=50)}) as agent:
        await agent.wait_played_out()
        assert agent.counters.connect_failures > 1
        assert not agent.connected
        nats.start()
        async with ReceiptingCloud(nats.mqtt_port) as cloud, asyncio.timeout(15):
            await agent.wait_drained()
        assert readings(cloud) == [float(n) for n in range(1, 51)]


async def test_a_full_spool_reports_its_gap(nats: Any) -> None:
    configured = settings(
        nats.mqtt_port,
        devices=[device(sampling={"frame_samples": 1})],
        spool={"path": ":memory:", "bound_bytes": 65_536},
        uplink={"heartbeat_s": 0.3},
    )
    async with ReceiptingCloud(nats.mqtt_port) as cloud:
        cloud.silent = True
        driver = Counting(total=1500, faults=lambda n: ["E1"] if n > 10 else [])
        agent = Agent(configured, drivers={"dev-1": driver}, clock=SimulatedClock(), every_sample=True)
        async with agent:
            await agent.wait_played_out()
            dropped = agent.spool.dropped_telemetry
            assert dropped > 500
            assert agent.spool.dropped_faults == 0
            cloud.silent = False
            async with asyncio.timeout(15):
                await cloud.until(lambda: sum(Loss.decode(p).messages for _, p in cloud.of(Kind.LOSS)) == dropped)
                await agent.wait_drained()
            losses = [Loss.decode(payload) for _, payload in cloud.of(Kind.LOSS)]
            assert {loss.kind for loss in losses} == {"telemetry"}
            assert len(cloud.of(Kind.FAULT)) == 1
            frames = len(cloud.of(Kind.TELEMETRY))
            assert frames + dropped >= agent.counters.frames  # a frame under way may be counted as dropped and arrive
            await cloud.until(lambda: any(topic.kind == Kind.HEARTBEAT for topic, _ in cloud.other))
        beats = [Heartbeat.decode(payload) for topic, payload in cloud.other if topic.kind == Kind.HEARTBEAT]
        assert beats[-1].spool.dropped_telemetry == dropped
        assert beats[-1].rss_bytes is None or beats[-1].rss_bytes > 1_000_000


async def test_a_driver_that_fails_is_opened_again(nats: Any) -> None:
    driver = Counting(total=20, fail_at=[3])
    async with ReceiptingCloud(nats.mqtt_port) as cloud:
        async with Agent(settings(nats.mqtt_port, devices=[device()]), drivers={"dev-1": driver}) as agent:
            async with asyncio.timeout(15):
                await agent.wait_played_out()
                await agent.wait_drained()
            assert agent.counters.driver_errors == 1
        assert driver.opened == 2
        assert not driver.is_open
        assert readings(cloud) == [float(n) for n in range(1, 21)]


async def test_active_faults_are_told_after_a_restart_and_cleared_when_gone(nats: Any, tmp_path: Path) -> None:
    configured = settings(nats.mqtt_port, tmp_path, devices=[device()])
    async with ReceiptingCloud(nats.mqtt_port) as cloud:
        async with Agent(configured, drivers={"dev-1": Counting(faults=lambda _n: ["E1", "E2"])}):
            await cloud.until(lambda: len(cloud.of(Kind.FAULT)) == 2)
        async with Agent(configured, drivers={"dev-1": Counting(faults=lambda _n: ["E2"])}):
            await cloud.until(lambda: len(cloud.of(Kind.FAULT)) == 3)
        faults = [Fault.decode(payload) for _, payload in cloud.of(Kind.FAULT)]
        assert [(fault.code, fault.raised) for fault in faults] == [("E1", True), ("E2", True), ("E1", False)]


async def test_a_dead_part_stops_the_agent_loudly(nats: Any) -> None:
    class Broken(Counting):
        async def read(self, at: float) -> Reading | None:
            raise ZeroDivisionError("a bug in a driver")

    agent = Agent(settings(nats.mqtt_port, devices=[device()]), drivers={"dev-1": Broken()})
    with pytest.raises(AgentFailed, match="gateway gw-1: ZeroDivisionError: a bug in a driver"):
        async with asyncio.timeout(5):
            await agent.run()


async def test_stop_is_quick_idempotent_and_keeps_partial_frames(nats: Any, tmp_path: Path) -> None:
    nats.stop()
    configured = settings(nats.mqtt_port, tmp_path, devices=[device(sampling={"frame_samples": 1000})])
    driver = Counting()
    async with Agent(configured, drivers={"dev-1": driver}) as agent:
        async with asyncio.timeout(5):
            while driver.count < 10:
                await asyncio.sleep(0.01)
        began = time.monotonic()
        await asyncio.gather(agent.stop(), agent.stop())
        await agent.stop()
        assert time.monotonic() - began < 1
    taken = driver.count
    nats.start()
    async with ReceiptingCloud(nats.mqtt_port) as cloud:
        async with Agent(configured, drivers={"dev-1": Counting(total=0)}) as again, asyncio.timeout(10):
            await again.wait_drained()
            await cloud.until(lambda: readings(cloud) == [float(n) for n in range(1, taken + 1)])


async def test_fresh_telemetry_and_faults_are_not_starved_by_a_backlog(nats: Any, tmp_path: Path) -> None:
    configured = settings(nats.mqtt_port, tmp_path, devices=[device(sampling={"frame_samples": 1})])
    past = SimulatedClock(1_600_000_000)
    nats.stop()
    async with Agent(configured, drivers={"dev-1": Counting(total=2500)}, clock=past, every_sample=True) as agent:
        await agent.wait_played_out()
        backlog = agent.spool.depth.messages
        assert backlog == 2500
    nats.start()
    async with ReceiptingCloud(nats.mqtt_port) as cloud:
        driver = Counting(faults=lambda n: ["E1"] if n == 60 else [])
        async with Agent(configured, drivers={"dev-1": driver}):
            await cloud.until(lambda: cloud.of(Kind.FAULT), seconds=30)
            done = len(cloud.of(Kind.TELEMETRY))
            fresh = [frame for frame in cloud.frames() if frame.header.started_at > 1_650_000_000 * 10**6]
            assert done < backlog
            assert len(fresh) > 20
            await cloud.until(lambda: len(cloud.of(Kind.TELEMETRY)) > backlog, seconds=60)


async def test_simulated_time_runs_without_gaps(nats: Any) -> None:
    """An agent on a clock that jumps: a day at one sample a minute, each at its own time."""
    day = ChannelSetOfMinutes()
    configured = settings(nats.mqtt_port, devices=[device(sampling={"frame_samples": 60, "frame_seconds": 600})])
    async with ReceiptingCloud(nats.mqtt_port) as cloud:
        agent = Agent(
            configured, drivers={"dev-1": day}, clock=SimulatedClock(), every_sample=True, boot_floor=1_700_000_000
        )
        async with agent, asyncio.timeout(20):
            await agent.wait_played_out()
            await agent.wait_drained()
        assert len(rows(cloud)) == 1440
        frames = sorted(cloud.frames(), key=lambda frame: frame.header.seq)
        for before, after in itertools.pairwise(frames):
            spanned = before.header.samples * before.header.period_ms * 1000
            assert after.header.started_at == before.header.started_at + spanned
        assert {frame.header.boot for frame in frames} == {1_700_000_000}


class ChannelSetOfMinutes(Counting):
    """1,440 readings, a minute apart."""

    def __init__(self) -> None:
        super().__init__(total=1440)

    async def open(self) -> Description:
        described = await super().open()
        return Description(described.channel_set.model_copy(update={"period_ms": 60_000}), "1")


def test_protocol_errors_are_the_only_ones_that_the_downlink_swallows() -> None:
    assert issubclass(ProtocolError, ValueError)
