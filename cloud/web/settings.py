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

    On a loopback address nobody is asked who they are, unless accounts, a password or a token are set. On any other
    address people must sign in, or the program refuses to start.
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
    accounts: bool = Field(
        default=False,
        description="People sign in with accounts of their own and have roles (`firstcall web user add`); "
        "the shared password is not used then.",
    )
    session_secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="Key that signs the forms and links of the customers' pages, at least 32 characters. Without it "
        "one is drawn at each start, and a restart ends what customers had open.",
    )
    session_hours: float = Field(default=12.0, gt=0, le=168, description="Hours until a sign-in expires.")
    session_rotate_minutes: float = Field(
        default=15.0, gt=0, description="Minutes after which a session's cookie is replaced by a new one."
    )
    oidc_issuer: str | None = Field(
        default=None,
        description="OpenID Connect provider to sign in with, its issuer URL. People come with accounts of their own.",
    )
    oidc_client_id: str = Field(default="firstcall", min_length=1, description="Our name at the provider.")
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="Our secret at the provider; none for a public client."
    )
    oidc_name_claim: str = Field(default="preferred_username", description="Claim that holds a person's name.")
    oidc_roles_claim: str = Field(default="roles", description="Claim that holds a person's groups or roles, a list.")
    oidc_roles: dict[str, str] = Field(
        default_factory=dict,
        description='Which of the provider\'s groups is which role, as JSON, e.g. {"desk-agents": "agent"}. Empty: the '
        "claim names our roles. Who has no role is not let in.",
    )
    public_url: str | None = Field(
        default=None,
        description="Under which URL browsers reach us, e.g. https://desk.example.org; needed for OpenID Connect.",
    )
    requests_per_s: float = Field(
        default=50.0, gt=0, description="Requests a second that one person or API client may make in the long run."
    )
    requests_burst: int = Field(default=200, ge=1, description="Requests that one may make at once.")
    webhook_tries: int = Field(
        default=16,
        ge=1,
        le=50,
        description="Attempts to deliver a webhook, at growing distances, before it failed.",
    )
    webhook_first_retry_s: float = Field(
        default=5.0,
        gt=0,
        description="Seconds to the second attempt at most; each next may take twice that, to 6 h.",
    )
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
        if self.oidc_issuer is not None and self.public_url is None:
            raise ValueError("OpenID Connect needs FIRSTCALL_WEB_PUBLIC_URL: where the provider sends people back to")
        if is_loopback(self.host) or self.people_sign_in:
            return self
        missing = [n for n in ("api_token", "operator_password") if getattr(self, n) is None]
        if missing:
            names = " and ".join(f"FIRSTCALL_WEB_{n.upper()}" for n in missing)
            raise ValueError(
                f"host {self.host} can be reached from other machines, so {names} must be set, or "
                "FIRSTCALL_WEB_ACCOUNTS; or listen on 127.0.0.1 only"
            )
        return self

    @property
    def people_sign_in(self) -> bool:
        """Whether people have accounts of their own, here or at a provider."""
        return self.accounts or self.oidc_issuer is not None

    @property
    def console_open(self) -> bool:
        """Whether the console asks nobody to sign in (loopback, neither accounts nor password)."""
        return self.operator_password is None and not self.people_sign_in

    @property
    def api_open(self) -> bool:
        """Whether the API asks for nothing (loopback, no secrets)."""
        return self.console_open and self.api_token is None
