"""Ground truth as JSON lines: one line an injected fault, one summary line a device. Times are UTC, ISO 8601."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from device_sim.failure.life import Span
from device_sim.failure.modes import Episode
from device_sim.fleet.population import Appliance


def iso(at: float | None) -> str | None:
    """Event time (s) as ISO 8601 with milliseconds, UTC."""
    if at is None:
        return None
    return datetime.fromtimestamp(round(at, 3), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(text: str | None) -> float | None:
    """Read what `iso` wrote."""
    return None if text is None else datetime.fromisoformat(text).timestamp()


def truth_lines(appliances: Iterable[Appliance], span: Span) -> Iterator[dict[str, Any]]:
    """The ground truth of a fleet: each device's faults in order of onset, then its summary."""
    for appliance in appliances:
        for number, episode in enumerate(appliance.life.episodes):
            yield _fault_line(appliance, number, episode)
        yield _device_line(appliance, span)


def write_truth(out: TextIO, appliances: Iterable[Appliance], span: Span) -> int:
    """Write the ground truth; returns the number of faults."""
    faults = 0
    for line in truth_lines(appliances, span):
        out.write(json.dumps(line, separators=(",", ":")) + "\n")
        faults += line["record"] == "fault"
    return faults


def read_truth(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a truth file.

    Raises:
        ValueError: a line is not JSON, or not a truth record; the text says which line.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                record["record"], record["device"]
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: not a ground-truth record ({error})") from None
            yield record


def _fault_line(appliance: Appliance, number: int, episode: Episode) -> dict[str, Any]:
    return {
        "record": "fault",
        "fault": f"{appliance.device}-{number}",
        "device": appliance.device,
        "gateway": appliance.gateway,
        "model": appliance.model.model,
        "family": appliance.model.family,
        "kind": episode.mode.kind,
        "class": "sensor" if episode.mode.sensor else "machine",
        "part": episode.mode.part,
        "code": appliance.model.codes.get(episode.mode.kind, episode.mode.code),
        "onset": iso(episode.onset),
        "first_observable": iso(episode.first_observable),
        "codes": [
            {"code": report.code, "raised": iso(report.raised_at), "cleared": iso(report.cleared_at)}
            for report in episode.codes
        ],
        "failure": iso(episode.failed_at),
        "noticed": iso(episode.noticed_at),
        "ended": iso(episode.ended_at),
        "end": _end(episode),
    }


def _end(episode: Episode) -> str:
    """How the fault ended within the span: repaired, cured by its user, or still there (censored)."""
    if episode.ended_at is None:
        return "censored"
    return "repaired" if episode.failed_at is not None else "cured"


def _device_line(appliance: Appliance, span: Span) -> dict[str, Any]:
    return {
        "record": "device",
        "device": appliance.device,
        "gateway": appliance.gateway,
        "user": appliance.user,
        "model": appliance.model.model,
        "family": appliance.model.family,
        "gtin": appliance.model.gtin,
        "serial": appliance.serial,
        "region": appliance.household.region,
        "from": iso(span.start),
        "to": iso(span.end),
        "age_years": round((span.start - appliance.born_at) / (365.2425 * 86_400.0), 3),
        "faults": len(appliance.life.episodes),
        "failures": sum(episode.failed_at is not None for episode in appliance.life.episodes),
        "spurious_codes": [
            {"code": report.code, "raised": iso(report.raised_at), "cleared": iso(report.cleared_at)}
            for report in appliance.life.spurious
        ],
        "silences": [
            {"cause": silence.cause, "from": iso(silence.start), "to": iso(silence.end)}
            for silence in appliance.silences
        ],
        "revised": None if appliance.revised_at == float("inf") else iso(appliance.revised_at),
    }
