"""One device's path from readings to messages: fault monitor, freeze frame, sampler, frames. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan, nan

from edge_agent.counters import Counters
from edge_agent.draft import Draft, Rank
from edge_agent.fault_monitor import FaultChange, FaultMonitor
from edge_agent.framing import Assembled, FrameAssembler
from edge_agent.freeze_frame import FreezeFrame, Span
from edge_agent.ports import DriverError, Reading
from edge_agent.sampler import Sampler
from edge_agent.settings import DeviceSettings
from protocols.frames import FREEZE, MAX_READINGS
from protocols.messages import ChannelSet, Fault, SetSampling, Window
from protocols.topics import Kind

FLOAT32_MAX = 3.4028234663852886e38
END_OF_TIME_S = 253_402_300_800  # year 10000
CODE_CHARACTERS = 64


class Appliance:
    """Turns one device's readings into drafts of messages; keeps no clock and does no I/O.

    The first row of each frame carries all channels, so that every frame can be read by itself, and the first frame
    after a start ends with its first row, so that a restarted gateway is seen at once.
    """

    def __init__(
        self,
        channel_set: ChannelSet,
        settings: DeviceSettings,
        counters: Counters,
        active: Mapping[str, float] | None = None,
    ) -> None:
        self.device = settings.id
        self._declared = channel_set
        self._settings = settings
        self._counters = counters
        self._names = [channel.name for channel in channel_set.channels]
        self._deadbands = dict(settings.sampling.deadbands)
        self._max_interval_s = settings.sampling.max_interval_s
        self._sampler = Sampler(self._names, self._deadbands, self._max_interval_s)
        self._monitor = FaultMonitor(settings.faults.on_delay_s, settings.faults.off_delay_s, active)
        self._base_period_ms = settings.sampling.period_ms or channel_set.period_ms
        self._denser_until: float | None = None
        self._first = True
        self._begin(self._base_period_ms)

    def _begin(self, period_ms: int) -> None:
        """Begin to gather at a period, and say how long a reading stands."""
        self.period_ms = period_ms
        hold_ms = self._declared.hold_ms
        if any(name in self._deadbands for name in self._names):
            hold_ms = round(self._max_interval_s * 1000) + self._base_period_ms
        self.channel_set = ChannelSet.of(self._declared.channels, self._base_period_ms, hold_ms)
        self._frames = self._assembler()
        self._freeze = self._freezer()

    @property
    def active_faults(self) -> dict[str, float]:
        """Active fault codes and since when (s)."""
        return self._monitor.active

    def observe(self, reading: Reading) -> list[Draft]:
        """Take one reading; return the messages that it completes, faults first.

        Raises:
            DriverError: the reading cannot be one of this device: number of values, event time, a fault code's length.
        """
        self._check(reading)
        at = reading.at
        self._counters.readings += 1
        drafts = self._end_density(at)
        values = self._storable(reading.values)
        frozen = self._freeze.observe(at, values)
        for change in self._monitor.observe(at, reading.fault_codes):
            window, complete = self._freeze.raised(at) if change.raised else (None, [])
            frozen.extend(complete)
            drafts.append(self._fault(change, window))
        row = self._sampler.select(at, values, everything=self._frames.begins_frame(at))
        complete = self._frames.add(at, row)
        if self._first:
            self._first = False
            complete.extend(self._frames.flush())
        drafts.extend(self._frame(frame) for frame in frozen)
        drafts.extend(self._frame(frame) for frame in complete)
        return drafts

    def flush(self) -> list[Draft]:
        """The frames begun so far: at a stop, or when the driver falls silent."""
        return [self._frame(frame) for frame in (*self._freeze.flush(), *self._frames.flush())]

    def set_sampling(self, order: SetSampling) -> list[Draft]:
        """Change the sampling for good; returns the frames that end by it.

        Raises:
            ValueError: a deadband for a channel that the device does not have.
        """
        unknown = sorted(order.deadbands.keys() - set(self._names))
        if unknown:
            raise ValueError(f"device {self.device} has no channel {', '.join(unknown)}; it has {self._names}")
        self._deadbands.update(order.deadbands)
        if order.max_interval_ms is not None:
            self._max_interval_s = order.max_interval_ms / 1000
        self._sampler.retune(self._deadbands, self._max_interval_s)
        self._base_period_ms = order.period_ms or self._base_period_ms
        drafts = self.flush()
        self._begin(self.period_ms if self._denser_until is not None else self._base_period_ms)
        return drafts

    def raise_density(self, period_ms: int, until: float) -> list[Draft]:
        """Sample at `period_ms` and send every reading until event time `until` (s); returns frames that end by it."""
        self._denser_until = until
        self._sampler.send_everything(until)
        return self._change_period(period_ms)

    def _end_density(self, at: float) -> list[Draft]:
        if self._denser_until is None or at < self._denser_until:
            return []
        self._denser_until = None
        return self._change_period(self._base_period_ms)

    def _change_period(self, period_ms: int) -> list[Draft]:
        if period_ms == self.period_ms:
            return []
        drafts = self.flush()
        self._begin(period_ms)
        return drafts

    def _check(self, reading: Reading) -> None:
        problem = None
        if len(reading.values) != len(self._names):
            problem = f"{len(reading.values)} values for {len(self._names)} channels"
        elif not 0 <= reading.at < END_OF_TIME_S:
            problem = f"the event time {reading.at}; expected s since 1970"
        elif not all(1 <= len(code) <= CODE_CHARACTERS for code in reading.fault_codes):
            problem = f"a fault code of other than 1-{CODE_CHARACTERS} characters: {sorted(reading.fault_codes)}"
        if problem:
            raise DriverError(f"device {self.device}: the driver gave {problem}")

    def _assembler(self) -> FrameAssembler:
        sampling = self._settings.sampling
        return FrameAssembler(
            self.channel_set.id,
            len(self._names),
            self.period_ms,
            max_samples=sampling.frame_samples,
            max_seconds=sampling.frame_seconds,
        )

    def _freezer(self) -> FreezeFrame:
        before, after = self._settings.faults.freeze_before_s, self._settings.faults.freeze_after_s
        span = before + after + self.period_ms / 1000
        frames = FrameAssembler(
            self.channel_set.id,
            len(self._names),
            self.period_ms,
            max_samples=MAX_READINGS,
            max_seconds=span,
            flags=FREEZE,
        )
        return FreezeFrame(frames, before, after)

    def _storable(self, values: Sequence[float]) -> Sequence[float]:
        """Readings that a float32 can hold; others become NaN and are counted."""
        if all(-FLOAT32_MAX <= value <= FLOAT32_MAX for value in values):
            return values
        self._counters.infinite_readings += sum(not isnan(v) and abs(v) > FLOAT32_MAX for v in values)
        return tuple(value if abs(value) <= FLOAT32_MAX else nan for value in values)

    def _fault(self, change: FaultChange, window: Span | None) -> Draft:
        self._counters.faults += 1
        at_ms = round(change.at * 1000)
        span = window and Window(started_at=round(window.started_at * 1000), ended_at=round(window.ended_at * 1000))

        def compose(boot: int, seq: int) -> bytes:
            fault = Fault(at=at_ms, boot=boot, seq=seq, code=change.code, raised=change.raised, freeze_frame=span)
            return fault.encode()

        return Draft(self.device, Kind.FAULT, Rank.EVENT, at_ms, compose)

    def _frame(self, frame: Assembled) -> Draft:
        frozen = bool(frame.flags & FREEZE)
        self._counters.frames += 1
        self._counters.freeze_frames += frozen
        rank = Rank.FREEZE if frozen else Rank.TELEMETRY
        return Draft(self.device, Kind.TELEMETRY, rank, frame.started_at // 1000, frame.encode)
