"""The text of a NATS configuration: MQTT listener, JetStream, and what each gateway may do. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cloud.engines.ports import LOOPBACK
from protocols.identifiers import identifier
from protocols.topics import ROOT, VERSION, Direction

MQTT_SESSION_SUBJECTS = "$MQTT.sub.>"
"""Servers before 2.12.3 want a QoS 1 subscriber to be allowed this; later ones imply it."""


@dataclass(frozen=True)
class NatsUser:
    """A name, a password and what it may do. Empty patterns forbid; None allows everything."""

    name: str
    password: str = field(repr=False)
    publish: tuple[str, ...] | None = None
    subscribe: tuple[str, ...] | None = None
    mqtt_only: bool = False


@dataclass(frozen=True)
class Tls:
    """Files of a TLS listener. With `ca`, clients must show a certificate that it signed."""

    certificate: Path
    key: Path
    ca: Path | None = None


@dataclass(frozen=True)
class NatsOptions:
    """What a NATS server is told. Sizes in bytes, times in seconds."""

    server_name: str = "firstcall"
    host: str = LOOPBACK
    max_payload: int = 1 << 20
    mqtt_ack_wait: float = 30.0
    """After this long without an ack, the broker sends a QoS 1 message again."""
    mqtt_max_ack_pending: int = 10_000
    """Messages in flight to one MQTT subscription (at most 65,535)."""
    max_file_store: int = 16 << 30
    sync_always: bool = False
    """fsync before each acknowledgement: proof against power cuts, at a fraction of the speed."""
    users: tuple[NatsUser, ...] = ()
    """Empty: anyone on this host may connect."""
    tls: Tls | None = None


def gateway_user(gateway: str, password: str) -> NatsUser:
    """A gateway's login: it publishes upward and subscribes downward in its own name, over MQTT only."""
    name = identifier(gateway, "gateway")
    up, down = (f"{ROOT}.{VERSION}.{way}.{name}" for way in (Direction.UP, Direction.DOWN))
    return NatsUser(
        name,
        password,
        publish=(f"{up}.>",),
        subscribe=(down, f"{down}.>", MQTT_SESSION_SUBJECTS),  # MQTT's `a/#` is NATS' `a` and `a.>`
        mqtt_only=True,
    )


def render(options: NatsOptions, *, client_port: int, mqtt_port: int, monitor_port: int, store: Path) -> str:
    """The configuration file's text."""
    synced = "\n  sync_interval: always" if options.sync_always else ""
    return f"""\
server_name: {_quote(options.server_name)}
listen: {_quote(f"{options.host}:{client_port}")}
http: {_quote(f"{LOOPBACK}:{monitor_port}")}
max_payload: {options.max_payload}
{_tls(options.tls)}
jetstream {{
  store_dir: {_quote(str(store))}
  max_file_store: {options.max_file_store}{synced}
}}
mqtt {{
  listen: {_quote(f"{options.host}:{mqtt_port}")}
  ack_wait: {_quote(f"{round(options.mqtt_ack_wait * 1000)}ms")}
  max_ack_pending: {options.mqtt_max_ack_pending}
  {_tls(options.tls)}
}}
{_authorization(options.users)}"""


def _tls(tls: Tls | None) -> str:
    if tls is None:
        return ""
    ca = f", ca_file: {_quote(str(tls.ca))}, verify: true" if tls.ca else ""
    return f"tls {{ cert_file: {_quote(str(tls.certificate))}, key_file: {_quote(str(tls.key))}{ca} }}"


def _authorization(users: Iterable[NatsUser]) -> str:
    entries = [_user(user) for user in users]
    return "authorization {{\n  users: [\n{}\n  ]\n}}\n".format("\n".join(entries)) if entries else ""


def _user(user: NatsUser) -> str:
    words = [f"user: {_quote(user.name)}", f"password: {_quote(user.password)}"]
    rights = {"publish": user.publish, "subscribe": user.subscribe}
    granted = [f"{verb}: {_allowed(patterns)}" for verb, patterns in rights.items() if patterns is not None]
    if granted:
        words.append(f"permissions: {{ {', '.join(granted)} }}")
    if user.mqtt_only:
        words.append('allowed_connection_types: ["MQTT"]')
    return f"    {{ {', '.join(words)} }}"


def _allowed(patterns: tuple[str, ...]) -> str:
    if not patterns:
        return '{ deny: [">"] }'
    return f"{{ allow: [{', '.join(map(_quote, patterns))}] }}"


def _quote(text: str) -> str:
    return json.dumps(text)  # the server's parser takes JSON's escapes; unquoted, `$` would name a variable
