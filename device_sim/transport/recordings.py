"""Recorded machines from files, each as one device: readings, fault codes, failures and replaced parts.

Known layouts, told apart by their files: the Azure predictive-maintenance sample (hourly telemetry, error codes,
maintenance, failures), home appliances' power with inserted faults, and tracebase's power of healthy appliances.
"""

from __future__ import annotations

import csv
import gzip
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from device_sim.randomness import Floats
from protocols.messages import Channel


class UnknownLayout(ValueError):
    """A folder holds none of the recordings that can be replayed; the text says what was looked for."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something recorded of a machine at an instant. at: event time, s. name: a fault code or a part."""

    at: float
    name: str


@dataclass(frozen=True)
class Recording:
    """One machine. times: event time in s, shape (rows,), ascending. values: shape (rows, channels).

    failures: it broke, and which part. replacements: parts that were replaced, failed or not. fault: an inserted
    fault's name and time of onset, where the recording has one instead of failures.
    """

    device: str
    model: str
    family: str
    period_s: float
    channels: tuple[Channel, ...]
    times: Floats
    values: Floats
    codes: tuple[Happening, ...] = ()
    failures: tuple[Happening, ...] = ()
    replacements: tuple[Happening, ...] = ()
    fault: Happening | None = None
    age_years: float = field(default=0.0)


def load(folder: Path) -> list[Recording]:
    """The recordings of a folder, by device.

    Raises:
        UnknownLayout: the folder is none of the known ones. OSError, ValueError: a file cannot be read.
    """
    if list(folder.glob("PdM_telemetry.csv*")):
        return _azure(folder)
    minutes = sorted(folder.glob("*_1min.csv*"))
    if minutes:
        return [recording for path in minutes for recording in _tracebase(path)]
    powers = sorted(path for path in folder.glob("*.csv*") if {"variant", "day", "minute"} <= _header(path))
    if powers:
        return [recording for path in powers for recording in _home_appliance(path)]
    raise UnknownLayout(
        f"{folder}: expected PdM_telemetry.csv (Azure sample), *_1min.csv (tracebase), or CSV files with the columns "
        "variant, day, minute, power_w (home appliances), plain or gzipped"
    )


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as lines:
        yield from csv.DictReader(lines)


def _header(path: Path) -> set[str]:
    return set(next(iter(_rows(path)), {}))


def _time(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()


def _file(folder: Path, name: str) -> Path:
    found = [path for path in (folder / f"{name}.csv", folder / f"{name}.csv.gz") if path.exists()]
    if not found:
        raise FileNotFoundError(f"{folder / name}.csv is missing")
    return found[0]


def _azure(folder: Path) -> list[Recording]:
    def happenings(name: str, column: str) -> dict[str, list[Happening]]:
        found: dict[str, list[Happening]] = defaultdict(list)
        for row in _rows(_file(folder, name)):
            found[row["machineID"]].append(Happening(_time(row["datetime"]), row[column]))
        return found

    errors = happenings("PdM_errors", "errorID")
    failures = happenings("PdM_failures", "failure")
    replaced = happenings("PdM_maint", "comp")
    machines = {row["machineID"]: row for row in _rows(_file(folder, "PdM_machines"))}
    names = ("volt", "rotate", "pressure", "vibration")
    readings: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for row in _rows(_file(folder, "PdM_telemetry")):
        readings[row["machineID"]].append((_time(row["datetime"]), *(float(row[name]) for name in names)))
    recordings = []
    for machine, rows in readings.items():
        table = np.array(sorted(rows))
        first = float(table[0, 0])
        recordings.append(
            Recording(
                device=f"machine-{machine}",
                model=f"PdM-{machines[machine]['model']}",
                family="machine",
                period_s=3600.0,
                channels=tuple(Channel(name=name) for name in names),
                times=table[:, 0],
                values=table[:, 1:],
                codes=tuple(one for one in errors[machine] if one.at >= first),
                failures=tuple(one for one in failures[machine] if one.at >= first),
                replacements=tuple(replaced[machine]),
                age_years=float(machines[machine]["age"]),
            )
        )
    return recordings


_POWER = (Channel(name="power", unit="W", resolution=0.1),)
_ZERO = datetime(2024, 1, 1, tzinfo=UTC).timestamp()


def _tracebase(path: Path) -> Iterator[Recording]:
    family = path.name.split("_1min")[0]
    days: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in _rows(path):
        if row["power_w"]:
            days[row["device"]].append((_time(row["time"]), float(row["power_w"])))
    for device, rows in sorted(days.items()):
        table = np.array(sorted(rows))
        yield Recording(
            f"{family}-{_identifier(device)}", f"tracebase-{family}", family, 60.0, _POWER,
            table[:, 0], table[:, 1:],
        )  # fmt: skip


def _identifier(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text)


def _home_appliance(path: Path, healthy_days: int = 6, faulty_days: int = 4) -> Iterator[Recording]:
    """Six healthy days, then four of a fault; the order of the days is shuffled, the same each time."""
    appliance = path.name.split(".")[0]
    days: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in _rows(path):
        if row["power_w"]:
            days[row["variant"]][int(row["day"])].append(float(row["power_w"]))
    for variant in sorted(days):
        order = sorted(days["normal"])
        random.Random(f"{appliance}/{variant}").shuffle(order)
        before = [days["normal"][day] for day in order[:healthy_days]]
        after = [days[variant][day] for day in order[healthy_days : healthy_days + faulty_days] if day in days[variant]]
        watts = [reading for day in (*before, *after) for reading in day]
        onset = _ZERO + 60.0 * sum(map(len, before))
        yield Recording(
            device=f"{appliance}-{_identifier(variant)}",
            model=f"recorded-{appliance}",
            family=appliance.rsplit("_", 1)[0],
            period_s=60.0,
            channels=_POWER,
            times=_ZERO + 60.0 * np.arange(len(watts), dtype=np.float64),
            values=np.array(watts).reshape(-1, 1),
            fault=None if variant == "normal" else Happening(onset, variant),
        )
