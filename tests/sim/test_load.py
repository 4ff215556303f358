"""Raw load: frames that the contract accepts, against real brokers, within its bounds."""

from pathlib import Path

import pytest

from cloud.engines.nats import NatsServer
from device_sim.transport import mqtt_wire as wire
from device_sim.transport.load import FrameMill, LoadSettings, channel_set, press, spooled_span_s
from protocols.frames import decode_frame
from protocols.topics import Kind
from tests.edge.receipting_cloud import ReceiptingCloud
from tests.sim.worlds import START
from tests.support.mosquitto import Mosquitto

Broker = NatsServer | Mosquitto


def _settings(broker: Broker, **more: object) -> LoadSettings:
    url = f"mqtt://127.0.0.1:{broker.mqtt_port}"
    return LoadSettings(url, gateways=6, devices=2, connections=2, **more)  # type: ignore[arg-type]


def test_a_mill_makes_frames_that_follow_each_other() -> None:
    settings = LoadSettings("mqtt://unused", samples=3, channels=2)
    mill = FrameMill(settings, "d", 5, START, b"\0\0\x80?" * 6)
    first, second = decode_frame(mill.next()), decode_frame(mill.next())
    assert (first.header.seq, second.header.seq) == (1, 2)
    assert second.header.started_at - first.header.started_at == 3_000_000
    assert first.header.channel_set == channel_set(settings).id
    assert list(first.readings) == [1.0] * 6


def test_the_span_of_a_run_is_known_beforehand() -> None:
    settings = LoadSettings("mqtt://unused", gateways=10, devices=5, frames=1001, samples=10, period_ms=1000)
    assert spooled_span_s(settings) == 21 * 10.0


@pytest.mark.parametrize("length", [0, 127, 128, 16_383, 16_384, 300_000])
def test_packet_lengths_are_coded_as_the_standard_says(length: int) -> None:
    packet = wire.publish_packet("t", b"x" * length)
    assert wire.published(wire.Packet(0x30, 0, packet[-(length + 3) :])) == ("t", b"x" * length)


@pytest.mark.parametrize("qos", [0, 1])
async def test_what_is_published_arrives_and_is_counted(broker: Broker, qos: int) -> None:
    async with ReceiptingCloud(broker.mqtt_port) as cloud:
        count = await press(_settings(broker, frames=300, seconds=20.0, qos=qos, receipts=True), 77, START)
        await cloud.until(lambda: len(cloud.of(Kind.TELEMETRY)) == 300)
    assert count.frames == 300
    assert count.acked == (300 if qos else 0)
    assert count.receipted == 300
    assert count.connections_lost == 0
    assert sum(count.by_device.values()) == 300
    keys = {
        (topic.device, frame.header.seq)
        for (topic, _), frame in zip(cloud.of(Kind.TELEMETRY), cloud.frames(), strict=True)
    }
    assert len(keys) == 300
    assert len({topic.gateway for topic, _ in cloud.of(Kind.TELEMETRY)}) == 6
    assert cloud.of(Kind.BIRTH)


async def test_a_rate_and_an_end_are_kept(nats: NatsServer) -> None:
    count = await press(_settings(nats, frames=1_000_000, seconds=0.5, rate=400.0), 78, START)
    assert 100 <= count.frames <= 260
    assert count.seconds < 2.0


async def test_a_broker_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"refused|Connect"):
        await press(LoadSettings("mqtt://127.0.0.1:9", gateways=1), 1, START)
