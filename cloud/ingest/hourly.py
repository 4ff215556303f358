"""Hourly low, sum, high and count of frames while they are at hand as arrays. Pure.

In SQL the same costs ten times what storing the frames costs (docs/database.md), hence here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cloud.ingest.copy_rows import POSTGRES_EPOCH_US, SIGNATURE, TRAILER
from cloud.ingest.decode import FrameBlock
from protocols.frames import FREEZE

HOUR_US = 3_600_000_000
COMPACT_AT = 200_000
"""Rows that may wait before they are merged."""

PARTS = np.dtype(
    [
        ("device_no", "i4"), ("channel_set", "i8"), ("place", "i2"), ("hour", "i8"),
        ("low", "f4"), ("total", "f8"), ("high", "f4"), ("readings", "i8"),
    ]
)  # fmt: skip
"""`hour` counts from 1970 UTC; `place` is the 0-based place in the channel set."""

Parts = NDArray[np.void]
KEYS = ("place", "hour", "channel_set", "device_no")


@dataclass(slots=True)
class HourlyParts:
    """What some committed batches add to the roll-ups, and which batches these are."""

    batches: set[int] = field(default_factory=set)
    _parts: list[Parts] = field(default_factory=list)
    _rows: int = 0

    def add(self, batch_no: int, blocks: Sequence[FrameBlock], devices: Sequence[NDArray[np.int32]]) -> None:
        """Count in a batch that was stored without duplicates; devices[i] are the device numbers of blocks[i]."""
        self.batches.add(batch_no)
        for block, device_no in zip(blocks, devices, strict=True):
            for channels in np.unique(block.columns["channels"]):
                rows = (block.columns["channels"] == channels) & (block.columns["flags"] & FREEZE == 0)
                if rows.any():
                    self._append(_of_frames(block.take(rows), device_no[rows], int(channels)))
        if self._rows > COMPACT_AT:
            self.merged()

    def merged(self) -> Parts:
        """One row a device, channel and hour."""
        if self._parts:
            whole = _merge(np.concatenate(self._parts))
            self._parts, self._rows = [whole], len(whole)
        return self._parts[0] if self._parts else np.empty(0, PARTS)

    def clear(self) -> None:
        """Begin anew: it was written, or is to be computed from the frames instead."""
        self.batches.clear()
        self._parts.clear()
        self._rows = 0

    def _append(self, parts: list[Parts]) -> None:
        self._parts += parts
        self._rows += sum(map(len, parts))


@dataclass(slots=True)
class HourlyBook:
    """Sums of the batches that this process commits, from the writer to the roll-up.

    The writer reserves a batch before it commits, and afterwards adds it or, when it was not stored whole, releases
    it. The roll-up works on what is sealed, which no later batch changes.
    """

    sealed: HourlyParts = field(default_factory=HourlyParts)
    _current: HourlyParts = field(default_factory=HourlyParts)
    _reserved: set[int] = field(default_factory=set)

    def reserve(self, batch_no: int) -> None:
        """This batch is about to be committed: the roll-up must not take it for somebody else's."""
        self._reserved.add(batch_no)

    def release(self, batch_no: int) -> None:
        """This batch is to be computed from its frames, if it was stored at all."""
        self._reserved.discard(batch_no)

    def add(self, batch_no: int, blocks: Sequence[FrameBlock], devices: Sequence[NDArray[np.int32]]) -> None:
        """This batch was committed whole; see HourlyParts.add."""
        self._current.add(batch_no, blocks, devices)
        self._reserved.discard(batch_no)

    def is_growing(self, batch_no: int) -> bool:
        """Whether this batch is, or will be, among those not yet sealed."""
        return batch_no in self._reserved or batch_no in self._current.batches

    def seal(self) -> None:
        """What was added becomes what is sealed; what was sealed has been written."""
        self.sealed, self._current = self._current, HourlyParts()


