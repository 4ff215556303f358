"""Settings of dispatch, read once from the environment."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from cloud.desk.dispatch.assign import Rules


class DispatchSettings(BaseSettings):
    """Settings of dispatch. Each can be given as an environment variable FIRSTCALL_DISPATCH_<NAME>.

    All numbers are judgement [K]; docs/dispatch.md says what each is for.
    """

    model_config = SettingsConfigDict(env_prefix="FIRSTCALL_DISPATCH_", frozen=True)

    window_minutes: int = Field(default=120, ge=15, le=600, description="Length of the windows offered to customers.")
    horizon_days: float = Field(default=10.0, gt=0, le=60, description="How far ahead visits are offered.")
    notice_minutes: float = Field(default=120.0, ge=0, description="Shortest time between an offer and its window.")
    hold_hours: float = Field(default=20.0, gt=0, description="How long an offered window is kept for the customer.")
    holds_at_most: int = Field(
        default=2, ge=1, description="Windows kept for a customer who does not answer; later ones are first come."
    )
    choices: int = Field(default=3, ge=1, le=12, description="Windows that a customer may choose from.")
    choices_experienced: int = Field(
        default=8, ge=1, le=24, description="The same for a high tier or repeated complaints."
    )
    chooser_share: float = Field(
        default=0.5, ge=0, lt=1, description="Share of an engineer's day that may go by customers' own choice."
    )
    overdue_days: float = Field(default=3.0, gt=0, description="After so long nobody who came later goes first.")
    overtime_windows: int = Field(
        default=1, ge=0, le=3, description="Windows after hours, where else the visit would come after the failure."
    )
    repeated_complaints: int = Field(
        default=2, ge=2, description="Tickets of one appliance in 90 days that count as that."
    )
    poll_s: float = Field(default=30.0, gt=0, description="Seconds after which dispatch looks, notified or not.")
    contact_hours: dict[str, float] = Field(
        default={"critical": 1.0, "high": 8.0, "medium": 24.0, "low": 72.0},
        description="SLA: hours from confirmation to contact, by severity, as JSON.",
    )
    visit_hours: dict[str, float] = Field(
        default={"critical": 24.0, "high": 48.0, "medium": 120.0, "low": 240.0},
        description="SLA: hours from contact to the end of the visit, by severity, as JSON.",
    )

    @property
    def rules(self) -> Rules:
        """The limits as assignment takes them."""
        return Rules(overdue_after=timedelta(days=self.overdue_days))
