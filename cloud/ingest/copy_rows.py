"""Frames as PostgreSQL's binary COPY, a whole block at once by numpy.

Format: PostgreSQL documentation, COPY, "Binary Format": a signature, then a row as a field count (i16) and each
field as its length (i32) and bytes, big endian; an array as dimensions, null flag, element type, and for each
dimension its size and lower bound, then the elements. Timestamps are µs since 2000-01-01.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloud.ingest.decode import FrameBlock

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
POSTGRES_EPOCH_US = 946_684_800_000_000
"""2000-01-01 UTC in µs since 1970."""

FLOAT4 = 700
"""The OID of `real`."""

FRAME_COLUMNS = (
    "device_no", "started_at", "boot", "seq", "gateway_no", "channel_set", "period_ms", "samples", "channels",
    "flags", "readings", "batch_no", "ingested_at",
)  # fmt: skip
"""The columns of table frame in the order in which they are sent (queries/ingest.sql names the same)."""

_SCALARS = {
    "device_no": ">i4", "started_at": ">i8", "boot": ">i8", "seq": ">i8", "gateway_no": ">i4",
    "channel_set": ">i8", "period_ms": ">i8", "samples": ">i4", "channels": ">i4", "flags": ">i2",
    "batch_no": ">i8", "ingested_at": ">i8",
}  # fmt: skip

_row_types: dict[int, np.dtype[np.void]] = {}


def _row_type(count: int) -> np.dtype[np.void]:
    """The layout of one row with `count` readings."""
    found = _row_types.get(count)
    if found is None:
        fields: list[Any] = [("fields", ">i2")]
        for name in FRAME_COLUMNS:
            fields.append((f"{name}_bytes", ">i4"))
            if name == "readings":
                fields += [("dimensions", ">i4"), ("nulls", ">i4"), ("element", ">i4"), ("size", ">i4"),
                           ("lower", ">i4"), (name, [("bytes", ">i4"), ("value", ">f4")], (count,))]  # fmt: skip
            else:
                fields.append((name, _SCALARS[name]))
        found = _row_types[count] = np.dtype(fields)
    return found


def copy_rows(
    block: FrameBlock,
    device_no: NDArray[np.int32],
    gateway_no: NDArray[np.int32],
    batch_no: int,
    ingested_at: int,
) -> bytes:
    """The rows of a block, without signature and trailer.

    device_no, gateway_no: (n,). ingested_at: µs since 1970.
    """
    count = block.readings.shape[1]
    rows = np.zeros(len(block), _row_type(count))
    rows["fields"] = len(FRAME_COLUMNS)
    for name, form in _SCALARS.items():
        rows[f"{name}_bytes"] = np.dtype(form).itemsize
    for name in ("boot", "seq", "channel_set", "period_ms", "samples", "channels", "flags"):
        rows[name] = block.columns[name]
    rows["started_at"] = block.columns["started_at"] - POSTGRES_EPOCH_US
    rows["device_no"], rows["gateway_no"] = device_no, gateway_no
    rows["batch_no"], rows["ingested_at"] = batch_no, ingested_at - POSTGRES_EPOCH_US
    rows["readings_bytes"] = 20 + 8 * count
    rows["dimensions"], rows["element"], rows["size"], rows["lower"] = 1, FLOAT4, count, 1
    rows["readings"]["bytes"] = 4
    rows["readings"]["value"] = block.readings
    return rows.tobytes()
