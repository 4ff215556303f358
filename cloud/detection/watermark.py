"""Put records back into event-time order, so that decisions do not depend on how they arrived.

Devices' streams interleave differently at each run, gateways drain backlogs, networks reorder.  The
stage holds what arrives and releases it in *ticks*: windows of event time of fixed length, on a grid
that starts at the epoch.  A tick is released when the watermark, the greatest event time seen minus the
stated bound on lateness, has passed its end.  Within a tick, rows are ordered by (time, device,
sequence).  Whatever arrives within the bound is therefore judged in one canonical order; whatever comes
later is counted and handed back as late, to be stored and taken up by a replay.

The idea is that of watermarks in dataflow systems (Akidau et al. 2015, "The Dataflow Model").
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from cloud.detection.records import DeviceEvent, RecordBlock


@dataclass(frozen=True, slots=True, order=True)
class Sample:
    """One sample on its way to the detector; (at, device, sequence) orders and identifies it."""

    at: float
    device: str
    sequence: tuple[int, ...] = ()
    channels: tuple[str, ...] = field(default=(), compare=False)
    values: tuple[float, ...] = field(default=(), compare=False)
    cohort: str = field(default="", compare=False)


@dataclass
class Watermark:
    """Reorder by event time.  ``lateness_s``: how late, against the newest record of all, a record may
    come and still be judged in order.  ``tick_s``: length of the windows that are released whole.

    >>> stage = Watermark(lateness_s=10, tick_s=5)
    >>> _ = stage.add([Sample(3.0, "a"), Sample(1.0, "b")])
    >>> [block.devices for block in stage.add([Sample(16.0, "a")])]
    [['b', 'a']]
    """

    lateness_s: float
    tick_s: float
    newest: float = -math.inf
    released_before: float = -math.inf
    late: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    _ticks: dict[int, dict[tuple[float, str, tuple[int, ...]], Sample]] = field(default_factory=dict)
    _events: dict[int, set[DeviceEvent]] = field(default_factory=dict)
    _due: list[int] = field(default_factory=list)
    late_records: list[Sample | DeviceEvent] = field(default_factory=list)

    def add(self, samples: Iterable[Sample], events: Iterable[DeviceEvent] = ()) -> list[RecordBlock]:
        """Take what arrived, in any order; return the blocks whose ticks are now complete."""
        for event in events:
            if self._in_time(event):
                self._events.setdefault(self._tick(event.at), set()).add(event)
        for sample in samples:
            if not self._in_time(sample):
                continue
            held = self._ticks.setdefault(self._tick(sample.at), {})
            key = (sample.at, sample.device, sample.sequence)
            self.duplicates += key in held
            held.setdefault(key, sample)
        return self._release(self.newest - self.lateness_s)

    def flush(self) -> list[RecordBlock]:
        """Release everything held: the end of a recorded stream."""
        return self._release(math.inf)

    def take_late(self) -> list[Sample | DeviceEvent]:
        """What came too late to be judged in order since the last call."""
        taken, self.late_records = self.late_records, []
        return taken

    def _tick(self, at: float) -> int:
        tick = math.floor(at / self.tick_s)
        if tick not in self._ticks and tick not in self._events:
            heapq.heappush(self._due, tick)
        return tick

    def _in_time(self, record: Sample | DeviceEvent) -> bool:
        if record.at < self.released_before:
            self.late[record.device] += 1
            self.late_records.append(record)
            return False
        self.newest = max(self.newest, record.at)
        return True

    def _release(self, watermark: float) -> list[RecordBlock]:
        out: list[RecordBlock] = []
        while self._due and (self._due[0] + 1) * self.tick_s <= watermark:
            tick = heapq.heappop(self._due)
            held = self._ticks.pop(tick, {})
            events = sorted(self._events.pop(tick, ()))
            out.extend(blocks_of([held[key] for key in sorted(held)], events))
            self.released_before = max(self.released_before, (tick + 1) * self.tick_s)
        if math.isfinite(watermark):
            floor = math.floor(watermark / self.tick_s) * self.tick_s
            self.released_before = max(self.released_before, floor)
        return out


def blocks_of(samples: Sequence[Sample], events: Sequence[DeviceEvent]) -> list[RecordBlock]:
    """Ordered samples of one tick, as blocks of devices that share channels and cohort."""
    groups: dict[tuple[str, tuple[str, ...]], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.cohort, sample.channels), []).append(sample)
    if events and not groups:
        groups[("", ())] = []
    blocks = []
    for position, ((cohort, channels), rows) in enumerate(sorted(groups.items())):
        blocks.append(
            RecordBlock(
                devices=[row.device for row in rows],
                times=np.array([row.at for row in rows], np.float64),
                channels=channels,
                values=np.array([row.values for row in rows], np.float64).reshape(len(rows), len(channels)),
                events=events if position == 0 else (),
                cohort=cohort,
            )
        )
    return blocks
