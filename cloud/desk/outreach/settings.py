"""Settings of outreach, read once from the environment."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cloud.desk.outreach.ladder import CHANNELS, Cap, Channel, Rung
from cloud.desk.outreach.secrets import OutreachKey
from cloud.desk.outreach.watch import WatchRules


class NoOutreachKey(Exception):
    """There is no outreach key, or what is given is not one."""


class OutreachSettings(BaseSettings):
    """Settings of outreach. Each can be given as an environment variable FIRSTCALL_OUTREACH_<NAME>.

    Numbers of messages, patience and spans are judgement [K]; docs/outreach.md says why they are what they are.
    """

    model_config = SettingsConfigDict(env_prefix="FIRSTCALL_OUTREACH_", frozen=True)

    key: SecretStr | None = Field(
        default=None,
        description="Secret of check codes and one-tap links: 32 bytes or more in base64. Unset: no outreach.",
    )
    key_file: Path | None = Field(default=None, description="File that holds the key in base64, in place of `key`.")
    public_address: str = Field(
        default="http://127.0.0.1:8080", description="Where customers reach the product's pages; no slash at the end."
    )
    company: str = Field(default="Customer Service", min_length=1, description="Who is calling, as customers know it.")

    ladder: tuple[Channel, ...] = Field(default=CHANNELS, description="Channels in the order in which they are tried.")
    patience_hours: float = Field(
        default=20.0, gt=0, description="Hours to wait for an answer before the next channel."
    )
    urgent_patience_hours: float = Field(
        default=1.0, gt=0, description="The same where a fault is critical or dangerous."
    )
    cap_messages: int = Field(default=3, ge=1, description="Proactive messages a household at most within cap_days.")
    cap_days: float = Field(default=7.0, gt=0, description="Days over which a household's messages are counted.")
    not_now_hours: float = Field(default=72.0, gt=0, description="Hours of silence after an answer 'not now'.")
    link_days: float = Field(default=14.0, gt=0, description="Days for which a one-tap link works.")
    code_days: float = Field(default=30.0, gt=0, description="Days for which a check code is confirmed.")
    check_tries: int = Field(default=10, ge=1, description="Check codes that one client may try in check_minutes.")
    check_tries_product: int = Field(default=60, ge=1, description="The same for one product, whoever tries.")
    check_minutes: float = Field(default=15.0, gt=0, description="Span of the two limits before.")

    settle_hours: float = Field(
        default=24.0, gt=0, description="After self-help: a ticket closes when all was normal for so long."
    )
    watch_hours: float = Field(
        default=72.0, gt=0, description="After self-help: it has not helped if the fault still stands after so long."
    )
    relapse_days: float = Field(default=14.0, gt=0, description="A fault that comes back so soon is a relapse.")

    smtp_host: str = Field(default="", description="Mail server. Empty: no e-mail.")
    smtp_port: int = Field(default=465, ge=1, le=65535, description="Its port.")
    smtp_security: Literal["tls", "starttls", "plain"] = Field(
        default="tls",
        description="TLS from the start, STARTTLS (refused without it), or plain (a loopback relay only).",
    )
    smtp_ca_file: Path | None = Field(
        default=None, description="Certificates to trust for it, in place of the system's."
    )
    smtp_user: str = Field(default="", description="Name to sign in with. Empty: no sign-in.")
    smtp_password: SecretStr | None = Field(default=None, description="Password to sign in with.")
    smtp_sender: str = Field(default="", description="From address, e.g. Service <service@example.com>.")
    sms_url: SecretStr = Field(
        default=SecretStr(""), description="HTTP provider of SMS, https:// (http:// on loopback). Empty: no SMS."
    )
    sms_secret: SecretStr | None = Field(default=None, description="Secret that signs requests to it.")
    push_url: SecretStr = Field(default=SecretStr(""), description="HTTP provider of push notices. Empty: none.")
    push_secret: SecretStr | None = Field(default=None, description="Secret that signs requests to it.")
    messaging_url: SecretStr = Field(
        default=SecretStr(""), description="HTTP provider of a messaging app. Empty: none."
    )
    messaging_secret: SecretStr | None = Field(default=None, description="Secret that signs requests to it.")
    phone: bool = Field(default=True, description="Whether agents call: a task with the script for each call.")
    provider_timeout_s: float = Field(default=20.0, gt=0, description="Seconds that a provider has to take a message.")
    lease_s: float = Field(
        default=60.0,
        gt=0,
        description="Seconds after which a message being sent is held to be cut off and is sent again.",
    )
    retry_first_s: float = Field(
        default=15.0, gt=0, description="First pause after a provider failed; doubles from there."
    )
    retry_most_s: float = Field(default=1800.0, gt=0, description="Longest such pause.")
    poll_s: float = Field(default=5.0, gt=0, description="Seconds after which outreach looks, notified or not.")
    at_once: int = Field(default=8, ge=1, description="Messages being sent at the same time.")

    @model_validator(mode="after")
    def _lease_outlives_the_provider(self) -> Self:
        if self.lease_s < self.provider_timeout_s + 5:
            raise ValueError("lease_s must exceed provider_timeout_s by 5 s, else a slow message is sent twice")
        return self

    @model_validator(mode="after")
    def _providers_are_complete(self) -> Self:
        for name in ("sms", "push", "messaging"):
            if getattr(self, f"{name}_url").get_secret_value() and getattr(self, f"{name}_secret") is None:
                raise ValueError(f"{name}_secret is missing: requests to {name}_url are signed with it")
        if self.smtp_host and not self.smtp_sender:
            raise ValueError("smtp_sender is missing: the From address of e-mails")
        return self

    def load_key(self) -> OutreachKey | None:
        """The key, or None where none is given.

        Raises:
            NoOutreachKey: what is given is not base64 of 32 bytes or more. OSError: the file cannot be read.
        """
        if self.key is not None:
            text = self.key.get_secret_value()
        elif self.key_file is not None:
            text = self.key_file.read_text(encoding="ascii", errors="replace")
        else:
            return None
        try:
            return OutreachKey(base64.b64decode(text.strip(), validate=True))
        except (binascii.Error, ValueError):
            raise NoOutreachKey("FIRSTCALL_OUTREACH_KEY is not base64 of 32 bytes or more") from None

    def rungs(self, *, urgent: bool, preferred: str | None) -> tuple[Rung, ...]:
        """The ladder for a customer: the preferred channel first, then the others in their order."""
        patience = timedelta(hours=self.urgent_patience_hours if urgent else self.patience_hours)
        order = sorted(self.ladder, key=lambda channel: channel != preferred)
        return tuple(Rung(channel, patience) for channel in order)

    @property
    def cap(self) -> Cap:
        """The household's cap."""
        return Cap(self.cap_messages, timedelta(days=self.cap_days))

    def cap_of(self, purpose: str) -> Cap:
        """The cap for a purpose. A storm's notice counts like any other, and leaves the last message of a span to a
        fault of the household's own: what asks for nothing must not keep away what asks for something.
        """
        return Cap(max(1, self.cap_messages - 1), self.cap.within) if purpose == "storm" else self.cap

    @property
    def watch_rules(self) -> WatchRules:
        """The limits of a watch after self-help."""
        return WatchRules(
            settle=timedelta(hours=self.settle_hours),
            patience=timedelta(hours=self.watch_hours),
            relapse=timedelta(days=self.relapse_days),
        )
