"""The embedded NATS: MQTT in, a durable stream behind, each gateway kept to its own subjects."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats as nats_client
import paho.mqtt.client as paho
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt.enums import CallbackAPIVersion

from cloud.engines.broker import open_broker
from cloud.engines.errors import EngineError, EngineStartError, PortInUseError
from cloud.engines.nats import NatsServer
from cloud.engines.nats_config import NatsOptions, NatsUser, Tls, gateway_user, render
from cloud.engines.ports import LOOPBACK
from cloud.engines.settings import EngineSettings
from protocols.topics import UPLINK_SUBJECT, Kind, Topic
from tests.support.folders import open_folder

StartNats = Callable[[NatsOptions], NatsServer]
PATIENCE = 10.0


class Client:
    """A paho client that is connected, or has been refused."""

    def __init__(self, server: NatsServer, name: str, user: NatsUser | None = None, tls: Tls | None = None) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.reason = ""
        self._answered, self._message, self._subscribed = (threading.Event() for _ in range(3))
        self._granted = False
        self._paho = paho.Client(CallbackAPIVersion.VERSION2, name, clean_session=False)
        if user:
            self._paho.username_pw_set(user.name, user.password)
        if tls:
            self._paho.tls_set(str(tls.ca or tls.certificate), str(tls.certificate), str(tls.key))
        self._paho.on_connect = self._on_connect
        self._paho.on_subscribe = self._on_subscribe
        self._paho.on_message = self._on_message
        self._paho.connect(server.host, server.mqtt_port)
        self._paho.loop_start()
        assert self._answered.wait(PATIENCE)

    def _on_connect(self, _client: object, _data: object, _flags: object, reason: object, _more: object) -> None:
        self.reason = str(reason)
        self._answered.set()

    def _on_subscribe(self, _client: object, _data: object, _mid: object, codes: Any, _more: object) -> None:
        self._granted = "Unspecified error" not in str(codes[0])
        self._subscribed.set()

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self.received.append((message.topic, bytes(message.payload)))
        self._message.set()

    def publish(self, topic: str, payload: bytes) -> None:
        """QoS 1; returns once acknowledged."""
        sent = self._paho.publish(topic, payload, qos=1)
        sent.wait_for_publish(PATIENCE)
        assert sent.is_published(), f"the broker did not acknowledge within {PATIENCE} s"

    def subscribe(self, topic: str) -> bool:
        """QoS 1; whether it was granted."""
        self._subscribed.clear()
        self._paho.subscribe(topic, qos=1)
        assert self._subscribed.wait(PATIENCE)
        return self._granted

    def wait_for_message(self, seconds: float = PATIENCE) -> bool:
        arrived = self._message.wait(seconds)
        self._message.clear()
        return arrived

    def close(self) -> None:
        self._paho.disconnect()
        self._paho.loop_stop()


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def open_client(*arguments: object, **more: object) -> Client:
        clients.append(Client(*arguments, **more))  # type: ignore[arg-type]
        return clients[-1]

    yield open_client
    for client in clients:
        client.close()


def telemetry(gateway: str) -> Topic:
    return Topic(gateway, Kind.TELEMETRY, "washer-1")


async def until_stored(nats: NatsServer, messages: int) -> None:
    """Wait until the stream holds so many.  An MQTT acknowledgement may precede the stream by a moment; gateways are
    promised nothing by it, they keep a message until the cloud's receipt."""
    link = await nats_client.connect(nats.url)
    async with asyncio.timeout(PATIENCE):
        while (await link.jetstream().stream_info("UP")).state.messages < messages:  # noqa: ASYNC110 - it is the server's
            await asyncio.sleep(0.01)
    await link.close()


