"""An aiomqtt client as the settings want it: protocol, session, TLS, credentials, will."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agent.settings import BrokerSettings, EdgeSettings
from protocols.messages import Death
from protocols.topics import Kind, Topic

DISCONNECT_S = 1.0
POLL_S = 0.02


@contextlib.asynccontextmanager
async def open_client(settings: EdgeSettings, will: Death) -> AsyncIterator[aiomqtt.Client]:
    """A connected client; a new one each time, since what is under way is the spool's to know, not the client's.

    Raises:
        aiomqtt.MqttError, OSError: no connection; the broker's reason is in the text.
    """
    client = aiomqtt.Client(**client_options(settings, will))
    client.pending_calls_threshold = settings.uplink.window_messages * 2
    try:
        await _connect(client)
        try:
            yield client
        finally:
            with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
                async with asyncio.timeout(DISCONNECT_S):
                    await client.__aexit__(None, None, None)
    finally:
        _let_go(client)


async def _connect(client: aiomqtt.Client) -> None:
    """Connect; when cancelled, wait for the thread in which paho opens its socket, which nothing can stop."""
    connecting = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(connecting)
    except asyncio.CancelledError:
        while client._client.socket() is None and not connecting.done():  # noqa: ASYNC110 - a thread tells nobody
            await asyncio.sleep(POLL_S)
        connecting.cancel()
        with contextlib.suppress(asyncio.CancelledError, aiomqtt.MqttError):
            await connecting
        raise


def client_options(settings: EdgeSettings, will: Death) -> dict[str, Any]:
    """The arguments of aiomqtt.Client."""
    broker = settings.broker
    five = broker.protocol == "5"
    options: dict[str, Any] = {
        "hostname": broker.host,
        "port": broker.port,
        "identifier": broker.client_id or settings.gateway,
        "username": broker.username,
        "password": read_password(broker),
        "protocol": aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
        "keepalive": broker.keepalive_s,
        "timeout": broker.connect_timeout_s,
        "max_inflight_messages": settings.uplink.window_messages,
        "will": aiomqtt.Will(Topic(settings.gateway, Kind.DEATH).build(), will.encode(), qos=broker.qos),
        "tls_context": tls_context(broker) if broker.tls else None,
    }
    clean = broker.session == "clean"
    if five:
        options["clean_start"] = clean
        options["properties"] = _expiry(0 if clean else broker.session_expiry_s)
    else:
        options["clean_session"] = clean
    return options


def read_password(broker: BrokerSettings) -> str | None:
    """The password, from the settings or from the first line of its file."""
    if broker.password is not None:
        return broker.password.get_secret_value()
    if broker.password_file is not None:
        lines = broker.password_file.read_text().splitlines()
        return lines[0] if lines else ""
    return None


def tls_context(broker: BrokerSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer, the server's name and certificate verified; with our own certificate if one is set."""
    context = ssl.create_default_context(cafile=str(broker.ca_file) if broker.ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if broker.certificate_file and broker.key_file:
        context.load_cert_chain(Path(broker.certificate_file), Path(broker.key_file))
    return context


def _expiry(seconds: int) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = seconds
    return properties


def _let_go(client: aiomqtt.Client) -> None:
    """Close what a failed connection may have left open: aiomqtt keeps the socket of a broker that never answered."""
    with contextlib.suppress(Exception):
        client._client._sock_close()
