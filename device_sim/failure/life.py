"""The life of one device: its faults, their codes, who noticed, and the repairs, planned before it runs.

A plan needs no physics: when a fault grows, when it fails and what is said of it follow from the failure
mode and the household. The physics then reads the severities. Nothing here knows of detectors or tickets.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass

from device_sim.failure.hazard import next_failure
from device_sim.failure.modes import CodeReport, Episode, FailureMode
from device_sim.people.household import Household
from device_sim.physics.weather import DAY

SPURIOUS_CODES_A_YEAR = 0.35
"""Codes without a failure behind them, a device-year [K]."""

_LONGEST_GROWTH_S = 400.0 * DAY


@dataclass(frozen=True, slots=True)
class Span:
    """Event time from `start` to `end`, s."""

    start: float
    end: float

    def __contains__(self, at: float) -> bool:
        return self.start <= at < self.end


@dataclass(frozen=True, slots=True)
class Life:
    """Everything that will happen to a device within the simulated span."""

    episodes: tuple[Episode, ...]
    spurious: tuple[CodeReport, ...]

    def active_codes(self, at: float) -> frozenset[str]:
        """The fault codes that the appliance shows at event time `at`."""
        return frozenset(report.code for report in self.reports() if report.raised_at <= at < report.cleared_at)

    def reports(self) -> list[CodeReport]:
        """Every code that is shown, real and spurious, in order of time."""
        of_faults = (report for episode in self.episodes for report in episode.codes)
        return sorted((*of_faults, *self.spurious), key=lambda report: (report.raised_at, report.code))


def plan_life(
    rng: random.Random,
    modes: Iterable[FailureMode],
    *,
    annual_rate: float,
    born_at: float,
    span: Span,
    household: Household,
    codes: dict[str, str],
) -> Life:
    """Draw the life of one device.

    annual_rate: failures a device-year of its family in middle life. born_at: when it was first used (event
    time, s). codes: the model's fault code by kind of fault, where it differs from the family's.
    """
    episodes: list[Episode] = []
    modes = tuple(modes)
    for mode in modes:
        after, fitted = span.start, born_at
        while True:
            failure = next_failure(
                rng, mode, annual_rate * mode.share, born_at=born_at, after=after, before=span.end + _horizon(mode)
            )
            if failure is None:
                break
            growth = drawn_growth(rng, mode)
            onset = max(failure - growth, fitted)  # a part begins to fail after it was fitted
            code = codes.get(mode.kind, mode.code)
            episode = plan_episode(rng, mode, onset, onset + growth, span=span, household=household, code=code)
            if onset < span.end:
                episodes.append(episode)
            if episode.ended_at is None:
                break
            after = fitted = episode.ended_at
    episodes.sort(key=lambda episode: (episode.onset, episode.mode.kind))
    spoken = [code for mode in modes if mode.code_probability > 0 and (code := codes.get(mode.kind, mode.code))]
    return Life(tuple(episodes), _spurious(rng, spoken, span))


def drawn_growth(rng: random.Random, mode: FailureMode) -> float:
    """Seconds from onset to failure: log-normal about the mode's median, 0 for an abrupt mode."""
    if mode.growth_days <= 0.0:
        return 0.0
    return min(mode.growth_days * DAY * rng.lognormvariate(0.0, mode.growth_spread), _LONGEST_GROWTH_S)


def plan_episode(
    rng: random.Random,
    mode: FailureMode,
    onset: float,
    failure: float,
    *,
    span: Span,
    household: Household,
    code: str,
) -> Episode:
    """Draw what follows from one onset: codes, noticing, the repair; None for what lies after the span."""
    growth = failure - onset
    observable = onset + growth * mode.observable_at ** (1.0 / mode.shape)
    cure = rng.random()
    if cure < mode.self_cured:
        cleaned = onset + growth * rng.uniform(0.4, 0.95)
        return Episode(mode, onset, observable, None, None, _within(cleaned, span), growth, ())
    delay = mode.notice_hours * household.attentive * rng.lognormvariate(0.0, mode.notice_spread) * 3600.0
    noticed = household.next_home(failure + delay)
    repaired = noticed + (1.0 + rng.lognormvariate(0.5, 0.6)) * DAY
    reports = _code_reports(rng, mode, code, onset=onset, failure=failure, repaired=repaired)
    return Episode(
        mode=mode,
        onset=onset,
        first_observable=observable,
        failed_at=_within(failure, span),
        noticed_at=_within(noticed, span),
        ended_at=_within(repaired, span),
        growth_s=growth,
        codes=tuple(report for report in reports if report.raised_at < span.end),
    )


def _code_reports(
    rng: random.Random, mode: FailureMode, code: str, *, onset: float, failure: float, repaired: float
) -> list[CodeReport]:
    """Passing reports that grow more frequent, then one that stays until the repair; sometimes none at all."""
    if rng.random() >= mode.code_probability or not code:
        return []
    growth = failure - onset
    stays = onset + growth * mode.code_at ** (1.0 / mode.shape) + rng.expovariate(1.0 / 7200.0)
    reports = []
    at = onset
    while mode.early_codes > 0.0 and growth > 0.0:
        at += rng.expovariate(mode.early_codes) * DAY
        if at >= stays:
            break
        if rng.random() < mode.severity((at - onset) / growth) ** 2:
            reports.append(CodeReport(code, at, at + rng.uniform(300.0, 5400.0)))
    reports = [report for report in reports if report.cleared_at < stays]
    if stays < repaired:
        reports.append(CodeReport(code, stays, repaired))
    return reports


def _spurious(rng: random.Random, codes: list[str], span: Span) -> tuple[CodeReport, ...]:
    reports = []
    at = span.start
    while codes:
        at += rng.expovariate(SPURIOUS_CODES_A_YEAR) * 365.2425 * DAY
        if at >= span.end:
            break
        reports.append(CodeReport(rng.choice(codes), at, at + rng.uniform(60.0, 3600.0)))
    return tuple(reports)


def _horizon(mode: FailureMode) -> float:
    """How far beyond the span a failure may lie whose onset is still within it."""
    return min(mode.growth_days * math.exp(3.0 * mode.growth_spread) * DAY, _LONGEST_GROWTH_S)


def _within(at: float, span: Span) -> float | None:
    return at if at < span.end else None
