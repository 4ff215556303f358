"""Many telemetry frames at once, as numpy columns. `protocols.frames` is the reference and judges what is refused.

Frames of equal length are laid under each other and read as one structured array. What passes all checks here is
what the reference accepts; whatever does not is given to the reference, which names the error.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.errors import ProtocolError
from protocols.frames import (
    CHECKSUM,
    DENSE,
    HEADER,
    KNOWN_FLAGS,
    MAGIC,
    MAX_CHANNELS,
    MAX_READINGS,
    SPARSE,
    VERSION,
    decode_frame,
)

CRC_RESIDUE = 0x2144DF1C
"""The CRC-32 of any bytes followed by their own CRC-32, little endian. Source: Koopman, "The CRC Residue"; [K] checked
in tests/ingest/test_decode.py."""

_FIELDS = ("magic", "version", "encoding", "flags", "channel_set", "boot", "seq", "started_at", "period_ms",
           "samples", "channels")  # fmt: skip
_FORMATS = ("u1", "u1", "u1", "u1", "<u4", "<u4", "<u4", "<i8", "<u4", "<u2", "<u2")
_OFFSETS = (0, 1, 2, 3, 4, 8, 12, 16, 24, 28, 30)

COLUMNS = np.dtype(
    [
        ("place", "i8"), ("channel_set", "i8"), ("boot", "i8"), ("seq", "i8"), ("started_at", "i8"),
        ("period_ms", "i8"), ("samples", "i4"), ("channels", "i4"), ("flags", "i2"),
    ]
)  # fmt: skip
"""Of a block's header: `place` is the payload's index in what was given; started_at is in µs since the epoch."""

Columns = NDArray[np.void]
Readings = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FrameBlock:
    """Frames with equally many readings. columns: (n,) of COLUMNS; readings: (n, samples*channels) float32."""

    columns: Columns
    readings: Readings

    def __len__(self) -> int:
        return len(self.columns)

    def take(self, keep: NDArray[np.bool_]) -> FrameBlock:
        """Only the rows where `keep` (n,) is true."""
        return self if keep.all() else FrameBlock(self.columns[keep], self.readings[keep])


@dataclass(frozen=True, slots=True)
class Decoded:
    """Blocks of frames, and the index and error of each payload that is none."""

    blocks: list[FrameBlock]
    refused: list[tuple[int, ProtocolError]]


def decode_frames(payloads: Sequence[bytes]) -> Decoded:
    """Decode payloads; each ends in exactly one block or among the refused."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for place, payload in enumerate(payloads):
        by_length[len(payload)].append(place)
    parts: dict[int, list[FrameBlock]] = defaultdict(list)
    doubtful: list[int] = []
    for length, places in by_length.items():
        if length < HEADER.size + CHECKSUM.size or len(places) * length > 1 << 28:
            doubtful.extend(places)
            continue
        for block in _decode_equally_long(payloads, places, length, doubtful):
            parts[block.readings.shape[1]].append(block)
    refused = _ask_the_reference(payloads, doubtful, parts)
    return Decoded([_joined(blocks) for blocks in parts.values()], refused)


def _joined(blocks: list[FrameBlock]) -> FrameBlock:
    if len(blocks) == 1:
        return blocks[0]
    return FrameBlock(
        np.concatenate([block.columns for block in blocks]), np.concatenate([block.readings for block in blocks])
    )


