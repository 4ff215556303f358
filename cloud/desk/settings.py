"""The desk's settings, and the policy that its decisions take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits of the desk's decisions. All are judgement [K]; see docs/desk.md for why they are what they are.

    replay: event time runs faster than the desk takes turns, so that a decision is dated by its evidence and not by
    the turn in which it was made.
    """

    chatter_gap: timedelta = timedelta(minutes=10)
    chatter_raises: int = 3
    over_after_reported: timedelta = timedelta(hours=1)
    over_after_predicted: timedelta = timedelta(hours=24)
    stale_after: timedelta = timedelta(hours=24)
    replay: bool = False

    def over_after(self, source: str) -> timedelta:
        """How long a fault must have been clear for its ticket, not yet confirmed, to be dismissed as over."""
        return self.over_after_reported if source == "reported" else self.over_after_predicted


class DeskSettings(BaseSettings):
    """Settings of the desk. Each can be given as an environment variable FIRSTCALL_DESK_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="FIRSTCALL_DESK_", frozen=True)

    clock: Literal["wall", "event"] = Field(
        default="wall",
        description="What 'now' is: the wall clock, or, for a replay or a simulation, the latest event time taken in.",
    )
    wake_s: float = Field(default=1.0, gt=0, description="Seconds after which the desk looks, notified or not.")
    sweep_s: float = Field(
        default=2.0, ge=0, description="Seconds between two looks at all open tickets: is a fault over, an owner gone?"
    )
    batches_at_most: int = Field(default=500, ge=1, description="Ingest batches taken in one transaction.")
    chatter_gap_minutes: float = Field(
        default=10.0, ge=0, description="A fault raised again so soon after it cleared is the same case: it chatters."
    )
    chatter_raises: int = Field(
        default=3, ge=2, description="A fault that cleared but was raised so often in its case still opens a ticket."
    )
    over_after_hours: float = Field(
        default=1.0,
        ge=0,
        description="An unconfirmed ticket is dismissed when its reported fault is clear for so long.",
    )
    over_after_predicted_hours: float = Field(
        default=24.0, ge=0, description="The same for a predicted fault whose prediction was cleared."
    )
    stale_after_hours: float = Field(
        default=24.0, gt=0, description="No ticket is opened while a device was not heard of for so long."
    )
    costs_file: Path | None = Field(
        default=None, description="Costs by family in place of those that ship (cloud/registry/costs.toml)."
    )

    @property
    def policy(self) -> Policy:
        """The limits as the decisions take them."""
        return Policy(
            chatter_gap=timedelta(minutes=self.chatter_gap_minutes),
            chatter_raises=self.chatter_raises,
            over_after_reported=timedelta(hours=self.over_after_hours),
            over_after_predicted=timedelta(hours=self.over_after_predicted_hours),
            stale_after=timedelta(hours=self.stale_after_hours),
            replay=self.clock == "event",
        )
