"""One suite for every subscriber: JetStream, MQTT 3.1.1 on NATS, MQTT 5 on Mosquitto, shared and not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiomqtt
import nats
import pytest

from cloud.engines.nats_config import NatsOptions
from tests.ingest.brokers import Side, gather, until
from tests.support.faulty_link import FaultyLink

MOSQUITTO = pytest.param("mqtt-on-mosquitto", marks=pytest.mark.mosquitto)
UP = "fc/1/up/gw/dev/telemetry"


@pytest.fixture(params=["jetstream", "mqtt-on-nats", MOSQUITTO])
def side(request: pytest.FixtureRequest) -> Side:
    if request.param == "mqtt-on-mosquitto":
        broker = request.getfixturevalue("mosquitto")
        return Side(broker, f"mqtt://127.0.0.1:{broker.mqtt_port}")
    # NATS gives an MQTT session's unacknowledged messages again after this time only, not at once
    nats = request.getfixturevalue("start_nats")(NatsOptions(mqtt_ack_wait=1.0))
    return Side(nats, nats.url if request.param == "jetstream" else f"mqtt://127.0.0.1:{nats.mqtt_port}")


def numbered(start: int, stop: int) -> list[tuple[str, bytes]]:
    return [(UP, b"%d" % number) for number in range(start, stop)]


def payloads(start: int, stop: int) -> set[bytes]:
    return {payload for _, payload in numbered(start, stop)}


async def test_everything_upward_arrives_and_nothing_else(side: Side) -> None:
    subscriber = side.subscriber()
    await subscriber.open()
    try:
        await side.send([("fc/1/down/gw/-/receipt", b"no"), ("other/1/up/x", b"no"), (UP, b""), *numbered(0, 300)])
        arrivals = await gather(subscriber, 301)
        assert {a.payload for a in arrivals} == payloads(0, 300) | {b""}
        assert {a.topic for a in arrivals} == {UP}
        assert all(isinstance(a.payload, bytes) for a in arrivals)
    finally:
        await subscriber.close()


async def test_waiting_ends_in_time_and_with_nothing(side: Side) -> None:
    subscriber = side.subscriber()
    await subscriber.open()
    try:
        assert await subscriber.receive(10, 0.05) == []
    finally:
        await subscriber.close()


async def test_what_is_acknowledged_does_not_come_again_and_the_rest_does(side: Side) -> None:
    subscriber = side.subscriber()
    await subscriber.open()
    await side.send(numbered(0, 100))
    arrivals = await gather(subscriber, 100)
    await subscriber.ack([a for a in arrivals if int(a.payload) < 60])
    await asyncio.sleep(0.2)  # let the acknowledgements reach the broker before the connection goes
    await subscriber.close()
    await subscriber.open()
    try:
        again = await gather(subscriber, 40)
        assert {a.payload for a in again} == payloads(60, 100)
        await subscriber.ack(again)
    finally:
        await subscriber.close()


async def test_messages_wait_while_nobody_listens(side: Side) -> None:
    subscriber = side.subscriber()
    await subscriber.open()
    await subscriber.close()
    await side.send(numbered(0, 50))
    await subscriber.open()
    try:
        assert {a.payload for a in await gather(subscriber, 50)} == payloads(0, 50)
    finally:
        await subscriber.close()


@pytest.mark.parametrize("side", ["jetstream", MOSQUITTO], indirect=True)
async def test_whoever_does_not_acknowledge_is_not_sent_more(side: Side) -> None:
    """MQTT 3.1.1 has no receive maximum: on NATS the broker's own bound holds (mqtt.max_ack_pending)."""
    subscriber = side.subscriber(max_in_flight=200)
    await subscriber.open()
    try:
        await side.send(numbered(0, 500))
        found = [a for _ in range(4) for a in await subscriber.receive(10_000, 0.2)]
        assert 0 < len(found) <= 200
        held: set[bytes] = set()
        async with asyncio.timeout(20):
            while len(held) < 500:
                await subscriber.ack(found)
                held |= {a.payload for a in found}
                found = await subscriber.receive(10_000, 0.5)
        assert held == payloads(0, 500)
    finally:
        await subscriber.close()


