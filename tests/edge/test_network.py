# ruff: noqa: ASYNC110
"""The agent behind a network that is cut, held and slow."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from edge_agent.agent import Agent
from tests.edge.gateways import Counting, device, settings
from tests.edge.receipting_cloud import ReceiptingCloud
from tests.edge.test_agent import readings

FOLDER = "/proc/self/fd" if os.path.exists("/proc/self/fd") else "/dev/fd"  # noqa: PTH110


def descriptors() -> int:
    """How many file descriptors this process has open."""
    return len(os.listdir(FOLDER))  # noqa: PTH208


OpenLink = Callable[[int], Awaitable[Any]]


async def test_cuts_in_mid_stream_lose_nothing(broker: Any, faulty_link: OpenLink, tmp_path: Path) -> None:
    link = await faulty_link(broker.mqtt_port)
    configured = settings(link.port, tmp_path, devices=[device(sampling={"frame_samples": 2})])
    async with ReceiptingCloud(broker.mqtt_port) as cloud:
        driver = Counting(total=200)
        async with Agent(configured, drivers={"dev-1": driver}) as agent:
            for after in (1500, 700, 333, 2100):
                link.cut_after(up=after)
                await asyncio.sleep(0.5)
                link.cut_after(down=after // 3)
                await asyncio.sleep(0.3)
            await link.stop()
            await asyncio.sleep(0.5)
            await link.start()
            await agent.wait_played_out()
            async with asyncio.timeout(20):
                await agent.wait_drained()
            assert agent.counters.connections > 4
        assert readings(cloud) == [float(n) for n in range(1, 201)]


async def test_a_dead_link_is_noticed_and_a_stop_does_not_wait_for_it(
    nats: Any, faulty_link: OpenLink, tmp_path: Path
) -> None:
    link = await faulty_link(nats.mqtt_port)
    configured = settings(link.port, tmp_path, devices=[device()], broker={"keepalive_s": 5, "connect_timeout_s": 1})
    async with ReceiptingCloud(nats.mqtt_port) as cloud, Agent(configured, drivers={"dev-1": Counting()}) as agent:
        await cloud.until(cloud.frames)
        link.hold()
        async with asyncio.timeout(20):
            while agent.connected:
                await asyncio.sleep(0.1)
        async with asyncio.timeout(3):
            await agent.stop()


async def test_a_broker_that_never_answers_costs_no_descriptors(tmp_path: Path) -> None:
    """It accepts the connection and says nothing."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    configured = settings(port, tmp_path, devices=[device()], broker={"connect_timeout_s": 0.1})
    async with Agent(configured, drivers={"dev-1": Counting()}) as agent:
        async with asyncio.timeout(20):
            while agent.counters.connect_failures < 3:
                await asyncio.sleep(0.05)
            before = descriptors()
            while agent.counters.connect_failures < 15:
                await asyncio.sleep(0.05)
        assert descriptors() <= before + 3
    server.close()
    await server.wait_closed()


async def test_a_slow_line_delivers_without_repeats_piling_up(nats: Any, faulty_link: OpenLink, tmp_path: Path) -> None:
    link = await faulty_link(nats.mqtt_port)
    link.delay = 0.15
    configured = settings(link.port, tmp_path, devices=[device()], uplink={"receipt_timeout_s": 30})
    async with ReceiptingCloud(nats.mqtt_port) as cloud:
        async with Agent(configured, drivers={"dev-1": Counting(total=60)}) as agent:
            await agent.wait_played_out()
            async with asyncio.timeout(60):
                await agent.wait_drained()
            assert agent.counters.republished <= 3  # a busy machine may be slow to connect
        assert readings(cloud) == [float(n) for n in range(1, 61)]
