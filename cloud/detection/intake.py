"""Event-time order for whole frames: the columnar form of `cloud.detection.watermark`, for the service path.

Devices' streams interleave differently at each run, gateways drain backlogs, networks reorder. What arrives is held
and released in *ticks*, windows of event time of fixed length on a grid that starts at the epoch. A tick is
released once the watermark, the newest event time less the stated bound on lateness, has passed its end; its rows come
out ordered by (time, device, boot, seq, place in the frame). What arrives within the bound is therefore judged in one
canonical order. What comes later is counted by device and left to a replay.

A clock that runs ahead must not make everybody else late: an event time counts towards the watermark only up to the
time at which it was received. The idea is that of Akidau et al. 2015, "The Dataflow Model".
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from cloud.detection.columns import DeviceColumn
from cloud.detection.records import DeviceEvent, Floats, Ints, RecordBlock


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A committed frame. `started_at`, `received_at`: epoch s; `period`: s; `values`: float, (samples, channels).

    `hold`: seconds for which a reading stands when no newer one comes (deadband); 0 when it does not.
    """

    device: str
    boot: int
    seq: int
    started_at: float
    period: float
    channels: tuple[str, ...]
    values: Floats
    received_at: float
    hold: float = 0.0

    @property
    def times(self) -> Floats:
        """Event time of each sample, epoch s."""
        times: Floats = self.started_at + self.period * np.arange(len(self.values), dtype=np.float64)
        return times


Piece = tuple[StoredFrame, slice]


@dataclass(slots=True)
class Tick:
    """A window of event time and what came of it so far: `number` times the tick length is its start."""

    number: int
    pieces: list[Piece] = field(default_factory=list)
    events: set[DeviceEvent] = field(default_factory=set)


@dataclass(slots=True)
class _Standing:
    """The reading that stands for each channel of a device, and until when (epoch s)."""

    values: Floats
    until: Floats


