"""Puts frames, fault reports and findings into a migrated database the way ingest and the desk do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

CHANNELS = ["power", "temperature", "speed"]
CHANNEL_SET = 7


class Store:
    """One writer of one gateway's devices."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True, options="-c timezone=UTC")
        self.numbers: dict[str, int] = {}
        self.seq = 0

    def close(self) -> None:
        self.connection.close()

    def device(self, device: str) -> int:
        """The number of a device, made with its channel set at first sight."""
        if device not in self.numbers:
            self._ask("INSERT INTO gateway (gateway, partition) VALUES ('g', 1) ON CONFLICT DO NOTHING RETURNING 1")
            number = self._ask("INSERT INTO device (device) VALUES (%s) RETURNING device_no", device)
            self.connection.execute(
                "INSERT INTO channel_set (device_no, channel_set, names, units, resolutions, roles, period_ms,"
                " declared_at) VALUES (%s, %s, %s, %s, %s, %s, 60000, now())",
                [number, CHANNEL_SET, CHANNELS, [""] * 3, [0.0] * 3, ["measurement"] * 3],
            )
            self.numbers[device] = number
        return self.numbers[device]

    def commit(
        self, frames: Sequence[tuple[str, float, NDArray[np.float64]]], codes: Sequence[tuple[str, float, str]] = ()
    ) -> int:
        """One committed batch of frames (device, started_at, samples x 3) and raised codes; returns its number."""
        times = [at for _, at, _ in frames] + [at for _, at, _ in codes]
        for device in {name for name, *_ in [*frames, *codes]}:
            self.device(device)
        with self.connection.transaction():
            batch = self._ask(
                "INSERT INTO ingest_batch (frames, fault_reports, first_at, last_at)"
                " VALUES (%s, %s, to_timestamp(%s), to_timestamp(%s)) RETURNING batch_no",
                len(frames), len(codes), min(times), max(times),
            )  # fmt: skip
            self.connection.execute(
                "SELECT ensure_frame_partitions(array(SELECT to_timestamp(t) FROM unnest(%s::float8[]) AS t))", [times]
            )
            for device, at, values in frames:
                self.seq += 1
                self.connection.execute(
                    "INSERT INTO frame VALUES (%s, to_timestamp(%s), 1, %s, 1, %s, 60000, %s, 3, 0, %s, %s, now())",
                    [self.numbers[device], at, self.seq, CHANNEL_SET, len(values), values.ravel().tolist(), batch],
                )
            for device, at, code in codes:
                self.seq += 1
                self.connection.execute(
                    "INSERT INTO fault_report (device_no, occurred_at, boot, seq, code, raised, gateway_no, batch_no,"
                    " ingested_at) VALUES (%s, to_timestamp(%s), 1, %s, %s, true, 1, %s, now())",
                    [self.numbers[device], at, self.seq, code, batch],
                )
            self.connection.execute("SELECT pg_notify('ingest_batch', %s)", [str(batch)])
        return batch

    def finding(self, device: str, failed_at: float, code: str) -> None:
        """A failure that the customer told of."""
        self.connection.execute(
            "INSERT INTO finding (device_no, outcome, code, part, failed_at, found_at)"
            " VALUES (%s, 'fault_confirmed', %s, 'pump', to_timestamp(%s), to_timestamp(%s))",
            [self.numbers[device], code, failed_at, failed_at + 3600],
        )

    def _ask(self, sql: Any, *parameters: Any) -> int:
        row = self.connection.execute(sql, parameters).fetchone()
        return 0 if row is None else int(row[0])
