"""The settings of triage, storms, lots and the queue: one object, read once when the desk starts."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cloud.desk.settings import Policy
from cloud.desk.triage.verdict import Limits


class TriageSettings(BaseSettings):
    """Settings of triage. Each can be given as an environment variable FIRSTCALL_TRIAGE_<NAME>. Defaults are [K]."""

    model_config = SettingsConfigDict(env_prefix="FIRSTCALL_TRIAGE_", frozen=True)

    acts: bool = Field(
        default=True,
        description="Verdicts confirm and dismiss tickets by themselves. False: they only advise, a person decides.",
    )
    cases_at_most: int = Field(default=100, ge=1, description="Cases judged in one turn of the desk.")
    around_minutes: float = Field(
        default=15.0, gt=0, description="Readings from so long before a fault until so long after it are its evidence."
    )
    late_minutes: float = Field(
        default=10.0, ge=0, description="Readings of that window may come so much later before they count as missing."
    )
    predicted_confirms: float = Field(
        default=0.9, gt=0, le=1, description="A prediction of at least this probability needs no person."
    )
    self_test_minutes: float = Field(
        default=30.0, gt=0, description="A self-test that a device was asked for expires after so long."
    )
    peers_days: float = Field(default=30.0, gt=0, description="Days for which same model and lot are looked at.")

    storm_window_minutes: float = Field(default=30.0, gt=0, description="Reports within so long may be one storm.")
    storm_least: int = Field(default=5, ge=2, description="Fewer devices are no storm, whatever the odds.")
    storm_usual_per_year: float = Field(
        default=2.0, gt=0, description="Reports of one cause that a device makes in a usual year, at most."
    )
    storm_odds: float = Field(
        default=1e-6, gt=1e-12, lt=1, description="A storm is a count that chance reaches less often than this."
    )
    storm_over_hours: float = Field(
        default=6.0,
        gt=0,
        description="A storm is over when no device joined for so long; what still stands then gets its ticket.",
    )

    quality_hours: float = Field(default=6.0, gt=0, description="Hours between two comparisons of all fault rates.")
    quality_days: float = Field(default=90.0, gt=0, description="Days whose faults are compared.")
    quality_false_share: float = Field(
        default=0.05, gt=0, lt=1, description="Of the quality findings, so many may be false (Benjamini-Hochberg)."
    )
    quality_least: int = Field(default=3, ge=1, description="Fewer devices affected are no quality finding.")

    calls_a_day: int = Field(default=100, ge=0, description="Calls that the agents can make in a day.")
    visits_a_day: int = Field(default=30, ge=0, description="Visits that can be promised in a day.")
    queue_s: float = Field(default=15.0, ge=0, description="Seconds between two orderings of the queue.")
    time_zone: str = Field(default="UTC", description="Whose midnight begins the day of calls and visits.")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        ZoneInfo(name)
        return name

    def limits(self, policy: Policy) -> Limits:
        """The limits as verdicts take them."""
        return Limits(policy.chatter_gap, policy.stale_after, self.predicted_confirms)

    @property
    def around(self) -> timedelta:
        """Half of the window of evidence."""
        return timedelta(minutes=self.around_minutes)

    @property
    def late(self) -> timedelta:
        """How late readings may come."""
        return timedelta(minutes=self.late_minutes)

    @property
    def storm_window(self) -> timedelta:
        """The width of a storm's window."""
        return timedelta(minutes=self.storm_window_minutes)
