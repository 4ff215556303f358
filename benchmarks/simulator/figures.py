"""What calls were worth: figures with intervals, and what lies beyond the end of the span.

Intervals are percentile bootstraps over devices.  Two figures are right-censored and estimated as such: whether a
fault is called before it is noticed (cumulative incidence under competing risks, Aalen and Johansen 1978), and the
lead between the two (Kaplan and Meier 1958).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulator.course import TICK_S
from device_sim.failure.life import Span
from device_sim.fleet.population import Appliance
from device_sim.people.money import FAMILY_COSTS, Balance, Call, accounts, balance, times_by_device

Floats = NDArray[np.float64]
YEAR_S = 365.2425 * 86400.0
CALLED, NOTICED, CENSORED = 1, 2, 0


@dataclass(frozen=True)
class Faults:
    """Machine faults, one a row: device (index), kind, seconds from the onset to what came first, and what it was
    (``CALLED``, ``NOTICED`` or ``CENSORED`` by the span's end); lead in seconds of those called, and whether it was
    ended by their being noticed. Faults cured by their user are left out: nobody ever notices them."""

    device: NDArray[np.int64]
    kind: tuple[str, ...]
    wait: Floats
    first: NDArray[np.int64]
    lead: Floats
    lead_known: NDArray[np.bool_]


def faults_of(appliances: Sequence[Appliance], calls: Sequence[Call], span: Span) -> Faults:
    """Every machine fault with an onset before the span's end, and what the calls made of it."""
    by_device = times_by_device(calls)
    rows: list[tuple[int, str, float, int, float, bool]] = []
    for number, appliance in enumerate(appliances):
        for episode in appliance.life.episodes:
            cured = episode.failed_at is None and episode.ended_at is not None
            if episode.mode.sensor or cured or episode.onset >= span.end:
                continue
            begun = max(episode.onset, span.start)
            noticed = episode.noticed_at if episode.noticed_at is not None else np.inf
            ended = episode.ended_at if episode.ended_at is not None else np.inf
            mine = [at for at in by_device.get(number, ()) if episode.onset <= at <= ended]
            called = min(mine, default=np.inf)
            end = min(called, noticed, span.end)
            first = CALLED if called == end else NOTICED if noticed == end else CENSORED
            lead = min(noticed, span.end) - called if first == CALLED else np.nan
            kind = f"{appliance.model.family}/{episode.mode.kind}"
            rows.append((number, kind, end - begun, first, lead, bool(np.isfinite(noticed))))
    device, kinds, wait, firsts, leads, known = zip(*rows, strict=True) if rows else ((),) * 6
    return Faults(
        np.array(device, np.int64),
        tuple(kinds),
        np.array(wait, np.float64),
        np.array(firsts, np.int64),
        np.array(leads, np.float64),
        np.array(known, np.bool_),
    )


def incidence(wait: Floats, first: NDArray[np.int64], weight: Floats) -> float:
    """Cumulative incidence of ``CALLED`` against ``NOTICED`` under right-censoring, at the longest wait seen."""
    order = np.lexsort((first == CENSORED, wait))
    weight, first = weight[order], first[order]
    at_risk = np.cumsum(weight[::-1])[::-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(at_risk > 0, weight / at_risk, 0.0)
    surviving = np.cumprod(1.0 - np.where(first == CENSORED, 0.0, share))
    before = np.concatenate([[1.0], surviving[:-1]])
    return float((before * share * (first == CALLED)).sum()) if len(wait) else float("nan")


def median_lead(lead: Floats, known: NDArray[np.bool_], weight: Floats) -> float:
    """Kaplan-Meier median of the lead, s; ``known`` = the fault was noticed within the span. NaN if not reached."""
    order = np.lexsort((~known, lead))
    lead, known, weight = lead[order], known[order], weight[order]
    at_risk = np.cumsum(weight[::-1])[::-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(known & (at_risk > 0), weight / at_risk, 0.0)
    surviving = np.cumprod(1.0 - share)
    below = np.flatnonzero(surviving <= 0.5 + 1e-12)
    return float(lead[below[0]]) if len(below) else float("nan")


def within(appliances: Sequence[Appliance], calls: Sequence[Call], window: Span) -> tuple[list[Appliance], list[Call]]:
    """The part of a longer course that lies in ``window``: faults that failed before it are no failures of it, and
    calls before it count only for a fault that is still there when it begins."""
    kept: list[Appliance] = []
    standing: dict[int, list[tuple[float, float]]] = {}
    for number, appliance in enumerate(appliances):
        episodes = []
        for episode in appliance.life.episodes:
            failed, noticed, ended = (
                at if at is None or at < window.end else None
                for at in (episode.failed_at, episode.noticed_at, episode.ended_at)
            )
            if failed is not None and failed < window.start:
                failed = None
            elif ended is None or ended >= window.start:
                standing.setdefault(number, []).append((episode.onset, window.start))
            if episode.onset < window.end:
                episodes.append(replace(episode, failed_at=failed, noticed_at=noticed, ended_at=ended))
        kept.append(replace(appliance, life=replace(appliance.life, episodes=tuple(episodes))))
    return kept, [
        call for call in calls if call.at in window or any(a <= call.at < b for a, b in standing.get(call.device, ()))
    ]


def worth(appliances: Sequence[Appliance], calls: Sequence[Call], years: float) -> list[Balance]:
    """The simulator's balance, device by device."""
    by_device = times_by_device(calls)
    return [
        balance((appliance,), [Call(0, at) for at in by_device.get(n, ())], years)
        for n, appliance in enumerate(appliances)
    ]


def figures(
    appliances: Sequence[Appliance],
    calls: Sequence[Call],
    span: Span,
    *,
    seed: int,
    draws: int = 400,
    checks: Sequence[Call] = (),
) -> dict[str, Any]:
    """All figures of a list of calls; each is [value, low, high] with a 95 % interval."""
    years = (span.end - span.start) / YEAR_S
    balances = worth(appliances, calls, years)
    check_cost = np.zeros(len(appliances))
    for check in checks:
        check_cost[check.device] += FAMILY_COSTS[appliances[check.device].model.family].false_call
    table = np.array(
        [[b.failures, b.called_before_noticed, b.false_calls, b.appliance_years, b.saved, b.oracle] for b in balances]
    )
    table = np.column_stack([table, check_cost])
    faults = faults_of(appliances, calls, span)
    led = faults.first == CALLED
    statistics: dict[str, Callable[[Floats, Floats], float]] = {
        "called_before_noticed": lambda s, w: _ratio(s[1], s[0]),
        "called_before_noticed_censored": lambda s, w: incidence(faults.wait, faults.first, w[faults.device]),
        "median_lead_h": lambda s, w: (
            median_lead(faults.lead[led], faults.lead_known[led], w[faults.device[led]]) / 3600.0
        ),
        "false_calls_per_1000_years": lambda s, w: 1000.0 * _ratio(s[2], s[3]),
        "regret": lambda s, w: 1.0 - _ratio(s[4], s[5]),
        "regret_with_checks": lambda s, w: 1.0 - _ratio(s[4] - s[6], s[5]),
    }
    rng = np.random.default_rng(seed)
    n = len(appliances)
    weights = [np.ones(n)] + [np.bincount(rng.integers(0, n, n), minlength=n).astype(float) for _ in range(draws)]
    found: dict[str, Any] = {}
    for name, statistic in statistics.items():
        values = [statistic(w @ table, w) for w in weights]
        kept = [v for v in values[1:] if np.isfinite(v)]
        low, high = np.percentile(kept, [2.5, 97.5]) if kept else (float("nan"), float("nan"))
        found[name] = [round(float(v), 4) for v in (values[0], low, high)]
    total = table.sum(axis=0)
    return found | {
        "failures": int(total[0]),
        "called": int(total[1]),
        "calls": len(calls),
        "false_calls": int(total[2]),
        "saved_usd": round(float(total[4])),
        "oracle_usd": round(float(total[5])),
        "faults_censored": int((faults.first == CENSORED).sum()),
    }


def losses(appliances: Sequence[Appliance], calls: Sequence[Call]) -> dict[str, list[float]]:
    """What the regret is made of: by cause, the number of faults (or calls), and the share of the oracle's savings.

    An abrupt fault whose code came less than ``TICK_S`` before somebody noticed it, or not at all, could be called by
    nobody; the oracle, which needs no code, calls it all the same.
    """
    lost: dict[str, list[float]] = {}
    oracle = 0.0
    for account in accounts(appliances, calls):
        for failure in account.failures:
            oracle += failure.could_save
            if failure.saved < failure.could_save:
                told = any(code.raised_at <= failure.noticed - TICK_S for code in failure.episode.codes)
                kind = "abrupt" if failure.episode.mode.growth_days <= 0.0 else "gradual"
                missed = f"{kind}, missed, {'a code came' if told else 'no code in time'}"
                _add(lost, f"{kind}, called late" if failure.saved else missed, failure.could_save - failure.saved)
        for _ in range(account.false_calls):
            _add(lost, "false calls", account.cost.false_call)
    return {cause: [n, round(usd / oracle, 4)] for cause, (n, usd) in sorted(lost.items(), key=lambda c: -c[1][1])}


def _add(lost: dict[str, list[float]], cause: str, usd: float) -> None:
    found = lost.setdefault(cause, [0, 0.0])
    found[0] += 1
    found[1] += usd


def _ratio(a: float, b: float) -> float:
    return float(a / b) if b > 0 else float("nan")


def within_budget(curve: Sequence[tuple[float, Balance]], per_1000_years: float) -> int | None:
    """The place in ``curve`` of the threshold that saw most failures coming at no more than so many false calls."""
    able = [
        (b.called_before_noticed, -b.false_calls, k)
        for k, (_, b) in enumerate(curve)
        if b.false_calls_per_1000_years <= per_1000_years
    ]
    return max(able)[2] if able else None


def by_kind(appliances: Sequence[Appliance], calls: Sequence[Call], span: Span) -> dict[str, dict[str, Any]]:
    """Failures by family and kind: how many, how many called before noticed, and the money lost to the oracle."""
    by_device = times_by_device(calls)
    found: dict[str, dict[str, Any]] = {}
    for number, appliance in enumerate(appliances):
        cost = FAMILY_COSTS[appliance.model.family]
        for episode in appliance.life.episodes:
            if episode.failed_at is None or episode.mode.sensor:
                continue
            row = found.setdefault(
                f"{appliance.model.family}/{episode.mode.kind}",
                {"failures": 0, "called": 0, "growth_days": episode.mode.growth_days, "could_save_usd": 0.0},
            )
            noticed = episode.noticed_at if episode.noticed_at is not None else np.inf
            mine = [at for at in by_device.get(number, ()) if episode.onset <= at < noticed]
            row["failures"] += 1
            row["called"] += bool(mine)
            row["could_save_usd"] += 0.0 if mine else cost.urgent + cost.damage
    return dict(sorted(found.items(), key=lambda item: -item[1]["could_save_usd"]))
