"""A failure mode as numbers: how often, how fast, what the appliance says, and who notices when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class FailureMode:
    """One way to fail, or (sensor) to misreport. All figures are [K] unless a family says otherwise.

    kind: its name in the ground truth. part: what a technician replaces. code: the appliance's own fault code.
    share: its part of the family's failures. growth_days: median time from onset to failure; 0 is abrupt.
    growth_spread: sigma of the log-normal about that median. shape: severity = progress ** shape.
    observable_at: severity from which the effect stands out of the noise. code_at: severity from which the
    code may come (1 = only when it has failed). code_probability: that the code is ever reported.
    early_codes: passing reports a day, at full severity, before the failure. notice_hours: median hours from
    failure until somebody at home notices. notice_spread: sigma of the log-normal. season: when it happens.
    wear: which end of the bathtub. sensor: the channel that misreports, if this is a sensor fault.
    self_cured: probability that the user removes the cause before it fails (cleans a filter).
    """

    kind: str
    part: str
    code: str
    share: float
    growth_days: float
    growth_spread: float = 0.4
    shape: float = 1.0
    observable_at: float = 0.15
    code_at: float = 1.0
    code_probability: float = 0.8
    early_codes: float = 0.0
    notice_hours: float = 12.0
    notice_spread: float = 0.9
    season: Literal["all", "summer", "winter"] = "all"
    wear: Literal["both", "infant", "wear-out", "random"] = "both"
    sensor: str = ""
    self_cured: float = 0.0

    def severity(self, progress: float) -> float:
        """Severity 0..1 at `progress` 0..1 of the way from onset to failure."""
        return float(min(max(progress, 0.0), 1.0) ** self.shape)


@dataclass(frozen=True, slots=True)
class CodeReport:
    """A fault code that an appliance showed from `raised_at` to `cleared_at` (event time, s)."""

    code: str
    raised_at: float
    cleared_at: float


@dataclass(frozen=True, slots=True)
class Episode:
    """One fault of one device, from onset to repair. Times are event time in s; None: it did not happen.

    failed_at: severity 1. noticed_at: a person notices and calls. ended_at: repaired, or cured by its user.
    codes: what the appliance reported of it, in order. `mode` says what it was.
    """

    mode: FailureMode
    onset: float
    first_observable: float
    failed_at: float | None
    noticed_at: float | None
    ended_at: float | None
    growth_s: float
    codes: tuple[CodeReport, ...]

    def severity_at(self, at: float) -> float:
        """Severity 0..1 at event time `at`; zero before the onset and after the repair."""
        if at < self.onset or (self.ended_at is not None and at >= self.ended_at):
            return 0.0
        if self.growth_s <= 0.0:
            return 1.0
        return self.mode.severity((at - self.onset) / self.growth_s)
