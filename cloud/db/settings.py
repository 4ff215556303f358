"""How the cloud programs reach the database, read once from the environment."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class DatabaseSettings(BaseSettings):
    """Settings of the database connection. Each can be given as an environment variable FIRSTCALL_DB_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="FIRSTCALL_DB_", frozen=True)

    url: SecretStr = Field(
        description="PostgreSQL connection string, e.g. postgresql://user:password@host:5432/firstcall"
    )
    pool_min: int = Field(default=1, ge=1, description="Connections kept open.")
    pool_max: int = Field(default=4, ge=1, description="Connections at most.")
    connect_timeout_s: float = Field(default=10.0, gt=0, description="Seconds to wait for a connection.")
