"""The files in deploy/ work: configurations in real brokers, units and scripts by what they call."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
import pytest
import typer
from paho.mqtt.enums import CallbackAPIVersion

import firstcall
from cloud.engines.nats_binary import find_nats
from docs import write_settings
from tests.support.mosquitto import Mosquitto

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
PASSWORDS = {"cloud": "c", "gw1": "one", "gw2": "two"}


@pytest.mark.parametrize("script", ["debian13-root", "test-machine", "../requirements/install", "../.ci/run"])
def test_scripts_parse_and_stop_at_errors(script: str) -> None:
    path = DEPLOY / script
    subprocess.run(["sh", "-n", path], check=True)
    assert "set -eu" in path.read_text()
    assert path.stat().st_mode & 0o111


def test_nats_takes_the_example_configuration() -> None:
    text = (DEPLOY / "nats.conf").read_text()
    uncommented = re.sub(r"^# (?=(authorization|  users|    \{|        |  \]|\}))", "", text, flags=re.MULTILINE)
    assert "GATEWAY.>" in uncommented
    for configuration in (text, uncommented):
        outcome = subprocess.run(
            [find_nats().path, "-t", "-c", "/dev/stdin"],
            input=configuration,
            capture_output=True,
            text=True,
            check=False,
        )
        assert outcome.returncode == 0, outcome.stderr


@pytest.mark.mosquitto
def test_mosquitto_keeps_gateways_to_their_own_topics(
    start_mosquitto: Callable[[str], Mosquitto], tmp_path: Path
) -> None:
    passwords = tmp_path / "passwd"
    passwords.touch(mode=0o600)
    for name, password in PASSWORDS.items():
        subprocess.run(["mosquitto_passwd", "-b", passwords, name, password], check=True, capture_output=True)
    text = (DEPLOY / "mosquitto.conf").read_text()
    for example, real in {
        "listener 1883 127.0.0.1": "listener {port} 127.0.0.1",
        "/etc/mosquitto/passwd\n": f"{passwords}\n",
        "/etc/mosquitto/firstcall.acl": str(DEPLOY / "mosquitto.acl"),
        "/var/lib/mosquitto/": "{home}/",
    }.items():
        assert example in text
        text = text.replace(example, real)
    broker = start_mosquitto(text)
    cloud, first, second = (connected(broker, name) for name in PASSWORDS)
    forger = connected(broker, "gw1", "forger")
    subscribe(cloud, "fc/1/up/#")
    for topic in ("fc/1/down/gw1/#", "fc/1/down/gw2/#", "fc/1/up/#"):
        subscribe(first, topic)
    send(first, "fc/1/up/gw1/washer/telemetry", b"mine")
    send(forger, "fc/1/up/gw2/washer/telemetry", b"forged")  # costs it the connection
    send(second, "fc/1/down/gw1/-/receipt", b"forged too")
    send(cloud, "fc/1/down/gw2/-/receipt", b"not for the first")
    send(cloud, "fc/1/down/gw1/-/receipt", b"for the first")
    pump(first, until=lambda: bool(first.user_data_get()))
    pump(cloud, until=lambda: bool(cloud.user_data_get()))
    assert cloud.user_data_get() == [b"mine"]
    assert first.user_data_get() == [b"for the first"]


def connected(broker: Mosquitto, name: str, client_id: str | None = None) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id or name, userdata=[])
    client.username_pw_set(name, PASSWORDS[name])
    client.on_message = lambda _client, received, message: received.append(bytes(message.payload))
    client.connect(broker.host, broker.mqtt_port)
    pump(client, until=client.is_connected)
    return client


def subscribe(client: paho.Client, topic: str) -> None:
    answered: list[int] = []
    client.on_subscribe = lambda *_: answered.append(1)
    client.subscribe(topic, qos=1)
    pump(client, until=lambda: bool(answered))


def send(client: paho.Client, topic: str, payload: bytes) -> None:
    sent = client.publish(topic, payload, qos=1)
    pump(client, until=sent.is_published)


def pump(client: paho.Client, until: Callable[[], bool]) -> None:
    for _ in range(100):
        code = client.loop(0.05)
        if until():
            return
    raise AssertionError(f"the broker did not answer ({code!r})")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_start_commands_that_exist(unit: Path) -> None:
    app = typer.Typer()
    firstcall._mount(app)
    starts = re.search(r"^ExecStart=/opt/firstcall/bin/firstcall (.*)$", unit.read_text(), re.MULTILINE)
    assert starts
    programs = ["ingest", "desk", "detect", "web"] if "%i" in starts[1] else [starts[1]]
    for words in programs:
        command = typer.main.get_command(app)
        for word in words.split(" --")[0].split():
            command = command.commands[word]  # type: ignore[attr-defined]


def test_every_setting_that_is_mentioned_exists() -> None:
    known = {
        key for settings in write_settings.settings_classes() for key, _ in write_settings.environment_keys(settings)
    }
    root = DEPLOY.parent
    own = {"FIRSTCALL_DEBIAN13_ROOT", "FIRSTCALL_PICTURES"}  # of the test run, not of a program
    for source in root.glob("edge_agent/**/*.py"):  # the gateway's settings are a file; a secret may come apart from it
        own |= set(re.findall(r"FIRSTCALL_EDGE_[A-Z]+", source.read_text()))
    pages = [*DEPLOY.rglob("*"), *root.glob("*.md"), *root.glob("docs/**/*.md"), root / "Makefile"]
    for page in pages:
        if page.is_file():
            mentioned = set(re.findall(r"FIRSTCALL_[A-Z0-9_]*[A-Z0-9]", page.read_text()))
            unknown = {name for name in mentioned - own if not any(key.startswith(name) for key in known)}
            assert not unknown, f"{page}: {', '.join(unknown)}"