def _of_frames(block: FrameBlock, device_no: NDArray[np.int32], channels: int) -> list[Parts]:
    columns = block.columns
    cube = block.readings.reshape(len(block), -1, channels)
    samples = cube.shape[1]
    first = columns["started_at"] // HOUR_US
    last = (columns["started_at"] + (samples - 1) * columns["period_ms"] * 1000) // HOUR_US
    within = first == last
    parts = []
    if within.any():
        parts.append(_reduce(cube[within], device_no[within], columns["channel_set"][within], first[within]))
    if not within.all():  # a frame across the full hour: sample by sample
        across = ~within
        offsets = np.arange(samples) * columns["period_ms"][across, None] * 1000
        hours = (columns["started_at"][across, None] + offsets) // HOUR_US
        parts.append(
            _reduce(
                cube[across].reshape(-1, 1, channels),
                np.repeat(device_no[across], samples),
                np.repeat(columns["channel_set"][across], samples),
                hours.ravel(),
            )
        )
    return parts


def _reduce(
    cube: NDArray[np.float32],
    device_no: NDArray[np.int32],
    channel_set: NDArray[np.int64],
    hour: NDArray[np.int64],
) -> Parts:
    """Rows (n * channels,) of a cube (n, samples, channels) of which each (samples, channels) lies in one hour."""
    present = ~np.isnan(cube)
    order = np.lexsort((hour, channel_set, device_no))
    device_no, channel_set, hour = device_no[order], channel_set[order], hour[order]
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(device_no) != 0) | (np.diff(channel_set) != 0) | (np.diff(hour) != 0)
    starts = np.flatnonzero(new)
    parts = np.empty((len(starts), cube.shape[2]), PARTS)
    parts["device_no"], parts["channel_set"] = device_no[starts, None], channel_set[starts, None]
    parts["hour"], parts["place"] = hour[starts, None], np.arange(cube.shape[2])
    totals = np.where(present, cube, np.float32(0)).sum(axis=1, dtype=np.float64)
    parts["readings"] = np.add.reduceat(present.sum(axis=1)[order], starts)
    parts["total"] = np.add.reduceat(totals[order], starts)
    parts["low"] = np.fmin.reduceat(np.fmin.reduce(cube, axis=1)[order], starts)
    parts["high"] = np.fmax.reduceat(np.fmax.reduce(cube, axis=1)[order], starts)
    flat = parts.ravel()
    return flat[flat["readings"] > 0]


def _merge(parts: Parts) -> Parts:
    """Rows of equal key as one."""
    if len(parts) < 2:
        return parts
    parts = parts[np.lexsort([parts[key] for key in KEYS])]
    new = np.ones(len(parts), bool)
    new[1:] = np.logical_or.reduce([parts[key][1:] != parts[key][:-1] for key in KEYS])
    starts = np.flatnonzero(new)
    merged = parts[starts]
    merged["low"] = np.minimum.reduceat(parts["low"], starts)
    merged["high"] = np.maximum.reduceat(parts["high"], starts)
    merged["total"] = np.add.reduceat(parts["total"], starts)
    merged["readings"] = np.add.reduceat(parts["readings"], starts)
    return merged


_COLUMNS = (("device_no", ">i4"), ("channel_set", ">i8"), ("place", ">i2"), ("hour", ">i8"), ("low", ">f4"),
            ("mean", ">f8"), ("high", ">f4"), ("readings", ">i8"))  # fmt: skip
_ROW = np.dtype([("fields", ">i2"), *(f for n, t in _COLUMNS for f in ((f"{n}_bytes", ">i4"), (n, t)))])


def copy_parts(parts: Parts) -> bytes:
    """The rows as binary COPY, for queries/ingest.sql's copy_rollup_staging."""
    rows = np.zeros(len(parts), _ROW)
    rows["fields"] = len(_COLUMNS)
    for name, form in _COLUMNS:
        rows[f"{name}_bytes"] = np.dtype(form).itemsize
        if name not in {"hour", "mean"}:
            rows[name] = parts[name]
    rows["hour"] = parts["hour"] * HOUR_US - POSTGRES_EPOCH_US
    rows["mean"] = parts["total"] / parts["readings"]
    return SIGNATURE + rows.tobytes() + TRAILER
