"""Reading import files: CSV or JSON to rows, with every mistake named by file, row, column and value.

Row numbers are those that a person sees: lines of a CSV file (the header is line 1), items of a JSON list from 1.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from cloud.registry.records import KINDS, Row

MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_MISTAKES = 100


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong in a file, where, and what was expected."""

    file: str
    row: int
    column: str
    value: str
    expected: str

    def __str__(self) -> str:
        where = f"{self.file}, row {self.row}" if self.row else self.file
        column = f", column {self.column}" if self.column else ""
        value = f": {self.value!r}" if self.value else ""
        return f"{where}{column}{value}: {self.expected}"


class BadFile(Exception):
    """A file with mistakes; nothing of it was taken."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Numbered(Generic[R]):
    """A row and its number in its file."""

    number: int
    row: R


@dataclass(frozen=True, slots=True)
class Table:
    """A file that was read without a mistake."""

    path: Path
    kind: str
    rows: tuple[Numbered[Any], ...]

    def mistake(self, number: int, column: str, value: object, expected: str) -> Mistake:
        """A mistake in this file."""
        return Mistake(self.path.name, number, column, _short(value), expected)


def kind_of(path: Path) -> str | None:
    """The kind of a file: the first word of its name (`faults.washer.json` holds faults); None if it is no kind."""
    word = path.name.split(".")[0].split("-")[0]
    return word if word in KINDS and path.suffix in (".csv", ".json") else None


def read(path: Path, kind: str | None = None) -> Table:
    """Read one file whole.

    Raises:
        BadFile: with every mistake found, up to a hundred. OSError: the file cannot be read.
    """
    kind = kind or kind_of(path)
    if kind not in KINDS:
        raise BadFile(
            [Mistake(path.name, 0, "", "", f"expected a name such as {', '.join(KINDS)}, then .csv or .json")]
        )
    record = KINDS[kind]
    rows: list[Numbered[Any]] = []
    mistakes: list[Mistake] = []
    for number, raw in _raw_rows(path, record):
        try:
            rows.append(Numbered(number, record.model_validate(raw)))
        except ValidationError as error:
            mistakes += _mistakes(path.name, number, raw, error)
        if len(mistakes) >= MAX_MISTAKES:
            break
    mistakes += _twice(path.name, record.key, rows)
    if mistakes:
        raise BadFile(mistakes[:MAX_MISTAKES])
    return Table(path, kind, tuple(rows))


def _twice(file: str, key: str, rows: list[Numbered[Any]]) -> list[Mistake]:
    first: dict[str, int] = {}
    found = []
    for numbered in rows if key else []:
        value = getattr(numbered.row, key)
        if value in first:
            found.append(Mistake(file, numbered.number, key, value, f"stands in row {first[value]} already"))
        first.setdefault(value, numbered.number)
    return found


def _raw_rows(path: Path, record: type[Row]) -> Iterator[tuple[int, Any]]:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise BadFile([Mistake(path.name, 0, "", "", f"expected at most {MAX_FILE_BYTES} bytes; split the file")])
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BadFile([Mistake(path.name, line, "", "", "expected text in UTF-8")]) from None
    if path.suffix == ".json":
        return _json_rows(path.name, text)
    return _csv_rows(path.name, text, record)


def _json_rows(file: str, text: str) -> Iterator[tuple[int, Any]]:
    try:
        items = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadFile([Mistake(file, error.lineno, "", "", f"expected JSON: {error.msg}")]) from None
    except RecursionError:
        raise BadFile([Mistake(file, 0, "", "", "expected JSON that is not nested so deeply")]) from None
    if not isinstance(items, list):
        raise BadFile([Mistake(file, 0, "", _short(items), "expected a list of objects")])
    yield from enumerate(items, start=1)


def _csv_rows(file: str, text: str, record: type[Row]) -> Iterator[tuple[int, Any]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(file, header, record)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise BadFile(
                    [Mistake(file, reader.line_num, "", "", f"expected {len(header)} cells, found {len(cells)}")]
                )
            # An empty cell is a column left out: a field with a default takes it, one without says so.
            yield reader.line_num, {name: cell for name, cell in zip(header, cells, strict=True) if cell.strip()}
    except csv.Error as error:
        raise BadFile([Mistake(file, reader.line_num, "", "", f"expected CSV: {error}")]) from None


def _check_header(file: str, header: list[str], record: type[Row]) -> None:
    allowed = record.columns()
    mistakes = [
        Mistake(file, 1, name, "", f"expected one of {', '.join(sorted(allowed))}")
        for name in header
        if name not in allowed
    ]
    mistakes += [Mistake(file, 1, name, "", "stands twice") for name in {n for n in header if header.count(n) > 1}]
    if not header:
        mistakes.append(Mistake(file, 1, "", "", f"expected a header with {', '.join(sorted(allowed))}"))
    if mistakes:
        raise BadFile(mistakes)


def _mistakes(file: str, number: int, raw: Any, error: ValidationError) -> list[Mistake]:
    found = []
    for problem in error.errors(include_url=False, include_context=False):
        column = ".".join(str(step) for step in problem["loc"])
        text = problem["msg"].removeprefix("Value error, ")
        if not column and ": " in text and isinstance(raw, dict) and text.split(":")[0] in raw:
            column, text = text.split(": ", 1)  # a check over the whole row names its column itself
        value = raw.get(column) if isinstance(raw, dict) and column in raw else problem["input"]
        shown = "" if problem["type"] == "missing" else _short(value)
        found.append(
            Mistake(
                file, number, column, shown, "expected a value" if not shown and problem["type"] == "missing" else text
            )
        )
    return found


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
