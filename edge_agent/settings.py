"""Everything that can be set, once, in one frozen object. Read from gateway.toml by `edge_agent.configuration`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from protocols.identifiers import identifier

MQTT_PORT = 1883
MQTTS_PORT = 8883

Id = Annotated[str, AfterValidator(identifier)]
Seconds = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)]
Deadband = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _broker_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{error}; expected mqtt://host:port or mqtts://host:port") from None
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or port == 0:
        raise ValueError("expected mqtt://host:port, or mqtts://host:port for TLS")
    if parts.username or parts.password:
        raise ValueError("no user or password in the URL: use username and password_file")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("nothing may follow the port: expected mqtt://host:port")
    return text


class Section(BaseModel):
    """A table of gateway.toml: immutable, and an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BrokerSettings(Section):
    """The MQTT broker, and who we are to it."""

    url: Annotated[str, AfterValidator(_broker_url)] = Field(
        "mqtt://127.0.0.1:1883", description="mqtt://host:port, or mqtts://host:port for TLS"
    )
    protocol: Literal["3.1.1", "5"] = Field("3.1.1", description="MQTT version; NATS speaks 3.1.1")
    client_id: Id | None = Field(None, description="MQTT client id; the gateway's id when not given")
    username: str | None = Field(None, description="MQTT user name")
    password: SecretStr | None = Field(None, description="better in password_file or FIRSTCALL_EDGE_PASSWORD")
    password_file: Path | None = Field(None, description="a file whose first line is the password")
    ca_file: Path | None = Field(None, description="PEM of the authorities to trust; the system's when not given")
    certificate_file: Path | None = Field(None, description="PEM of the client certificate")
    key_file: Path | None = Field(None, description="PEM of the client certificate's key")
    keepalive_s: int = Field(30, ge=5, le=3600, description="seconds between pings on a quiet connection")
    connect_timeout_s: float = Field(10, gt=0, le=300, description="longest wait for the broker's answer")
    qos: Literal[0, 1] = Field(1, description="of what goes up; receipts make 0 safe too, at a later repeat")
    session: Literal["persistent", "clean"] = Field(
        "persistent", description="persistent: the broker keeps commands while the gateway is away"
    )
    session_expiry_s: int = Field(604_800, ge=0, le=0xFFFFFFFE, description="MQTT 5: how long the session is kept")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together: give both or neither")
        if not self.tls and (self.ca_file or self.certificate_file):
            raise ValueError("ca_file and certificate_file need TLS: write url as mqtts://host:port")
        if self.password is not None and self.password_file is not None:
            raise ValueError("give password or password_file, not both")
        return self

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.url.startswith("mqtts:")

    @property
    def host(self) -> str:
        """The broker's host name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The broker's TCP port."""
        return urlsplit(self.url).port or (MQTTS_PORT if self.tls else MQTT_PORT)


class UplinkSettings(Section):
    """How much is under way at once, and when it is tried again."""

    window_messages: int = Field(128, ge=4, le=10_000, description="published, and not yet receipted")
    window_bytes: int = Field(262_144, ge=4_096, le=67_108_864, description="the same in bytes")
    receipt_timeout_s: float = Field(20, ge=0.05, le=3600, description="without a receipt by then: publish again")
    receipt_timeout_max_s: float = Field(300, ge=0.05, le=86_400, description="the timeout doubles up to this")
    reconnect_s: float = Field(1, gt=0, le=3600, description="first ceiling of the random wait to reconnect")
    reconnect_max_s: float = Field(60, gt=0, le=86_400, description="the ceiling doubles up to this")
    heartbeat_s: float = Field(60, gt=0, le=86_400, description="seconds between heartbeats")


class SpoolSettings(Section):
    """Where messages wait for their receipt, and for how long at most."""

    path: str = Field("spool.db", min_length=1, description="SQLite file; :memory: keeps nothing over a restart")
    bound_bytes: int = Field(268_435_456, ge=65_536, description="when full, the oldest telemetry is dropped")
    max_age_h: float = Field(720, gt=0, le=87_600, description="older telemetry is dropped")
    synchronous: Literal["full", "normal"] = Field(
        "full", description="full: survives a power cut; normal: a power cut may take the last seconds"
    )


class SamplingSettings(Section):
    """How a device is sampled and its rows are gathered into frames."""

    period_ms: int | None = Field(None, ge=10, le=86_400_000, description="ms; the driver's own when not given")
    deadbands: dict[str, Deadband] = Field({}, description="channel -> smallest change worth sending")
    max_interval_s: Seconds = Field(300, description="a channel with a deadband is sent at least this often")
    frame_samples: int = Field(240, ge=1, le=16_384, description="a frame holds at most so many samples")
    frame_seconds: float = Field(12, gt=0, le=86_400, description="and covers at most so many seconds")


class FaultSettings(Section):
    """When a fault code counts, and what is recorded around it."""

    on_delay_s: dict[str, Seconds] = Field({}, description='code -> seconds it must be shown; "*" for all others')
    off_delay_s: dict[str, Seconds] = Field({}, description='code -> seconds it must be absent; "*" for all others')
    freeze_before_s: Seconds = Field(60, description="seconds of full rate before a raised fault")
    freeze_after_s: Seconds = Field(15, description="and after it")


class DeviceSettings(Section):
    """One device behind the gateway."""

    id: Id = Field(description="the device's id, unique in the fleet")
    driver: str = Field(min_length=1, description="a driver's name, e.g. recorded")
    options: dict[str, Any] = Field({}, description="what the driver wants to know")
    sampling: SamplingSettings = Field(default_factory=SamplingSettings)
    faults: FaultSettings = Field(default_factory=FaultSettings)


class EdgeSettings(Section):
    """The whole of gateway.toml."""

    gateway: Id = Field(description="the gateway's id, unique in the fleet")
    broker: BrokerSettings = Field(default_factory=BrokerSettings)
    uplink: UplinkSettings = Field(default_factory=UplinkSettings)
    spool: SpoolSettings = Field(default_factory=SpoolSettings)
    devices: tuple[DeviceSettings, ...] = Field((), max_length=1000, description="the devices, as [[devices]]")

    @model_validator(mode="after")
    def _devices_differ(self) -> Self:
        ids = [device.id for device in self.devices]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"devices: {', '.join(twice)} is listed more than once; each id may stand once")
        return self
