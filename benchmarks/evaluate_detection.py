"""Run the detector on the recorded sets and print its figures beside the baselines (``make evaluate``).

    python benchmarks/evaluate_detection.py [--data DIR] [--sets NAME ...] [--further DIR] [--fast] [--no-write]

``--data`` is the folder with the recorded data and its scoring code (default: ``../shared/data`` beside
the repository).  Sets: azure_pdm home_appliances cmapss_FD001 skab nab tracebase.  ``--fast`` takes every
third file of SKAB and NAB.  ``--further`` is a folder with more data in the form of the recorded data,
``cmapss/train_*.csv.gz``, ``home_appliances/*.csv.gz`` and ``*/azure_pdm/``: all that is there is run too
(docs/detection.md, "On what it had not seen").  Results go to ``benchmarks/results/detection.json`` with date
and machine.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from detection_adapter import Adapter  # noqa: E402 - the folders stand beside this file

from cloud.detection.evaluation import brier, expected_calibration_error, reliability  # noqa: E402

SETS = ("azure_pdm", "home_appliances", "cmapss_FD001", "skab", "nab", "tracebase")
BASELINES = {
    "azure_pdm": "EWMA 0, HST .13, online LR with hand-made features .60",
    "home_appliances": "HST .64, cycle means .76 (device AUC); recall .30",
    "cmapss_FD001": "EWMA .93, MSET .997 (AUC)",
    "skab": "IsolationForest .80; T2+Q FAR 26.6, MAR 24.9",
    "nab": "windowed Gaussian 39.6, random cut forest 51.7, HTM 70.1",
    "tracebase": "-",
}


def benches(data: Path, further: Path | None) -> dict[str, Callable[[], Any]]:
    """What loads each set that has a fleet in time order, by its name."""
    import loaders

    found: dict[str, Callable[[], Any]] = {name: partial(load, root=data) for name, load in loaders.ALL.items()}
    if further:
        for path in sorted((further / "cmapss").glob("train_*.csv.gz")):
            sub = path.name.removeprefix("train_").removesuffix(".csv.gz")
            found[f"further cmapss_{sub}"] = partial(loaders.cmapss, sub, root=further)
        if any((further / "home_appliances").glob("*.csv.gz")):
            found["further home_appliances"] = partial(loaders.home_appliances, root=further)
        for path in sorted(further.glob("*/azure_pdm")):
            found[f"further {path.parent.name}"] = partial(loaders.azure_pdm, root=path.parent)
    return found


def judged(bench: Any, feedback: bool) -> dict[str, Any]:
    """A set with a fleet in time order, with or without feedback."""
    import benchlib

    adapter = Adapter()
    began = time.process_time()
    times, devices, scores = benchlib.run(bench, adapter, feedback)
    cpu = time.process_time() - began
    judge = benchlib.Judge(bench, times, devices, scores)
    report = judge.report(adapter.THRESHOLD, budgets=(0.05, 0.1, 0.2, 0.5, 1.0, 2.0))
    report["cpu_us_per_record"] = round(cpu / len(times) * 1e6, 1)
    if bench.mode == "predict":
        report["leads_h"] = leads(bench, times, devices, scores, adapter.THRESHOLD)
        report["calibration"] = calibration(bench, times, devices, scores, judge.lab)
    return report


def leads(bench: Any, times: Any, devices: Any, scores: Any, threshold: float) -> list[float]:
    """Hours from the first timely ticket to each foreseen failure, at the detector's own threshold."""
    first: dict[tuple[str, int], float] = {}
    last: dict[str, float] = {}
    for t, d, s in zip(times, devices, scores, strict=True):
        if np.isnan(s) or s < threshold or t - last.get(d, -1e18) < bench.refractory:
            continue
        state, event = bench.state(d, t)
        if state == "warm":
            continue
        last[d] = t
        if state == "good":
            first.setdefault((d, event), (bench.ev[d][event].end - t) / 3600.0)
    return sorted(round(v, 1) for v in first.values())


