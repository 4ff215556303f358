"""What the web program is told from outside, read once."""

from __future__ import annotations

import ipaddress
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def is_loopback(host: str) -> bool:
    """Whether an address to bind to can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class WebSettings(BaseSettings):
    """Settings of the API and the console. Each can be given as an environment variable FIRSTCALL_WEB_<NAME>.

    On a loopback address neither token nor password is asked for unless set. On any other address both must be
    set, or the program refuses to start.
    """

    model_config = SettingsConfigDict(env_prefix="FIRSTCALL_WEB_", frozen=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on. Beyond loopback, secrets are required.")
    port: int = Field(default=8080, ge=0, le=65535, description="TCP port to listen on; 0 takes any free one.")
    api_token: SecretStr | None = Field(
        default=None, min_length=16, description="Bearer token for the API and /metrics, at least 16 characters."
    )
    operator_password: SecretStr | None = Field(
        default=None, min_length=10, description="Password for the console's sign-in, at least 10 characters."
    )
    operator: str = Field(
        default="operator",
        min_length=1,
        max_length=64,
        description="Name written on steps taken in a console without sign-in (loopback, no password).",
    )
    session_secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="Key that signs sessions, at least 32 characters. Without it one is drawn at each start, "
        "and a restart signs everybody out.",
    )
    session_hours: float = Field(default=12.0, gt=0, le=168, description="Hours until a sign-in expires.")
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description='Host names, as a JSON list, under which browsers reach the console, e.g. ["desk.example.org"]. '
        "Beyond loopback an empty list allows any.",
    )
    refresh_s: float = Field(
        default=0.2, gt=0, le=5, description="Shortest time in seconds between two refreshes of the live lists."
    )
    recheck_s: float = Field(
        default=5.0, gt=0, le=300, description="Seconds after which live lists are read again without a notice."
    )
    lag_limit_s: float = Field(
        default=120.0,
        gt=0,
        description="Seconds since the last committed batch after which ingest counts as silent on the console.",
    )

    @model_validator(mode="after")
    def _guarded_beyond_loopback(self) -> Self:
        if is_loopback(self.host):
            return self
        missing = [n for n in ("api_token", "operator_password") if getattr(self, n) is None]
        if missing:
            names = " and ".join(f"FIRSTCALL_WEB_{n.upper()}" for n in missing)
            raise ValueError(
                f"host {self.host} can be reached from other machines, so {names} must be set; "
                "or listen on 127.0.0.1 only"
            )
        return self
