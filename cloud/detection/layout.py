"""Where a family finds its readings in a block, and what it takes from there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cloud.detection.compiled import Given2, Ints1, compiled
from cloud.detection.records import Bools, Floats, Ints, roles_of

GREATEST = 1e30  # no reading is taken to be further from 0


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a family's readings and operating settings are in a block's columns, -1 where the block has none, and the
    columns that are ``marked`` when a code comes, and then those when a part is replaced."""

    telemetry: Ints
    settings: Ints
    marked: Ints
    codes: tuple[str, ...]
    parts: tuple[str, ...]


@lru_cache(maxsize=4096)
def layout_of(telemetry: tuple[str, ...], settings: tuple[str, ...], channels: tuple[str, ...]) -> Layout:
    """For a family with these channels and operating settings, and a block with these channels."""
    roles = roles_of(channels)

    def columns(wanted: tuple[str, ...], offered: tuple[tuple[int, str], ...]) -> Ints:
        place = {name: column for column, name in offered}
        return np.array([place.get(name, -1) for name in wanted], np.int64)

    return Layout(
        columns(telemetry, roles.telemetry),
        columns(settings, roles.modes),
        np.array([column for column, _ in roles.codes + roles.parts], np.int64),
        tuple(name for _, name in roles.codes),
        tuple(name for _, name in roles.parts),
    )


@compiled
def taken(values: Given2, rows: Ints1, columns: Ints1) -> Floats:
    """These rows and columns of a block, NaN for column -1."""
    out = np.empty((len(rows), len(columns)))
    for i in range(len(rows)):
        for c in range(len(columns)):
            out[i, c] = values[rows[i], columns[c]] if columns[c] >= 0 else np.nan
    return out


@compiled
def positive(values: Given2, rows: Ints1, columns: Ints1) -> Ints:
    """Where (which of the columns, which of the rows) the block's values are positive: (k, 2), by column."""
    out = np.empty((len(rows) * len(columns), 2), np.int64)
    count = 0
    for k in range(len(columns)):
        for i in range(len(rows)):
            if values[rows[i], columns[k]] > 0:
                out[count, 0], out[count, 1] = k, i
                count += 1
    return out[:count]


@compiled
def readings(values: Given2, rows: Ints1, columns: Ints1) -> tuple[Floats, Bools]:
    """These rows and columns of a block as finite numbers, and where there is a reading; 0 where there is none, as in
    column -1."""
    x, seen = np.zeros((len(rows), len(columns))), np.zeros((len(rows), len(columns)), np.bool_)
    for i in range(len(rows)):
        for c in range(len(columns)):
            if columns[c] >= 0 and np.isfinite(values[rows[i], columns[c]]):
                x[i, c] = min(max(values[rows[i], columns[c]], -GREATEST), GREATEST)
                seen[i, c] = True
    return x, seen