@pytest.mark.kill
async def test_what_was_stored_outlives_a_kill_on_the_same_ports(
    nats: NatsServer, connect: Callable[..., Client]
) -> None:
    link = await nats_client.connect(nats.url)
    await link.jetstream().add_stream(name="UP", subjects=[UPLINK_SUBJECT])
    await link.close()
    ports = (nats.client_port, nats.mqtt_port, nats.monitor_port)
    for number in range(3):
        client = connect(nats, f"gateway-{number}")
        client.publish(telemetry("gw1").build(), b"frame %d" % number)
        client.close()
        await until_stored(nats, number + 1)
        nats.kill()
        nats.start()
        assert (nats.client_port, nats.mqtt_port, nats.monitor_port) == ports
    link = await nats_client.connect(nats.url)
    reader = await link.jetstream().pull_subscribe(UPLINK_SUBJECT, durable="ingest")
    messages = await reader.fetch(10, timeout=5)
    assert [m.data for m in messages] == [b"frame 0", b"frame 1", b"frame 2"]
    assert {m.subject for m in messages} == {telemetry("gw1").build_subject()}
    await link.close()


def test_a_gateway_is_kept_to_its_own_subjects(start_nats: StartNats, connect: Callable[..., Client]) -> None:
    cloud = NatsUser("cloud", "cloud-secret")
    one, two = gateway_user("gw1", "one"), gateway_user("gw2", "two")
    server = start_nats(NatsOptions(users=(cloud, one, two)))
    listener = connect(server, "listener", cloud)
    assert listener.subscribe("fc/1/up/#")
    first = connect(server, "first", one)
    assert first.subscribe("fc/1/down/gw1/#")
    assert not first.subscribe("fc/1/down/gw2/#")
    assert not first.subscribe("fc/1/down/#")
    assert not first.subscribe("fc/1/up/gw1/#")
    listener.publish("fc/1/down/gw1/-/receipt", b"committed")
    assert first.wait_for_message()
    assert first.received == [("fc/1/down/gw1/-/receipt", b"committed")]
    first.publish(telemetry("gw1").build(), b"mine")
    assert listener.wait_for_message()
    first.publish(telemetry("gw2").build(), b"forged")
    connect(server, "second", two).publish(telemetry("gw2").build(), b"true")
    assert listener.wait_for_message()
    assert [payload for _topic, payload in listener.received] == [b"mine", b"true"]


def test_strangers_are_refused(start_nats: StartNats, connect: Callable[..., Client]) -> None:
    server = start_nats(NatsOptions(users=(gateway_user("gw1", "right"),)))
    assert connect(server, "good", gateway_user("gw1", "right")).reason == "Success"
    for user in (None, gateway_user("gw1", "wrong"), gateway_user("gw9", "right")):
        assert connect(server, "bad", user).reason in ("Not authorized", "Bad user name or password")


async def test_a_gateways_password_is_good_for_mqtt_only(start_nats: StartNats) -> None:
    server = start_nats(NatsOptions(users=(gateway_user("gw1", "secret"),)))
    with pytest.raises(nats_client.errors.Error):
        await nats_client.connect(
            server.url, user="gw1", password="secret", allow_reconnect=False, max_reconnect_attempts=0
        )


def test_gateways_are_admitted_and_dismissed_while_it_runs(
    start_nats: StartNats, connect: Callable[..., Client]
) -> None:
    old, new = gateway_user("old", "a"), gateway_user("new", "b")
    server = start_nats(NatsOptions(users=(old,)))
    pid = server.pid
    server.admit((new,))

    def admitted(user: NatsUser) -> bool:
        return connect(server, f"probe-{user.name}", user).reason == "Success"

    pause = threading.Event()
    assert any(admitted(new) or pause.wait(0.05) for _ in range(100))
    assert not admitted(old)
    assert server.pid == pid


def test_an_oversize_payload_closes_only_that_connection(start_nats: StartNats, connect: Callable[..., Client]) -> None:
    server = start_nats(NatsOptions(max_payload=10_000))
    listener = connect(server, "listener")
    listener.subscribe("fc/1/up/#")
    big = connect(server, "big")
    big._paho.publish(telemetry("gw1").build(), b"x" * 20_000, qos=1)
    connect(server, "small").publish(telemetry("gw1").build(), b"fits")
    assert listener.wait_for_message()
    assert [payload for _topic, payload in listener.received] == [b"fits"]


