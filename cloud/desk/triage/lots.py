"""Pure: which lots, models and firmwares show a problem more often than the rest, with false discoveries held down.

Each comparison counts devices, not reports: k of n in the group, K of N in the rest. Fisher's exact test, one-sided:
the chance that a group drawn blindly from all holds so many of those affected. All comparisons of a round are judged
together by Benjamini-Hochberg (J. R. Statist. Soc. B 57, 1995): of what is found, at most a given share is expected to
be false. The counts of one problem hang together (a group's surplus is the rest's lack), which the procedure bears in
theory for positive dependence only; tests/desk/triage/test_lots.py simulates it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, lgamma


@dataclass(frozen=True, slots=True)
class Comparison:
    """One group against the rest of its scope, for one problem; counts of devices."""

    kind: str
    scope: str
    member: str
    problem: str
    devices: int
    affected: int
    rest_devices: int
    rest_affected: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A comparison with its p-value, and its q-value: the share of false discoveries at which it is just found."""

    comparison: Comparison
    p_value: float
    q_value: float


def tail(affected: int, devices: int, all_affected: int, all_devices: int) -> float:
    """P(X >= affected), X hypergeometric: `devices` drawn of `all_devices`, of which `all_affected` are affected."""
    least, most = max(0, devices + all_affected - all_devices), min(devices, all_affected)
    if affected <= least:
        return 1.0
    if affected > most:
        return 0.0
    # Always summed away from the middle, where terms shrink: one that vanishes is followed by none that counts.
    if affected * all_devices > devices * all_affected:
        return min(1.0, _sum(affected, most, 1, (devices, all_affected, all_devices)))
    return max(0.0, 1.0 - _sum(affected - 1, least, -1, (devices, all_affected, all_devices)))


def _sum(first: int, last: int, step: int, urn: tuple[int, int, int]) -> float:
    """The sum of P(X = x) from `first` to `last`."""
    devices, all_affected, all_devices = urn
    sound = all_devices - all_affected
    term = exp(
        _log_choose(all_affected, first) + _log_choose(sound, devices - first) - _log_choose(all_devices, devices)
    )
    total = 0.0
    for x in range(first, last + step, step):
        total += term
        if term <= total * 1e-17:
            break
        if step > 0:
            term *= (all_affected - x) * (devices - x) / ((x + 1) * (sound - devices + x + 1))
        else:
            term *= x * (sound - devices + x) / ((all_affected - x + 1) * (devices - x + 1))
    return total


def q_values(p_values: Sequence[float]) -> list[float]:
    """Benjamini-Hochberg: the least level at which each would be found among all."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__, reverse=True)
    found = [1.0] * len(p_values)
    least = 1.0
    for place, index in enumerate(order):
        rank = len(p_values) - place
        least = min(least, p_values[index] * len(p_values) / rank)
        found[index] = least
    return found


def standing_out(comparisons: Sequence[Comparison], false_share: float, least: int) -> list[Standing]:
    """Those that stand out, with at least `least` devices affected. All of them count, also those without a case.

    `least` is asked of what is shown and not of what is compared: leaving comparisons out for their counts would
    falsify the share.
    """
    p_values = [
        tail(c.affected, c.devices, c.affected + c.rest_affected, c.devices + c.rest_devices) for c in comparisons
    ]
    judged = [Standing(c, p, q) for c, p, q in zip(comparisons, p_values, q_values(p_values), strict=True)]
    return [s for s in judged if s.q_value <= false_share and s.comparison.affected >= least]


def sentence(found: Standing) -> dict[str, str]:
    """Why it stands out, by language."""
    c = found.comparison
    rate, rest = c.affected / c.devices, c.rest_affected / max(1, c.rest_devices)
    kind_zh = {"lot": "批次", "model": "型号", "firmware": "固件"}[c.kind]
    return {
        "en": f"{c.affected} of {c.devices:,} devices of {c.kind} {c.member} report {c.problem} ({rate:.1%}), "
        f"of the rest of {c.scope} {c.rest_affected} of {c.rest_devices:,} ({rest:.1%}).",
        "zh": f"{kind_zh} {c.member} 的 {c.devices:,} 台设备中有 {c.affected} 台报告 {c.problem}（{rate:.1%}），"
        f"{c.scope} 其余 {c.rest_devices:,} 台中有 {c.rest_affected} 台（{rest:.1%}）。",
    }


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