def calibration(bench: Any, times: Any, devices: Any, scores: Any, label: Any) -> dict[str, Any]:
    """Stated probability of a failure within the set's horizon against what came, one statement a device
    and day (the greatest of the day), outside warm-up and recovery."""
    stated: dict[tuple[str, int], float] = {}
    true: dict[tuple[str, int], bool] = {}
    for t, d, s, lab in zip(times, devices, scores, label, strict=True):
        if lab < 0 or np.isnan(s):
            continue
        key = (d, int(t // 86400))
        stated[key] = max(stated.get(key, 0.0), s)
        true[key] = true.get(key, False) or lab == 1
    p = np.array(list(stated.values()))
    y = np.array([true[k] for k in stated])
    bins = [[round(b.stated, 3), round(b.came_true, 3), b.statements] for b in reliability(p, y)]
    base = np.full(len(y), y.mean())
    return {
        "statements": len(p),
        "ece": round(expected_calibration_error(p, y), 4),
        "brier": round(brier(p, y), 4),
        "brier_of_base_rate": round(brier(base, y), 4),
        "reliability_stated_true_n": bins,
    }


def skab(data: Path, fast: bool) -> dict[str, Any]:
    """The 34 files of SKAB: mean file AUC, and FAR and MAR by factor."""
    import benchlib
    import skab_eval

    aucs = []
    for i, (name, rows) in enumerate(skab_eval.files()):
        if fast and i % 3:
            continue
        stream = ((name, t, x) for t, x, _, _ in rows)
        scores = np.array([s for _, _, s in Adapter().score_stream(stream)])[400:]
        y = np.array([a for _, _, a, _ in rows[400:]]) > 0
        aucs.append(benchlib._auc(scores[y], scores[~y]))
    out: dict[str, Any] = {"mean_file_auc": round(float(np.nanmean(aucs)), 4), "files": len(aucs)}
    if not fast:
        out |= skab_eval.evaluate(Adapter)
    return out


def nab(data: Path, fast: bool) -> dict[str, Any]:
    """NAB, standard profile and the two others, 58 files."""
    import nab_eval

    cases, records, began = [], 0, time.process_time()
    for i, (_, t, v, windows) in enumerate(nab_eval.files()):
        if fast and i % 3:
            continue
        stream = (("s", a, {"value": b}) for a, b in zip(t, v, strict=True))
        scores = [s for _, _, s in Adapter().score_stream(stream)]
        cases.append((scores, *nab_eval.weights(t, windows)))
        records += len(t)
    cpu = time.process_time() - began
    found = {k: float(v) for k, v in nab_eval.nab_score(cases).items()}
    return found | {"files": len(cases), "us_per_row": round(cpu / records * 1e6, 1)}


def tracebase_rows(path: Path) -> Iterator[tuple[str, float, float]]:
    """Device, event time and power of one file, days of a device put one after the other."""
    with gzip.open(path, "rt", newline="") as f:
        for row in csv.DictReader(f):
            device = row.get("device") or row.get("device_id") or row.get("dev") or path.stem
            day = row.get("day") or row.get("date") or ""
            power = row.get("power_w") or row.get("mean_w") or row.get("power") or ""
            if power:
                yield f"{path.name.split('_')[0]}:{device}:{day}", 0.0, float(power)


def tracebase(data: Path) -> dict[str, Any]:
    """Real healthy appliances: tickets at the same threshold a device-month, after a warm-up of 3 days."""
    from collections import defaultdict

    series: dict[str, list[float]] = defaultdict(list)
    for path in sorted((data / "tracebase").glob("*.csv.gz")):
        for key, _, power in tracebase_rows(path):
            series[":".join(key.split(":")[:2])].append(power)
    return quiet_figures(series, step=60.0, warmup=3 * 86400.0)


def quiet_figures(series: dict[str, list[float]], step: float, warmup: float) -> dict[str, Any]:
    """Play healthy series side by side and count tickets."""
    adapter, start = Adapter(), datetime(2024, 1, 1, tzinfo=UTC).timestamp()
    devices = sorted(series)
    longest = max(len(v) for v in series.values())

    def records() -> Iterator[tuple[str, datetime, dict[str, float]]]:
        for k in range(longest):
            when = datetime.fromtimestamp(start + k * step, UTC)
            for device in devices:
                if k < len(series[device]):
                    yield device, when, {"power_w": series[device][k]}

    last: dict[str, float] = {}
    tickets: list[tuple[str, float]] = []
    exposure = 0.0
    for device, when, score in adapter.score_stream(records()):
        t = when.timestamp() - start
        if t < warmup:
            continue
        exposure += step
        if score >= adapter.THRESHOLD and t - last.get(device, -1e18) >= 86400.0:
            last[device] = t
            tickets.append((device, round(t / 86400.0, 2)))
    months = exposure / (30 * 86400.0)
    return {
        "devices": len(devices),
        "device_months": round(months, 3),
        "tickets": len(tickets),
        "fa_per_device_month": round(len(tickets) / months, 3),
        "which": tickets,
    }


def machine() -> dict[str, Any]:
    """What ran this: cores and processor model."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [ln.partition(":")[2].strip() for ln in cpuinfo.read_text().splitlines() if ln.startswith("model name")]
        return {"cores": len(names), "cpu": names[0] if names else model, "python": platform.python_version()}
    return {"cpu": model, "python": platform.python_version()}


def line(name: str, result: dict[str, Any]) -> str:
    """One set in one or two lines of the table."""
    if name == "skab":
        fit = {f: (v["FAR"], v["MAR"]) for f, v in result.items() if isinstance(v, dict)}
        return f"AUC {result['mean_file_auc']}; FAR/MAR by factor {fit}; {result.get('us_per_row')} us"
    if name == "nab":
        return (
            f"standard {result['standard']}, low_FP {result['low_FP']}, low_FN {result['low_FN']}; "
            f"{result['us_per_row']} us"
        )
    if name == "tracebase":
        rate, n = result["fa_per_device_month"], result["tickets"]
        return f"{rate} false alarms a device-month ({n} in {result['device_months']})"
    with_, own = result["feedback"], result["feedback"]["at_own_threshold"]
    best = with_["best_recall_within_fa_budget"]
    text = f"AUC {with_['roc_auc']}"
    if "device_auc" in with_:
        text += f", device AUC {with_['device_auc']} (no feedback {result['no_feedback']['device_auc']})"
    for budget in ("0.1", "0.2", "1.0"):
        if budget in best:
            without = result["no_feedback"]["best_recall_within_fa_budget"].get(budget, {"recall": 0.0})
            text += f"; recall@{budget} {best[budget]['recall']} (no feedback {without['recall']})"
    text += (
        f"; own threshold: recall {own['recall']} at {own['fa_per_device_month']}, precision {own['precision']}, "
        f"lead {own['median_lead_h']} h; {with_['cpu_us_per_record']} us"
    )
    if "calibration" in with_:
        text += f"; ECE {with_['calibration']['ece']}, Brier {with_['calibration']['brier']}"
    return text


def main() -> None:
    """Run the sets, print the table, write the results."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    ask.add_argument("--sets", nargs="*", default=SETS, choices=SETS)
    ask.add_argument("--further", type=Path)
    ask.add_argument("--fast", action="store_true")
    ask.add_argument("--no-write", action="store_true")
    chosen = ask.parse_args()
    if not chosen.data.exists():
        raise SystemExit(f"no recorded data at {chosen.data}: give its folder with --data")
    sys.path.insert(0, str(chosen.data))
    target = HERE / "results" / "detection.json"
    held = json.loads(target.read_text()) if target.exists() else {"sets": {}}
    held |= {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": machine()}
    fleets = benches(chosen.data, chosen.further)
    for name in [*chosen.sets, *(name for name in fleets if name.startswith("further"))]:
        if name == "skab":
            result = skab(chosen.data, chosen.fast)
        elif name == "nab":
            result = nab(chosen.data, chosen.fast)
        elif name == "tracebase":
            result = tracebase(chosen.data)
        else:
            bench = fleets[name]()
            result = {k: judged(bench, k == "feedback") for k in ("feedback", "no_feedback")}
        held["sets"][name] = result
        print(f"{name:23} {line(name, result)}", flush=True)
        if name in BASELINES:
            print(f"{'':23} known: {BASELINES[name]}", flush=True)
    if not chosen.no_write and not chosen.fast:
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(held, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