def test_tls_with_client_certificates(start_nats: StartNats, connect: Callable[..., Client]) -> None:
    with open_folder("tls") as folder:
        tls = make_certificate(folder)
        server = start_nats(NatsOptions(tls=tls))
        assert server.url.startswith("tls://")
        assert connect(server, "known", None, tls).reason == "Success"
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            shake_hands_without_a_certificate(server, tls)


def shake_hands_without_a_certificate(server: NatsServer, tls: Tls) -> None:
    context = ssl.create_default_context(cafile=str(tls.ca))
    with (
        socket.create_connection((server.host, server.mqtt_port)) as plain,
        context.wrap_socket(plain, server_hostname=LOOPBACK) as wrapped,
    ):
        wrapped.settimeout(PATIENCE)
        wrapped.recv(1)  # TLS 1.3: the refusal comes after the client's side of the handshake


def make_certificate(folder: Path) -> Tls:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, LOOPBACK)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    address = x509.IPAddress(ipaddress.ip_address(LOOPBACK))
    builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    paths = (folder / "certificate.pem", folder / "key.pem")
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Tls(*paths, ca=paths[0])


def test_the_configuration_quotes_what_it_is_given() -> None:
    hostile = 'a" } $HOME include /etc/passwd # \n\\'
    text = render(
        NatsOptions(users=(NatsUser("cloud", hostile),)), client_port=1, mqtt_port=2, monitor_port=3, store=Path("/s")
    )
    assert '"a\\" } $HOME include /etc/passwd # \\n\\\\"' in text
    assert "sync_interval: always" not in text
    assert "sync_interval: always" in render(
        NatsOptions(sync_always=True), client_port=1, mqtt_port=2, monitor_port=3, store=Path("/s")
    )


def test_a_hostile_password_still_opens_the_door(start_nats: StartNats, connect: Callable[..., Client]) -> None:
    user = NatsUser("cloud", 'p" } $HOME # \\ \t end')
    assert connect(start_nats(NatsOptions(users=(user,))), "cloud", user).reason == "Success"


def test_the_configuration_is_private_and_passwords_do_not_show(start_nats: StartNats) -> None:
    user = gateway_user("gw1", "hidden-secret")
    server = start_nats(NatsOptions(users=(user,)))
    assert (server.home / "nats.conf").stat().st_mode & 0o077 == 0
    assert "hidden-secret" not in repr(server.options)


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} on 127.0.0.1 is in use"):
            NatsServer(tmp_path, mqtt_port=port).start()


def test_a_refused_configuration_is_told_in_the_servers_words(tmp_path: Path) -> None:
    options = replace(NatsOptions(), mqtt_max_ack_pending=70_000)
    with pytest.raises(EngineStartError, match=r"(?s)see .*log.*70000, should in"):
        NatsServer(tmp_path, options=options).start()


def test_before_the_first_start_it_has_no_ports(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="start it first"):
        _ = NatsServer(tmp_path).mqtt_port


def test_open_broker(tmp_path: Path) -> None:
    settings = EngineSettings(home=tmp_path)
    with open_broker("mqtts://broker.example", settings) as given:
        assert (given.mqtt_url, given.server, given.has_streams) == ("mqtts://broker.example", None, False)
    with open_broker("nats://broker.example", settings) as given:
        assert (given.mqtt_url, given.server, given.has_streams) == (None, None, True)
    with pytest.raises(EngineError, match=r"begins with nats://.*got 'http'"), open_broker("http://x", settings):
        pass
    with open_broker(None, settings) as embedded:
        assert embedded.server is not None
        assert embedded.mqtt_url == f"mqtt://127.0.0.1:{embedded.server.mqtt_port}"
        assert embedded.has_streams
    assert not embedded.server.running