@dataclass(slots=True)
class Intake:
    """Reorder stored frames by event time.

    `lateness`: seconds behind the newest record within which a record is still judged in order. `tick`: length of a
    window, s. Late samples are counted in `late`, by device. `cohorts` maps a device to its model where known.
    """

    lateness: float
    tick: float
    newest: float = -math.inf
    next_tick: int | None = None
    late: Counter[str] = field(default_factory=Counter)
    cohorts: dict[str, str] = field(default_factory=dict)
    _held: dict[int, Tick] = field(default_factory=dict)
    _due: list[int] = field(default_factory=list)
    _standing: dict[tuple[str, tuple[str, ...]], _Standing] = field(default_factory=dict)

    def add(self, frames: Iterable[StoredFrame], events: Iterable[tuple[DeviceEvent, float]] = ()) -> None:
        """Take what was committed, in any order; an event comes with the time of its receipt, epoch s."""
        self._take(list(frames))
        for event, received_at in events:
            number = math.floor(event.at / self.tick)
            if self._is_late(number):
                self.late[event.device] += 1
            else:
                self._hold(number).events.add(event)
                self.newest = max(self.newest, min(event.at, received_at))

    def ready(self) -> Iterator[Tick]:
        """Ticks that are now complete, in order; each is let go when it is taken."""
        if math.isfinite(self.newest):
            yield from self._release(math.floor((self.newest - self.lateness) / self.tick))

    def flush(self) -> Iterator[Tick]:
        """Everything that is held: the end of a recorded stream."""
        if self._due:
            yield from self._release(max(self._due) + 1)

    def _is_late(self, number: int) -> bool:
        return self.next_tick is not None and number < self.next_tick

    def _hold(self, number: int) -> Tick:
        if number not in self._held:
            self._held[number] = Tick(number)
            heapq.heappush(self._due, number)
        return self._held[number]

    def _take(self, frames: list[StoredFrame]) -> None:
        """Cut all frames into pieces where a tick ends, and hold the pieces with their ticks."""
        frames = [frame for frame in frames if len(frame.values)]
        if not frames:
            return
        owners, within = _counted([len(frame.values) for frame in frames])
        times = _times_of(frames, owners, within)
        numbers = np.floor(times / self.tick).astype(np.int64)
        cuts = np.flatnonzero((owners[1:] != owners[:-1]) | (numbers[1:] != numbers[:-1]))
        firsts, lasts = np.concatenate([[0], cuts + 1]), np.append(cuts, len(times) - 1)
        whose, starts, ends = owners[firsts].tolist(), within[firsts].tolist(), (within[lasts] + 1).tolist()
        in_time = np.ones(len(firsts), np.bool_)
        tick, pieces = None, []
        for piece, number in enumerate(numbers[firsts].tolist()):
            frame, rows = frames[whose[piece]], slice(starts[piece], ends[piece])
            if number != tick:
                if self._is_late(number):
                    in_time[piece] = False
                    self.late[frame.device] += rows.stop - rows.start
                    continue
                tick, pieces = number, self._hold(number).pieces
            pieces.append((frame, rows))
        if in_time.any():
            received = np.array([frame.received_at for frame in frames])[owners[lasts]]
            self.newest = max(self.newest, float(np.minimum(times[lasts], received)[in_time].max()))

    def _release(self, bound: int) -> Iterator[Tick]:
        while self._due and self._due[0] < bound:
            number = heapq.heappop(self._due)
            self.next_tick = number + 1
            yield self._held.pop(number)
        self.next_tick = bound if self.next_tick is None else max(self.next_tick, bound)

    def blocks(self, tick: Tick) -> Iterator[RecordBlock]:
        """A complete tick's rows in canonical order, a block for each cohort and channel list; take each tick once."""
        groups: dict[tuple[str, tuple[str, ...]], list[Piece]] = {}
        for piece in sorted(tick.pieces, key=_canonical):
            groups.setdefault((self.cohorts.get(piece[0].device, ""), piece[0].channels), []).append(piece)
        events = sorted(tick.events)
        if events and not groups:
            yield RecordBlock((), np.zeros(0), (), np.zeros((0, 0)), events)
        for cohort, channels in sorted(groups):
            yield self._block(cohort, channels, groups[cohort, channels], events)
            events = []

    def _block(
        self, cohort: str, channels: tuple[str, ...], pieces: list[Piece], events: list[DeviceEvent]
    ) -> RecordBlock:
        frames = [frame for frame, _ in pieces]
        owners, within = _counted([rows.stop - rows.start for _, rows in pieces])
        times = _times_of(frames, owners, within + np.array([rows.start for _, rows in pieces])[owners])
        values = np.concatenate([self._stand_in(frame, rows) for frame, rows in pieces])
        order = np.argsort(times, kind="stable")
        devices = DeviceColumn.of([frame.device for frame in frames])
        return RecordBlock(devices.taken(owners[order]), times[order], channels, values[order], events, cohort)

    def _stand_in(self, frame: StoredFrame, rows: slice) -> Floats:
        """The piece's readings; where the sampler kept still within its deadband, the reading that stands."""
        values = frame.values[rows]
        if frame.hold <= 0:
            return values
        times = frame.times[rows]
        key = (frame.device, frame.channels)
        standing = self._standing.get(key)
        if standing is None:
            width = len(frame.channels)
            standing = self._standing[key] = _Standing(np.full(width, np.nan), np.full(width, -np.inf))
        present = ~np.isnan(values)
        place = np.where(present, np.arange(len(values))[:, None], -1)
        latest = np.maximum.accumulate(place, axis=0)
        column = np.arange(values.shape[1])
        inside = latest >= 0
        filled = np.where(inside, values[latest, column], standing.values)
        until = np.where(inside, times[np.maximum(latest, 0)] + frame.hold, standing.until)
        standing.values, standing.until = filled[-1], until[-1]
        filled[times[:, None] > until] = np.nan
        return filled


def _counted(lengths: list[int]) -> tuple[Ints, Ints]:
    """For pieces of these lengths, one after the other: the piece that each row belongs to, and its place there."""
    counts = np.array(lengths, np.int64)
    owners = np.repeat(np.arange(len(counts)), counts)
    return owners, np.arange(len(owners)) - (np.cumsum(counts) - counts)[owners]


def _times_of(frames: list[StoredFrame], owners: Ints, within: Ints) -> Floats:
    """Event time, epoch s, of the samples at places ``within`` of the frames numbered ``owners``."""
    started = np.array([frame.started_at for frame in frames])
    periods = np.array([frame.period for frame in frames])
    times: Floats = started[owners] + periods[owners] * within
    return times


def _canonical(piece: Piece) -> tuple[str, float, int, int, int]:
    frame, rows = piece
    return frame.device, frame.started_at, frame.boot, frame.seq, rows.start
