"""Put stored frames back into event-time order, so that decisions do not depend on how they arrived.

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


Head = tuple[str, float, int, int, float]
"""Of a frame: device, started_at, boot, seq, hold. The first four are its place in the canonical order."""


@dataclass(slots=True)
class Sheaf:
    """Samples of one tick that arrived together and have one list of channels.

    Row `i` is sample `within[i]` of the frame `heads[owners[i]]`; rows and heads are in canonical order. The ticks that
    a batch falls into share its `heads`. `times`: epoch s; `values`: (rows, channels).
    """

    channels: tuple[str, ...]
    heads: list[Head]
    owners: Ints
    within: Ints
    times: Floats
    values: Floats


@dataclass(slots=True)
class Tick:
    """A window of event time and what came of it so far: `number` times the tick length is its start."""

    number: int
    sheaves: list[Sheaf] = field(default_factory=list)
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
        by_channels: dict[tuple[str, ...], list[StoredFrame]] = {}
        for frame in frames:
            if len(frame.values):
                by_channels.setdefault(frame.channels, []).append(frame)
        for channels, alike in by_channels.items():
            self._take(channels, sorted(alike, key=_canonical))
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

    def _take(self, channels: tuple[str, ...], frames: list[StoredFrame]) -> None:
        """Hold the samples of these frames with their ticks."""
        heads: list[Head] = [(f.device, f.started_at, f.boot, f.seq, f.hold) for f in frames]
        started, periods, received = np.array([(f.started_at, f.period, f.received_at) for f in frames]).T
        counts = np.array([len(f.values) for f in frames])
        owners = np.repeat(np.arange(len(frames)), counts)
        within = np.arange(len(owners)) - (np.cumsum(counts) - counts)[owners]
        times = started[owners] + periods[owners] * within
        known = np.minimum(times, received[owners])  # no clock counts for more than its receipt
        values = np.concatenate([f.values for f in frames])
        numbers = np.floor(times / self.tick).astype(np.int64)
        order = np.argsort(numbers, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
            number = int(numbers[rows[0]])
            if self._is_late(number):
                self.late.update(heads[owner][0] for owner in owners[rows].tolist())
                continue
            self._hold(number).sheaves.append(
                Sheaf(channels, heads, owners[rows], within[rows], times[rows], values[rows])
            )
            self.newest = max(self.newest, float(known[rows].max()))

    def _release(self, bound: int) -> Iterator[Tick]:
        while self._due and self._due[0] < bound:
            number = heapq.heappop(self._due)
            self.next_tick = number + 1
            yield self._held.pop(number)
        self.next_tick = bound if self.next_tick is None else max(self.next_tick, bound)

    def blocks(self, tick: Tick) -> Iterator[RecordBlock]:
        """A complete tick's rows in canonical order, a block for each cohort and channel list; take each tick once."""
        pieces = [
            _Pieces(channels, [sheaf for sheaf in tick.sheaves if sheaf.channels == channels])
            for channels in {sheaf.channels for sheaf in tick.sheaves}
        ]
        groups: dict[tuple[str, tuple[str, ...]], tuple[_Pieces, list[int]]] = {}
        for alike in pieces:
            for piece, head in enumerate(alike.heads):
                key = (self.cohorts.get(head[0], ""), alike.channels)
                if key not in groups:
                    groups[key] = (alike, [])
                groups[key][1].append(piece)
        events = sorted(tick.events)
        if events and not groups:
            yield RecordBlock((), np.zeros(0), (), np.zeros((0, 0)), events)
        for cohort, channels in sorted(groups):
            yield self._block(cohort, *groups[cohort, channels], events)
            events = []

    def _block(self, cohort: str, alike: _Pieces, chosen: list[int], events: list[DeviceEvent]) -> RecordBlock:
        heads, lengths, times, values = alike.of(chosen)
        end = 0
        for head, length in zip(heads, lengths, strict=True):
            end += length
            if head[-1] > 0:
                rows = slice(end - length, end)
                values[rows] = self._stand_in(head, alike.channels, times[rows], values[rows])
        order = np.argsort(times, kind="stable")
        owners = np.repeat(np.arange(len(heads)), lengths)
        devices = DeviceColumn.of([head[0] for head in heads]).taken(owners[order])
        return RecordBlock(devices, times[order], alike.channels, values[order], events, cohort)

    def _stand_in(self, head: Head, channels: tuple[str, ...], times: Floats, values: Floats) -> Floats:
        """A piece's readings; where the sampler kept still within its deadband, the reading that stands."""
        device, hold = head[0], head[-1]
        standing = self._standing.get((device, channels))
        if standing is None:
            width = len(channels)
            standing = self._standing[device, channels] = _Standing(np.full(width, np.nan), np.full(width, -np.inf))
        present = ~np.isnan(values)
        place = np.where(present, np.arange(len(values))[:, None], -1)
        latest = np.maximum.accumulate(place, axis=0)
        column = np.arange(values.shape[1])
        inside = latest >= 0
        filled = np.where(inside, values[latest, column], standing.values)
        until = np.where(inside, times[np.maximum(latest, 0)] + hold, standing.until)
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


class _Pieces:
    """What sheaves of one tick and one list of channels hold, frame by frame in canonical order."""

    def __init__(self, channels: tuple[str, ...], sheaves: list[Sheaf]) -> None:
        self.channels = channels
        self.heads: list[Head] = []
        self.times = np.concatenate([sheaf.times for sheaf in sheaves])
        self.values = np.concatenate([sheaf.values for sheaf in sheaves])
        firsts, places = [], []
        rows = 0
        for sheaf in sheaves:
            begin = np.flatnonzero(np.diff(sheaf.owners, prepend=-1))
            self.heads += [sheaf.heads[owner] for owner in sheaf.owners[begin].tolist()]
            firsts.append(rows + begin)
            places += sheaf.within[begin].tolist()
            rows += len(sheaf.owners)
        self.begin = np.concatenate(firsts)
        self.lengths = np.diff(self.begin, append=rows)
        if len(sheaves) > 1:
            heads = self.heads
            order = sorted(range(len(heads)), key=lambda piece: (heads[piece][:4], places[piece]))
            self.heads = [heads[piece] for piece in order]
            self.begin, self.lengths = self.begin[order], self.lengths[order]

    def of(self, chosen: list[int]) -> tuple[list[Head], list[int], Floats, Floats]:
        """Heads and lengths of the chosen pieces, and the times and values of their rows, in order."""
        lengths = self.lengths[chosen]
        rows = np.repeat(self.begin[chosen] - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
        return [self.heads[piece] for piece in chosen], lengths.tolist(), self.times[rows], self.values[rows]


def _canonical(frame: StoredFrame) -> tuple[str, float, int, int]:
    return frame.device, frame.started_at, frame.boot, frame.seq
