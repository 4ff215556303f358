"""The open benchmark: the detector and two baselines on a simulated fleet (docs/open-benchmark.md).

    python -m benchmarks.bench_simulator [--appliances 10000] [--days 365] [--years 2] [--seed 1] [--period 3600]

``--years`` counts spans of ``--days``: the first begins with a detector that has seen nothing, each later one with
what it learnt before.  ``--fast`` takes 1,000 appliances and 120 days.  Results go to
``benchmarks/results/simulator.json`` with date and machine, the plot to ``docs/images/open-benchmark.png``;
``--fast`` and ``--no-write`` write neither.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulator.baselines import CODE_RULES, ReportedCodes, StaticLimits
from benchmarks.simulator.certainty import calibration, failing_within, faulty, judged, precision, recovered
from benchmarks.simulator.course import Course, run
from benchmarks.simulator.entry import EngineEntry
from benchmarks.simulator.figures import YEAR_S, by_kind, figures, losses, within, within_budget
from benchmarks.simulator.people import DAY_S, Habits
from benchmarks.simulator.port import Answer, Detector, Label, Tick, nothing
from cloud.detection.settings import EngineSettings
from device_sim.failure.life import Span
from device_sim.fleet.population import Appliance, FirmwareChange, World
from device_sim.fleet.records import BulkFleet, Day
from device_sim.people.money import Call, balance

HERE = Path(__file__).resolve().parent
START = 1_767_225_600.0  # 2026-01-01 UTC
BUDGET = 10.0  # false calls for 1,000 appliance-years
MONTH_S = 30 * DAY_S
MONTHS_A_YEAR = YEAR_S / MONTH_S
DETECTOR_SEED, PEOPLE_SEED, BOOTSTRAP_SEED = 11, 23, 37
RANDOM_CHECKS = 2e-5
SCORES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93,
          0.95, 0.97, 0.98, 0.99, 0.995)  # fmt: skip
LIMITS = tuple(float(x) for x in np.geomspace(3.0, 60.0, 30))


def engine_settings(**changes: Any) -> EngineSettings:
    """The engine's defaults, with the budget of the benchmark, the desk's rhythm and a few random checks."""
    held: dict[str, Any] = {
        "false_call_budget": BUDGET / 1000.0 / MONTHS_A_YEAR,
        "refractory_s": Habits().quiet_days * DAY_S,
        "confirmed_quiet_s": 60 * DAY_S,  # the truth is open loop: what was confirmed goes on, and is known
        "random_check_share": RANDOM_CHECKS,
    }
    return EngineSettings(**(held | changes))


class Diary:
    """What an entry stated at the end of each day, float32, and progress on the terminal."""

    def __init__(self, entries: Sequence[EngineEntry], days: int, title: str) -> None:
        self.entries = list(entries)
        self.days = days
        self.title = title
        self.pages = [np.full((days, len(e.stated)), np.nan, np.float32) for e in entries]
        self.began = time.monotonic()
        self.judged = 0

    def __call__(self, number: int, day: Day) -> None:
        """The day is over."""
        for entry, page in zip(self.entries, self.pages, strict=True):
            page[number] = entry.stated
        self.judged += len(day)
        if number % 10 == 9 or number + 1 == self.days:
            spent = time.monotonic() - self.began
            print(
                f"\r{self.title}: day {number + 1} of {self.days}, {self.judged / 1e6:.1f} M records, {spent:.0f} s",
                end="\n" if number + 1 == self.days else "",
                file=sys.stderr,
                flush=True,
            )


def contest(
    world: World, appliances: Sequence[Appliance], period_s: float, settings: EngineSettings, years: int = 1
) -> list[dict[str, Any]]:
    """Engine and baselines side by side on one world; the figures of each of its ``years`` equal parts."""
    days = int((world.span.end - world.span.start) / DAY_S)
    names = [a.device for a in appliances]
    entry = EngineEntry(names, settings, DETECTOR_SEED)
    fleet = BulkFleet(world, appliances, period_s)
    entrants: dict[str, tuple[Detector, Sequence[float]]] = {
        "engine": (entry, SCORES),
        "reported codes": (ReportedCodes(), tuple(range(1, len(CODE_RULES) + 1))),
        "static limits": (StaticLimits(), LIMITS),
        "static limits, own centre": (StaticLimits(own_centre=True), LIMITS),
    }
    diary = Diary([entry], days, "open benchmark")
    began = time.process_time()
    courses = run(
        fleet,
        appliances,
        world.span,
        [detector for detector, _ in entrants.values()],
        people_seed=PEOPLE_SEED,
        thresholds=[levels for _, levels in entrants.values()],
        after_day=diary,
    )
    cpu = time.process_time() - began
    failing = failing_within(appliances, world.span, days, settings.horizon_s)
    present = faulty(appliances, world.span, days)
    parts = []
    for year in range(years):
        page = slice(year * days // years, (year + 1) * days // years)
        window = Span(world.span.start + page.start * DAY_S, world.span.start + page.stop * DAY_S)
        found = _part(appliances, dict(zip(entrants, courses, strict=True)), window)
        found["calibration"] = calibration(diary.pages[0][page], failing[page])
        found["calibration_of_faulty"] = calibration(diary.pages[0][page], present[page])
        parts.append({"records_in_all": courses[0].records, "cpu_seconds_in_all": round(cpu, 1)} | found)
    return parts


def _part(appliances: Sequence[Appliance], courses: dict[str, Course], window: Span) -> dict[str, Any]:
    """The figures of what happened in ``window``."""
    own = courses["engine"]
    here, calls = within(appliances, own.calls, window)
    checks = [check for check in own.checks if check.at in window]
    found: dict[str, Any] = {
        "labels": _count(label.verdict for label in own.labels if label.known_at in window),
        "checks": len(checks),
        "engine_own_decision": figures(here, calls, window, seed=BOOTSTRAP_SEED, checks=checks),
        "by_kind": by_kind(here, calls, window),
        "losses": losses(here, calls),
        "by_quarter": _quarters(here, calls, window),
        "at_same_budget": {},
        "curves": {},
    }
    for name, course in courses.items():
        swept = [within(appliances, each, window)[1] for each in course.swept]
        found["at_same_budget"][name], found["curves"][name] = _hindsight(here, course.thresholds, swept, window)
    return found


def _hindsight(
    appliances: Sequence[Appliance], thresholds: NDArray[np.float64], swept: Sequence[list[Call]], span: Span
) -> tuple[dict[str, Any], list[list[float]]]:
    """The best threshold within the budget, chosen afterwards, with its figures; and the whole curve."""
    years = (span.end - span.start) / YEAR_S
    curve = [(float(t), balance(appliances, calls, years)) for t, calls in zip(thresholds, swept, strict=True)]
    rows = [
        [round(t, 4), round(b.false_calls_per_1000_years, 2), b.called_before_noticed / max(b.failures, 1), b.regret]
        for t, b in curve
    ]
    place = within_budget(curve, BUDGET)
    lax = rows[0]
    thinned = {"laxest_threshold_thinned_at_random": round(lax[2] * min(1.0, BUDGET / max(lax[1], 1e-9)), 4)}
    if place is None:
        return thinned | {"threshold": None}, rows
    calls = swept[place]
    held = thinned | {"threshold": round(curve[place][0], 4), "by_kind": by_kind(appliances, calls, span)}
    return held | figures(appliances, calls, span, seed=BOOTSTRAP_SEED), rows


def _quarters(appliances: Sequence[Appliance], calls: Sequence[Call], span: Span) -> list[dict[str, Any]]:
    edges = np.linspace(span.start, span.end, 5)
    known, out = judged(appliances, calls), []
    for start, end in itertools.pairwise(edges):
        part = precision(known, start, end)
        out.append({"calls": part.calls, "right": part.right})
    return out


def _count(words: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return found


def firmware_trial(seed: int, appliances: int, days: int, period_s: float) -> dict[str, Any]:
    """A revised firmware comes to every device at once; a twin frozen before it shows what learning is worth.

    Failure rates are tripled and the budget is tenfold, so that there are calls enough to speak of precision.
    """
    span = Span(START, START + days * DAY_S)
    changed_at = START + int(days * 0.55) * DAY_S
    freeze_day = int(days * 0.35)
    world = World(seed, span, appliances, failure_scale=3.0, firmware=FirmwareChange(changed_at, 1.0))
    fleet_of = world.populate()
    settings = engine_settings(false_call_budget=10 * BUDGET / 1000.0 / MONTHS_A_YEAR)
    entry = EngineEntry([a.device for a in fleet_of], settings, DETECTOR_SEED)
    twin = _Twin(entry)
    diary = Diary([entry], days, "firmware")
    pages = np.full((days, appliances), np.nan, np.float32)

    def after(number: int, day: Day) -> None:
        diary(number, day)
        if number == freeze_day:
            twin.begin()
        if twin.entry is not None:
            pages[number] = twin.entry.stated

    courses = run(
        BulkFleet(world, fleet_of, period_s),
        fleet_of,
        span,
        [entry, twin],
        people_seed=PEOPLE_SEED,
        thresholds=[(), ()],
        after_day=after,
    )
    truth = failing_within(fleet_of, span, days, settings.horizon_s)
    change_day = int((changed_at - START) / DAY_S)
    found: dict[str, Any] = {
        "appliances": appliances,
        "days": days,
        "failure_scale": 3.0,
        "changed_on_day": change_day,
        "frozen_on_day": freeze_day,
        "fleet_changes_seen": [
            [round((c.at - START) / DAY_S, 2), c.moved, c.heard, c.reset]
            for family in entry.engine.families
            for c in family.fleet.changes
        ],
    }
    defective = faulty(fleet_of, span, days)
    parts = {"before": slice(freeze_day + 1, change_day), "after": slice(change_day, days)}
    for name, course, page in zip(("live", "frozen"), courses, (diary.pages[0], pages), strict=True):
        known = judged(fleet_of, course.calls)
        before = precision(known, START + (freeze_day + 1) * DAY_S, changed_at)
        back = recovered(known, course.labels, changed_at, former=before.share)
        found[name] = {
            "precision_before": asdict(before) | {"share": before.share},
            "precision_month_after": asdict(precision(known, changed_at, changed_at + MONTH_S)),
            "precision_later": asdict(precision(known, changed_at + MONTH_S, span.end)),
            "back_at_90_percent": asdict(back) if back else None,
            "labels_after": sum(label.known_at >= changed_at for label in course.labels),
            "calls_day_right": [[round((at - START) / DAY_S, 2), int(right)] for at, right in known],
            "calibration": {k: calibration(page[part], truth[part]) for k, part in parts.items()},
            "calibration_of_faulty": {k: calibration(page[part], defective[part]) for k, part in parts.items()},
        }
    return found


class _Twin:
    """A frozen copy of an entry, which enters the race when ``begin`` is called."""

    def __init__(self, original: EngineEntry) -> None:
        self.original = original
        self.entry: EngineEntry | None = None

    def begin(self) -> None:
        """From now on."""
        self.entry = self.original.frozen()

    def observe(self, tick: Tick) -> Answer:
        """See :class:`Detector`."""
        return self.entry.observe(tick) if self.entry is not None else nothing()

    def learn(self, label: Label) -> None:
        """A frozen copy only hears of replaced parts."""
        if self.entry is not None:
            self.entry.learn(label)

    def checks(self, at: float) -> Sequence[tuple[int, float]]:
        """None."""
        return ()


def machine() -> dict[str, Any]:
    """What ran this."""
    cpuinfo = Path("/proc/cpuinfo")
    names = []
    if cpuinfo.exists():
        names = [ln.partition(":")[2].strip() for ln in cpuinfo.read_text().splitlines() if ln.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "cpu": names[0] if names else platform.processor(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def table(found: dict[str, Any]) -> str:
    """The contest as text."""

    def cell(value: Sequence[float], scale: float = 1.0, digits: int = 1) -> str:
        return f"{value[0] * scale:.{digits}f} [{value[1] * scale:.{digits}f}, {value[2] * scale:.{digits}f}]"

    heads = ("called first %", "with censoring %", "median lead h", "false/1000 y", "regret %")
    lines = [" " * 34 + "".join(f"{head:>{width}}" for head, width in zip(heads, (20, 20, 24, 20, 22), strict=True))]
    rows = {"engine, held online": found["engine_own_decision"]}
    rows |= {f"{name}, hindsight": held for name, held in found["at_same_budget"].items()}
    for name, held in rows.items():
        if "regret" not in held:
            lines.append(f"{name:34}  no threshold keeps within the budget")
            continue
        lines.append(
            f"{name:34}{cell(held['called_before_noticed'], 100):>20}"
            f"{cell(held['called_before_noticed_censored'], 100):>20}{cell(held['median_lead_h']):>24}"
            f"{cell(held['false_calls_per_1000_years']):>20}{cell(held['regret'], 100):>22}"
        )
    return "\n".join(lines)


def plot(found: dict[str, Any], target: Path) -> None:
    """Called-before-noticed rate over false calls, a curve a detector; the engine's own decision as a point."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    for name, rows in found["curves"].items():
        points = np.array(rows)
        left.plot(points[:, 1], 100 * points[:, 2], marker=".", label=name)
    own = found["engine_own_decision"]
    rate, called = own["false_calls_per_1000_years"], own["called_before_noticed"]
    left.errorbar(
        rate[0],
        100 * called[0],
        xerr=[[rate[0] - rate[1]], [rate[2] - rate[0]]],
        yerr=[[100 * (called[0] - called[1])], [100 * (called[2] - called[0])]],
        fmt="k*",
        label="engine, budget held online",
    )
    left.axvline(BUDGET, color="grey", linestyle=":", linewidth=1)
    left.set(
        xscale="log",
        xlim=(1, 20_000),
        xlabel="false calls for 1,000 appliance-years",
        ylabel="called before noticed, %",
        ylim=(0, 100),
    )
    left.legend(fontsize=8)
    right.plot([0, 1], [0, 1], color="grey", linewidth=1)
    for key, label in (("calibration", "failed within the horizon"), ("calibration_of_faulty", "had a fault")):
        bins = np.array(found.get(key, {}).get("reliability_stated_true_n", []))
        if len(bins):
            right.plot(bins[:, 0], bins[:, 1], "o-", label=label)
    right.set(xlabel="stated probability, end of day", ylabel="share that came true", xlim=(0, 1), ylim=(0, 1))
    right.legend(fontsize=8)
    figure.tight_layout()
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark, print its table, write results and plot; returns the results."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--appliances", type=int, default=10_000)
    ask.add_argument("--days", type=int, default=365)
    ask.add_argument("--years", type=int, default=1, help="spans of --days, one after another")
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--period", type=float, default=3600.0, help="of continuous appliances' records, s")
    ask.add_argument("--horizon-days", type=float, help="the engine's horizon (its default if not given)")
    ask.add_argument("--fast", action="store_true", help="1,000 appliances, 120 days")
    ask.add_argument("--parts", nargs="*", default=["contest", "firmware"], choices=["contest", "firmware"])
    ask.add_argument("--no-write", action="store_true")
    chosen = ask.parse_args(arguments)
    if chosen.fast:
        chosen.appliances, chosen.days = 1_000, 120
    target = HERE / "results" / "simulator.json"
    results: dict[str, Any] = json.loads(target.read_text()) if target.exists() else {}
    results |= {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": machine()}
    changes = {"horizon_s": chosen.horizon_days * DAY_S} if chosen.horizon_days else {}
    if "contest" in chosen.parts:
        span = Span(START, START + chosen.years * chosen.days * DAY_S)
        world = World(chosen.seed, span, chosen.appliances)
        settings = engine_settings(**changes)
        held = {
            "appliances": chosen.appliances,
            "days": chosen.days,
            "seed": chosen.seed,
            "period_s": chosen.period,
            "budget_per_1000_years": BUDGET,
            "people": asdict(Habits()),
            "settings": {k: getattr(settings, k) for k in sorted(settings.model_fields_set)},
        }
        parts = contest(world, world.populate(), chosen.period, settings, chosen.years)
        results["contest"] = [held | part for part in parts]
        for year, part in enumerate(results["contest"], start=1):
            print(f"year {year}\n{table(part)}", flush=True)
        if not (chosen.fast or chosen.no_write):
            plot(results["contest"][-1], HERE.parent / "docs" / "images" / "open-benchmark.png")
            _write(target, results)
    if "firmware" in chosen.parts:
        results["firmware"] = firmware_trial(
            chosen.seed + 1, max(chosen.appliances // 5, 300), chosen.days, chosen.period
        )
        for name in ("live", "frozen"):
            shown = {k: v for k, v in results["firmware"][name].items() if "cal" not in k}
            print(f"firmware, {name}: {json.dumps(shown)}")
        if not (chosen.fast or chosen.no_write):
            _write(target, results)
    return results


def _write(target: Path, results: dict[str, Any]) -> None:
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
