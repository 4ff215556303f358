"""A broker to work with: the one that a URL names, or an embedded NATS where none is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cloud.engines.errors import EngineError
from cloud.engines.nats import NatsServer
from cloud.engines.nats_config import NatsOptions
from cloud.engines.settings import EngineSettings

NATS_SCHEMES = ("nats", "tls")
MQTT_SCHEMES = ("mqtt", "mqtts")


@dataclass(frozen=True)
class OpenBroker:
    """Where the broker is. `server` is None when it is not ours to stop."""

    url: str = field(repr=False)
    """How the cloud reaches it: nats:// or tls:// (JetStream), mqtt:// or mqtts:// (any MQTT broker)."""
    mqtt_url: str | None = field(repr=False)
    """How gateways reach it, where that is known: a NATS URL from outside does not say where its MQTT listener is."""
    server: NatsServer | None

    @property
    def has_streams(self) -> bool:
        """Whether the cloud reads durable JetStream streams rather than an MQTT session."""
        return urlsplit(self.url).scheme in NATS_SCHEMES


@contextmanager
def open_broker(url: str | None, settings: EngineSettings, options: NatsOptions | None = None) -> Iterator[OpenBroker]:
    """The given broker as it is, or an embedded NATS that ends with the block.

    `options` are the embedded server's. Raises EngineError for a URL of another kind or a server that cannot start.
    """
    if url is not None:
        scheme = urlsplit(url).scheme
        if scheme not in NATS_SCHEMES + MQTT_SCHEMES:
            raise EngineError(
                f"a broker URL begins with nats://, tls://, mqtt:// or mqtts://, got {scheme or 'no scheme'!r}"
            )
        yield OpenBroker(url, url if scheme in MQTT_SCHEMES else None, None)
        return
    server = NatsServer(
        settings.home / "nats",
        client_port=settings.nats_port,
        mqtt_port=settings.mqtt_port,
        binary=settings.nats_binary,
        options=options,
    )
    with server:
        scheme = "mqtts" if server.options.tls else "mqtt"
        yield OpenBroker(server.url, f"{scheme}://{server.host}:{server.mqtt_port}", server)
