"""The settings of ingest, read once from the environment."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from protocols.identifiers import PARTITIONS

SCHEMES = ("nats", "tls", "mqtt", "mqtts")


class IngestSettings(BaseSettings):
    """Each field can be given as an environment variable FIRSTCALL_INGEST_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="FIRSTCALL_INGEST_", frozen=True)

    broker_url: SecretStr = Field(
        default=SecretStr("nats://127.0.0.1:4222"),
        description="nats://host:4222 or tls://host:4222 (JetStream), mqtt://host:1883 or mqtts://host:8883 "
        "(any MQTT broker). User and password may stand in it; it is never printed.",
    )
    broker_user: str | None = Field(default=None, description="The broker's user name, if not in the URL.")
    broker_password: SecretStr | None = Field(default=None, description="Its password, if not in the URL.")
    broker_password_file: Path | None = Field(default=None, description="A file with the password in it.")
    ca_file: Path | None = Field(default=None, description="Certificates that sign the broker's (PEM).")
    certificate_file: Path | None = Field(default=None, description="Our client certificate (PEM), if asked for.")
    key_file: Path | None = Field(default=None, description="Its key (PEM).")

    instance: str = Field(
        default_factory=lambda: socket.gethostname()[:40],
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="This process's name, stable over restarts: an MQTT session and the health row go by it.",
    )
    partitions: Annotated[frozenset[int], NoDecode] = Field(
        default=frozenset(range(PARTITIONS)),
        description="Which of the 64 partitions of the fleet to ingest: '0-31,40'. All by default.",
    )

    stream: str = Field(default="FC_UP", description="JetStream: the stream's name. It is made when missing.")
    durable: str = Field(default="ingest", description="JetStream: the durable consumer's name.")
    stream_replicas: int = Field(default=1, ge=1, le=5, description="JetStream: copies of the stream.")
    stream_max_bytes: int = Field(
        default=8 << 30, ge=1 << 20, description="JetStream: bytes that the stream may hold on disk at most."
    )
    stream_max_age_s: float = Field(
        default=7 * 86_400.0, gt=0, description="JetStream: seconds after which an uncommitted message goes."
    )
    ack_wait_s: float = Field(
        default=10.0, ge=1, description="JetStream: seconds after which an unacknowledged message comes again."
    )
    shared_group: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="MQTT 5: share the subscription with other ingestors under this name. Each then needs a stable "
        "`instance`: what waits in a dead member's session is not handed to the others.",
    )
    session_expiry_s: int = Field(
        default=7 * 86_400, ge=60, description="MQTT 5: seconds for which the broker keeps our session."
    )
    max_in_flight: int = Field(
        default=20_000, ge=100, le=65_535, description="Messages received and not yet committed, at most."
    )

    batch_messages: int = Field(default=2_000, ge=1, description="Messages a transaction at most.")
    batch_bytes: int = Field(default=8 << 20, ge=1 << 16, description="Bytes of payload a transaction at most.")
    batch_age_s: float = Field(
        default=0.02, ge=0, description="Seconds that the oldest message may wait for its batch to fill."
    )
    receipt_interval_s: float = Field(
        default=0.05, ge=0, description="Seconds for which receipts are gathered, so that a gateway gets few."
    )

    retry_first_s: float = Field(default=0.2, gt=0, description="Back-off: the first pause is at most this long.")
    retry_longest_s: float = Field(default=15.0, gt=0, description="Back-off: no pause is longer.")
    health_interval_s: float = Field(default=5.0, gt=0, description="Seconds between rows of counters.")
    command_resend_s: float = Field(
        default=20.0, gt=0, description="A command that was not answered is sent again so often, until it expires."
    )
    command_look_s: float = Field(
        default=5.0, gt=0, description="Seconds between looks for commands to send, notified or not."
    )
    upkeep_interval_s: float = Field(default=30.0, gt=0, description="Seconds between roll-ups.")
    retention_days: float | None = Field(
        default=None,
        gt=0,
        description="Frames older than this (event time) are dropped, whole weeks at a time; roll-ups stay. "
        "Unset: everything is kept.",
    )
    compress_after_days: float | None = Field(
        default=None,
        gt=0,
        description="TimescaleDB with the community licence: chunks older than this are compressed.",
    )

    @field_validator("broker_url")
    @classmethod
    def _speaks_a_known_scheme(cls, url: SecretStr) -> SecretStr:
        parts = urlsplit(url.get_secret_value())
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise ValueError(f"expected {'://host, '.join(SCHEMES)}://host; got scheme {parts.scheme!r}")
        return url

    @field_validator("partitions", mode="before")
    @classmethod
    def _read_partitions(cls, given: object) -> object:
        return parse_partitions(given) if isinstance(given, str) else given

    @field_validator("partitions")
    @classmethod
    def _within_the_fleet(cls, given: frozenset[int]) -> frozenset[int]:
        if not given or not given <= set(range(PARTITIONS)):
            raise ValueError(f"expected numbers of 0-{PARTITIONS - 1}, at least one")
        return given

    @property
    def all_partitions(self) -> bool:
        """Whether nothing has to be filtered."""
        return len(self.partitions) == PARTITIONS

    def credentials(self) -> tuple[str | None, str | None]:
        """User and password: from the fields, else from the URL."""
        parts = urlsplit(self.broker_url.get_secret_value())
        password = self.broker_password.get_secret_value() if self.broker_password else parts.password
        if self.broker_password_file:
            password = self.broker_password_file.read_text(encoding="utf-8").strip()
        return self.broker_user or parts.username, password

    def broker_address(self) -> str:
        """The broker as it may be printed: scheme, host and port."""
        parts = urlsplit(self.broker_url.get_secret_value())
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def parse_partitions(text: str) -> frozenset[int]:
    """Read '0-3,8' as {0, 1, 2, 3, 8}; raises ValueError on anything else."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        found.update(range(int(first), int(last if dash else first) + 1))
    return frozenset(found)
