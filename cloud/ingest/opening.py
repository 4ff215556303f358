"""The subscriber that a broker URL asks for."""

from __future__ import annotations

from cloud.ingest.jetstream import JetStreamSubscriber
from cloud.ingest.mqtt import MqttSubscriber
from cloud.ingest.ports import Subscriber
from cloud.ingest.settings import IngestSettings


def open_subscriber(settings: IngestSettings) -> Subscriber:
    """JetStream for nats:// and tls://, MQTT for mqtt:// and mqtts://; not yet connected."""
    if settings.broker_address().startswith(("nats://", "tls://")):
        return JetStreamSubscriber(settings)
    return MqttSubscriber(settings)
