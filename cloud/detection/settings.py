"""The detector's settings: one default configuration for every family of appliance."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EngineSettings(BaseModel):
    """Read once, frozen.  Nothing here was fitted to one family; lengths are in samples where a rule
    must hold for a reading a second and a reading a day alike, in seconds where it is about people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizon_s: float = Field(3 * 86400.0, gt=0, description="a stated probability is for a fault within this time")
    warmup_samples: int = Field(60, ge=2, description="samples of a device before it is judgeable by itself")
    memory_samples: int = Field(1000, ge=10, description="a device's baseline forgets over so many samples")
    spans: tuple[int, ...] = Field((1, 4, 16, 64), description="time scales of the smoothed channels, in samples")
    ticket_probability: float = Field(0.5, gt=0, lt=1, description="a ticket is worth its cost above this")
    refractory_s: float = Field(86400.0, ge=0, description="at most one new ticket a device within this time")
