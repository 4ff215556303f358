"""A driver that plays a recording: CSV or JSON lines, gzipped or not, one row a sample, fault codes included.

CSV: a header; a column `at` (s since the epoch, or ISO 8601, UTC when it names no zone), optionally a column `faults`
with codes separated by spaces, and a column a channel. An empty cell says "no reading".
JSON lines: {"at": .., "values": {channel: reading or null}, "faults": [codes]}.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import nan
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_agent.ports import Description, DriverError, Reading, SelfTestOutcome
from protocols.messages import Channel, ChannelSet

JSON_LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")


class ChannelOptions(BaseModel):
    """What the file does not say of a channel."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    unit: str = ""
    resolution: float = Field(0.0, ge=0)
    role: Literal["measurement", "mode"] = "measurement"


class RecordedOptions(BaseModel):
    """The `options` of a device with the driver "recorded"."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: Path = Field(description="the recording: .csv or .jsonl, also with .gz")
    time_column: str = Field("at", description="the column with the event time")
    faults_column: str = Field("faults", description="the column with the fault codes, if there is one")
    channels: dict[str, ChannelOptions] = Field({}, description="the channels to play, with unit; all when not given")
    period_ms: int | None = Field(None, ge=1, description="ms between rows; the first two rows' when not given")
    timing: Literal["recorded", "now"] = Field("recorded", description="event times as recorded, or as played")
    loop: bool = Field(False, description="begin again at the end, with times going on")
    firmware: str = Field("", max_length=64)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the file: event time in s, readings by channel, fault codes."""

    at: float
    values: Mapping[str, float]
    faults: frozenset[str]


class RecordedDriver:
    """Plays one file for one device; memory does not grow with the file."""

    def __init__(self, device: str, options: RecordedOptions) -> None:
        self._device = device
        self._options = options
        self._rows: Iterator[Row] | None = None
        self._names: tuple[str, ...] = ()
        self._shift = 0.0
        self._begun_at = 0.0
        self._last_at = 0.0
        self._period_s = 1.0
        self._played = 0

    @classmethod
    def from_options(cls, device: str, options: Mapping[str, Any]) -> Self:
        """The driver for the options of gateway.toml.

        Raises:
            ValueError: an option is missing, unknown or wrong, or the file is not there.
        """
        try:
            checked = RecordedOptions.model_validate(dict(options))
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        if not checked.file.is_file():
            raise ValueError(f"file: {str(checked.file)!r} is not there; expected a .csv or .jsonl file")
        return cls(device, checked)

    async def open(self) -> Description:
        """Read the first rows: they give the channels and the period. A driver opened again goes on where it was."""
        if self._rows is None:
            first, second = self._first_two()
            wanted = self._options.channels
            self._names = tuple(wanted or first.values)
            missing = [name for name in self._names if name not in first.values]
            if missing:
                raise DriverError(f"device {self._device}: {self._options.file} has no channel {', '.join(missing)}")
            period_ms = self._options.period_ms or max(1, round((second.at - first.at) * 1000) if second else 1000)
            self._period_s = period_ms / 1000
            self._begun_at = first.at
            self._rows = self._read()
        channels = tuple(
            Channel(name=name, **self._options.channels.get(name, ChannelOptions()).model_dump())
            for name in self._names
        )
        return Description(ChannelSet.of(channels, round(self._period_s * 1000)), self._options.firmware)

    async def read(self, at: float) -> Reading | None:
        """The next row, at its recorded time or at `at`."""
        if self._rows is None:
            raise DriverError(f"device {self._device}: read before open")
        row = next(self._rows, None)
        if row is None and self._options.loop and self._played:
            self._shift += self._last_at - self._begun_at + self._period_s
            self._rows = self._read()
            row = next(self._rows, None)
        if row is None:
            return None
        self._played += 1
        self._last_at = row.at
        values = tuple(row.values.get(name, nan) for name in self._names)
        return Reading(row.at + self._shift if self._options.timing == "recorded" else at, values, row.faults)

    async def self_test(self) -> SelfTestOutcome:
        """Whether the recording can still be read from its start."""
        self._first_two()
        return SelfTestOutcome(True, "a recording, read from its start", {"rows_played": self._played})

    async def close(self) -> None:
        """Keep the place: a recording is not lost by closing it."""

    def _first_two(self) -> tuple[Row, Row | None]:
        rows = self._read()
        first = next(rows, None)
        if first is None:
            raise DriverError(f"device {self._device}: {self._options.file} has no rows")
        return first, next(rows, None)

    def _read(self) -> Iterator[Row]:
        path = self._options.file
        with path.open("rb") as raw:
            binary = gzip.open(raw) if path.name.endswith(".gz") else raw  # noqa: SIM115 - closed with raw
            text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
            rows = self._json_rows(text) if path.name.endswith(JSON_LINES) else self._csv_rows(text)
            try:
                yield from rows
            except (ValueError, TypeError, KeyError, AttributeError, EOFError) as error:
                raise DriverError(
                    f"device {self._device}: {path} after row {self._played}: {error or 'cut short'}"
                ) from error

    def _csv_rows(self, text: io.TextIOWrapper) -> Iterator[Row]:
        reader = csv.DictReader(text)
        own = (self._options.time_column, self._options.faults_column)
        if own[0] not in (reader.fieldnames or ()):
            raise ValueError(f"no column {own[0]!r}; there is {reader.fieldnames}")
        for cells in reader:
            values = {name: float(cell) if cell else nan for name, cell in cells.items() if name not in own}
            yield Row(event_time(cells[own[0]]), values, frozenset((cells.get(own[1]) or "").split()))

    def _json_rows(self, text: io.TextIOWrapper) -> Iterator[Row]:
        for line in text:
            if line.strip():
                row = json.loads(line)
                values = {name: nan if value is None else float(value) for name, value in row["values"].items()}
                yield Row(event_time(row[self._options.time_column]), values, frozenset(row.get("faults", ())))


def event_time(text: str | float) -> float:
    """Seconds since the epoch from a number or an ISO 8601 text (UTC when it names no zone); ValueError otherwise."""
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(str(text))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