async def test_a_lost_connection_is_restored_and_old_tokens_are_harmless(
    side: Side, faulty_link: Callable[[int], Awaitable[FaultyLink]]
) -> None:
    port = int(side.url.rsplit(":", 1)[1])
    link = await faulty_link(port)
    through = side.url.replace(f":{port}", f":{link.port}")
    subscriber = side.subscriber(broker_url=through)
    await subscriber.open()
    try:
        await side.send(numbered(0, 50))
        before = await gather(subscriber, 50)
        await link.stop()
        await until(lambda: not subscriber.connected)
        await side.send(numbered(50, 80))
        await link.start()
        await until(lambda: subscriber.connected)
        await subscriber.ack(before)  # of the old connection: no effect
        after = await gather(subscriber, 80)
        assert {a.payload for a in after} == payloads(0, 80)
        await subscriber.ack(after)
    finally:
        await subscriber.close()


async def test_a_broker_that_starts_late_is_waited_for(side: Side) -> None:
    subscriber = side.subscriber()
    side.server.stop()
    opening = asyncio.create_task(subscriber.open())
    await asyncio.sleep(0.2)
    assert not opening.done()
    await asyncio.to_thread(side.server.start)
    try:
        await asyncio.wait_for(opening, 15)
        await side.send(numbered(0, 3))
        await gather(subscriber, 3)
    finally:
        await subscriber.close()


async def test_receipts_reach_a_gateway(side: Side) -> None:
    subscriber = side.subscriber()
    await subscriber.open()
    try:
        async with aiomqtt.Client("127.0.0.1", side.mqtt_port) as gateway:
            await gateway.subscribe("fc/1/down/gw/#", qos=1)
            await subscriber.publish([("fc/1/down/gw/-/receipt", b"one"), ("fc/1/down/else/-/receipt", b"no")])
            await subscriber.publish([("fc/1/down/gw/-/receipt", b"two")])
            received: list[object] = []
            async with asyncio.timeout(10):
                async for message in gateway.messages:
                    received.append(message.payload)
                    if len(received) == 2:
                        break
        assert received == [b"one", b"two"]
    finally:
        await subscriber.close()


async def test_not_re_entrant(side: Side) -> None:
    subscriber = side.subscriber()
    await subscriber.open()
    try:
        with pytest.raises(RuntimeError, match="open already"):
            await subscriber.open()
    finally:
        await subscriber.close()


@pytest.mark.parametrize("side", [MOSQUITTO], indirect=True)  # the one that speaks MQTT 5
async def test_members_of_a_shared_subscription_divide_the_messages(side: Side) -> None:
    members = [side.subscriber(instance=f"m{i}", shared_group="ingest") for i in range(2)]
    for member in members:
        await member.open()
    try:
        await side.send(numbered(0, 200))
        parts: list[set[bytes]] = [set(), set()]
        async with asyncio.timeout(15):
            while len(parts[0] | parts[1]) < 200:
                for member, part in zip(members, parts, strict=True):
                    arrivals = await member.receive(1000, 0.05)
                    part |= {a.payload for a in arrivals}
                    await member.ack(arrivals)
        assert parts[0]
        assert parts[1]
        assert not parts[0] & parts[1]
    finally:
        for member in members:
            await member.close()


@pytest.mark.parametrize("side", ["jetstream"], indirect=True)
async def test_a_stream_that_was_deleted_is_made_again(side: Side) -> None:
    subscriber = side.subscriber()
    await subscriber.open()
    client = await nats.connect(side.url)
    try:
        await client.jetstream().delete_stream("FC_UP")
        async with asyncio.timeout(15):
            while not await subscriber.receive(10, 0.2):
                await side.send(numbered(0, 1))  # what came in between was not receipted: a gateway sends it again
    finally:
        await client.close()
        await subscriber.close()