def _decode_equally_long(
    payloads: Sequence[bytes], places: list[int], length: int, doubtful: list[int]
) -> list[FrameBlock]:
    chosen = [payloads[place] for place in places]
    raw = np.frombuffer(b"".join(chosen), np.uint8).reshape(-1, length)
    heads = raw.view(_header_type(length))[:, 0]
    readings = heads["samples"].astype(np.int32) * heads["channels"]
    sound = (
        (heads["magic"] == MAGIC)
        & (heads["version"] == VERSION)
        & ((heads["flags"] & ~np.uint8(KNOWN_FLAGS)) == 0)
        & (heads["period_ms"] >= 1)
        & (heads["channels"] <= MAX_CHANNELS)
        & (readings >= 1)
        & (readings <= MAX_READINGS)
        & (np.fromiter(map(zlib.crc32, chosen), np.uint32, len(chosen)) == CRC_RESIDUE)
    )
    body = length - HEADER.size - CHECKSUM.size
    dense = sound & (heads["encoding"] == DENSE) & (4 * readings == body)
    sparse = sound & (heads["encoding"] == SPARSE)
    index = np.array(places)
    blocks: list[FrameBlock] = []
    decoded = np.zeros(len(places), bool)
    if dense.any():
        values = raw[:, HEADER.size : HEADER.size + body].view("<f4") if body % 4 == 0 else np.empty((0, 0))
        decoded |= _keep_finite(blocks, heads, index, dense, values[dense])
    for count in np.unique(readings[sparse]):
        rows = sparse & (readings == count)
        values, exact = _spread(raw[rows, HEADER.size : HEADER.size + body], int(count))
        rows[rows] = exact
        decoded |= _keep_finite(blocks, heads, index, rows, values)
    doubtful.extend(index[~decoded].tolist())
    return blocks


def _keep_finite(
    blocks: list[FrameBlock],
    heads: NDArray[np.void],
    index: NDArray[np.int64],
    rows: NDArray[np.bool_],
    values: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Append the rows without an infinite reading as a block; return which they were."""
    finite = ~np.isinf(values).any(axis=1)
    kept = rows.copy()
    kept[rows] = finite
    if kept.any():
        columns = np.empty(int(kept.sum()), COLUMNS)
        columns["place"] = index[kept]
        for name in COLUMNS.names[1:] if COLUMNS.names else ():
            columns[name] = heads[name][kept]
        blocks.append(FrameBlock(columns, values[finite].astype(np.float32, copy=False)))
    return kept


def _spread(bodies: NDArray[np.uint8], count: int) -> tuple[Readings, NDArray[np.bool_]]:
    """Sparse bodies (n, bytes) as dense readings (n', count), with which rows they are: those whose bitmap fits."""
    bitmap_bytes = (count + 7) // 8
    present, left = divmod(bodies.shape[1] - bitmap_bytes, 4)
    if present < 0 or left:
        return np.empty((0, count), np.float32), np.zeros(len(bodies), bool)
    bits = np.unpackbits(bodies[:, :bitmap_bytes], axis=1, bitorder="little").astype(bool)
    exact = (bits[:, :count].sum(axis=1) == present) & ~bits[:, count:].any(axis=1)
    values = np.full((int(exact.sum()), count), np.nan, np.float32)
    # Row by row, in order: each row's mask takes exactly its own `present` values.
    values[bits[exact, :count]] = np.ascontiguousarray(bodies[exact, bitmap_bytes:]).view("<f4").ravel()
    return values, exact


def _ask_the_reference(
    payloads: Sequence[bytes], doubtful: list[int], parts: dict[int, list[FrameBlock]]
) -> list[tuple[int, ProtocolError]]:
    refused = []
    for place in doubtful:
        try:
            frame = decode_frame(payloads[place])
        except ProtocolError as error:
            refused.append((place, error))
            continue
        head = frame.header
        columns = np.array(
            [(place, head.channel_set, head.boot, head.seq, head.started_at, head.period_ms, head.samples,
              head.channels, head.flags)], COLUMNS)  # fmt: skip
        parts[head.readings].append(FrameBlock(columns, np.array([frame.readings], np.float32)))
    return refused


_header_types: dict[int, np.dtype[np.void]] = {}


def _header_type(length: int) -> np.dtype[np.void]:
    found = _header_types.get(length)
    if found is None:
        if len(_header_types) > 4_096:
            _header_types.clear()
        found = _header_types[length] = np.dtype(
            {"names": _FIELDS, "formats": _FORMATS, "offsets": _OFFSETS, "itemsize": length}
        )
    return found
