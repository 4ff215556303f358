"""The tests' own engines and network: a test is worth no more than what it stands on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.faulty_link import FaultyLink
from tests.support.mosquitto import Mosquitto

OpenLink = Callable[[int], Awaitable[FaultyLink]]


@pytest.fixture
async def echo_port() -> object:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1000):
            writer.write(chunk)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def say(link: FaultyLink, words: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(link.host, link.port)
    writer.write(words)
    return reader, writer


async def test_a_link_passes_everything_on(faulty_link: OpenLink, echo_port: int) -> None:
    link = await faulty_link(echo_port)
    reader, writer = await say(link, b"x" * 200_000)
    writer.write_eof()
    assert await reader.read(-1) == b"x" * 200_000
    writer.close()
    assert link.accepted == 1
    assert link.forwarded == {"up": 200_000, "down": 200_000}


async def test_a_stopped_link_refuses_and_comes_back_on_its_port(faulty_link: OpenLink, echo_port: int) -> None:
    link = await faulty_link(echo_port)
    reader, _writer = await say(link, b"before")
    assert await reader.readexactly(6) == b"before"
    await link.stop()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    with pytest.raises(ConnectionRefusedError):
        await say(link, b"meanwhile")
    await link.start()
    reader, writer = await say(link, b"after")
    assert await reader.readexactly(5) == b"after"
    writer.close()


async def test_a_link_cuts_in_mid_message_once(faulty_link: OpenLink, echo_port: int) -> None:
    link = await faulty_link(echo_port)
    link.cut_after(up=3)
    reader, _writer = await say(link, b"abcdef")
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)) as cut:
        await reader.readexactly(6)
    assert link.forwarded["up"] == 3
    assert b"d" not in getattr(cut.value, "partial", b"")
    reader, writer = await say(link, b"whole")
    assert await reader.readexactly(5) == b"whole"
    writer.close()


async def test_a_held_link_delivers_nothing_until_released(faulty_link: OpenLink, echo_port: int) -> None:
    link = await faulty_link(echo_port)
    reader, writer = await say(link, b"1")
    assert await reader.readexactly(1) == b"1"
    link.hold()
    writer.write(b"2")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readexactly(1), 0.1)
    link.release()
    assert await asyncio.wait_for(reader.readexactly(1), 5) == b"2"
    writer.close()


async def test_a_slow_link_takes_its_time_both_ways(faulty_link: OpenLink, echo_port: int) -> None:
    link = await faulty_link(echo_port)
    link.delay = 0.05
    begin = time.monotonic()
    reader, writer = await say(link, b"x")
    await reader.readexactly(1)
    assert time.monotonic() - begin >= 0.1
    writer.close()


def delivered_to_a_sleeper(broker: Mosquitto, count: int, restart: bool) -> int:
    """How many of `count` PUBACKed messages reach a subscriber that slept meanwhile."""
    sleeper = paho.Client(CallbackAPIVersion.VERSION2, "sleeper", clean_session=False)
    sleeper.on_connect = lambda client, *_: client.subscribe("t/#", qos=1)
    subscribed: list[int] = []
    sleeper.on_subscribe = lambda *_: subscribed.append(1)
    sleeper.connect(broker.host, broker.mqtt_port)
    while not subscribed:
        sleeper.loop(0.1)
    sleeper.disconnect()
    sleeper.loop(0.1)
    speaker = paho.Client(CallbackAPIVersion.VERSION2, "speaker")
    speaker.max_inflight_messages_set(100)
    speaker.connect(broker.host, broker.mqtt_port)
    speaker.loop_start()
    for sent in [speaker.publish("t/1", b"%d" % number, qos=1) for number in range(count)]:
        sent.wait_for_publish(20)
    speaker.disconnect()
    speaker.loop_stop()
    if restart:
        broker.stop()
        broker.start()
    received: list[bytes] = []
    sleeper.on_message = lambda _client, _data, message: received.append(bytes(message.payload))
    sleeper.connect(broker.host, broker.mqtt_port)
    quiet = time.monotonic()
    while len(received) < count and time.monotonic() - quiet < 1.5:
        before = len(received)
        sleeper.loop(0.1)
        if len(received) > before:
            quiet = time.monotonic()
    sleeper.disconnect()
    sleeper.loop(0.1)
    return len(set(received))


@pytest.mark.mosquitto
def test_mosquitto_tuned_keeps_what_it_acknowledged(mosquitto: Mosquitto) -> None:
    assert delivered_to_a_sleeper(mosquitto, 3000, restart=True) == 3000


@pytest.mark.mosquitto
def test_mosquitto_as_shipped_drops_what_it_acknowledged(mosquitto_as_shipped: Mosquitto) -> None:
    assert delivered_to_a_sleeper(mosquitto_as_shipped, 3000, restart=False) < 3000
