"""The detector's settings: one default configuration for every family of appliance."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EngineSettings(BaseModel):
    """Read once, frozen.  Nothing here was fitted to one family; lengths are in samples where a rule
    must hold for a reading a second and a reading a day alike, in seconds where it is about people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizon_s: float = Field(3 * 86400.0, gt=0, description="a stated probability is for a fault within this time")
    lead_s: float = Field(6 * 3600.0, ge=0, description="what begins later than this before a failure is no warning")
    code_window_s: float = Field(86400.0, gt=0, description="how long a fault code counts as recent")
    spans: tuple[int, ...] = Field((1, 4, 16, 64), description="time scales of the smoothed channels, in samples")
    gate: float = Field(1.0, gt=0, description="surprise above which a sample is not learnt as normal")
    young_samples: int = Field(40, ge=4, description="effectively independent samples until a device has a baseline")
    memory_samples: int = Field(1000, ge=10, description="a device's baseline forgets over so many samples")
    drift_sigmas: float = Field(4.0, gt=0, description="a smoothed channel this far off is said to have drifted")
    ticket_probability: float = Field(
        0.5, gt=0, lt=1, description="a ticket is due from this probability on where the costs of a family do not say"
    )
    refractory_s: float = Field(86400.0, ge=0, description="at most one new ticket a device within this time")
    repair_quiet_s: float = Field(86400.0, ge=0, description="after a failure or repair no ticket for this long")
    confirmed_quiet_s: float = Field(
        86400.0, ge=0, description="after a visit has confirmed a fault no ticket for this long: it is being repaired"
    )
    false_call_budget: float | None = Field(
        None, gt=0, description="false calls a device-month that may not be exceeded; None: costs alone decide"
    )
    random_check_share: float = Field(0.0, ge=0, le=0.1, description="share of device-days checked at random")
