"""Low-rate messages, in JSON. Each carries `v`; another version is a typed error, an unknown field is ignored.

Times are integers in ms since 1970-01-01 UTC and mean the event, not its arrival. `boot` and `seq` name a
message that wants a receipt: `boot` grows with each start of the agent, `seq` counts a device's messages
(device "-" for the gateway's own) within a boot, across kinds.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from protocols.errors import AbsurdTime, Malformed, NotFinite, Oversize, ProtocolError, UnsupportedVersion
from protocols.frames import MAX_CHANNELS, MAX_READINGS
from protocols.identifiers import identifier

VERSION = 1
MAX_MESSAGE_BYTES = 262_144
EARLIEST_MS = 946_684_800_000  # 2000-01-01: an older clock was never set
FUTURE_MS = 86_400_000  # a day: a clock may run ahead, not further

U32 = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
Milliseconds = Annotated[int, Field(ge=0, le=253_402_300_799_999)]  # year 9999
Finite = Annotated[float, Field(allow_inf_nan=False)]
Identifier = Annotated[str, AfterValidator(identifier)]
Receiver = Annotated[str, AfterValidator(lambda text: text if text == "-" else identifier(text))]
Label = Annotated[str, Field(min_length=1, max_length=64)]


class Part(BaseModel):
    """A piece of a message: immutable, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Message(Part):
    """A whole message: `encode()` gives its bytes, `decode()` reads them."""

    v: Literal[1] = 1
    at: Milliseconds

    def encode(self) -> bytes:
        """The message as JSON, without fields that are None."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a message.

        Raises:
            Oversize, UnsupportedVersion, NotFinite, Malformed: each says which field was wrong and how.
        """
        if len(payload) > MAX_MESSAGE_BYTES:
            raise Oversize(f"a message of {len(payload)} bytes; at most {MAX_MESSAGE_BYTES} are allowed")
        try:
            return cls.model_validate_json(payload)
        except ValidationError as error:
            raise _explain(cls.__name__.lower(), error) from None


class Sequenced(Message):
    """A message that is kept until a receipt names its boot and seq."""

    boot: U32
    seq: U32


class Channel(Part):
    """One channel of a device. `resolution` is in `unit`; a `mode` says which operating mode runs."""

    name: Label
    unit: Annotated[str, Field(max_length=16)] = ""
    resolution: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    role: Literal["measurement", "mode"] = "measurement"


class ChannelSet(Part):
    """The channels of a frame, in order, declared once. `id` changes whenever the set does.

    `hold_ms`: a reading stands for so long when none follows it, because the sampler keeps still while a channel stays
    within its deadband; absence beyond it is silence. 0: a reading stands for its own instant only.
    """

    id: U32
    period_ms: Annotated[int, Field(ge=1, le=0xFFFFFFFF)]
    hold_ms: U32 = 0
    channels: Annotated[tuple[Channel, ...], Field(min_length=1, max_length=MAX_CHANNELS)]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [channel.name for channel in self.channels]
        if len(set(names)) != len(names):
            raise ValueError("two channels have the same name")
        return self

    @classmethod
    def of(cls, channels: tuple[Channel, ...], period_ms: int, hold_ms: int = 0) -> ChannelSet:
        """A channel set whose id is computed from its content, so that equal sets have equal ids."""
        content: list[Any] = [[c.name, c.unit, c.resolution, c.role] for c in channels]
        if hold_ms:
            content.append(hold_ms)
        text = json.dumps(content, separators=(",", ":"))
        return cls(id=zlib.crc32(text.encode()), period_ms=period_ms, hold_ms=hold_ms, channels=channels)


class ActiveFault(Part):
    """A fault code that a device shows now, and since when it does."""

    code: Label
    since: Milliseconds


class DeviceInventory(Part):
    """One device behind a gateway. `gentle_until`: it was ordered to run gently until then, and does."""

    device: Identifier
    firmware: Annotated[str, Field(max_length=64)] = ""
    channel_sets: tuple[ChannelSet, ...] = ()
    active_faults: tuple[ActiveFault, ...] = ()
    gentle_until: Milliseconds | None = None


class Birth(Sequenced):
    """What a gateway says first on each connection: itself, its devices, and which faults are active now."""

    agent: Annotated[str, Field(max_length=64)]
    clock_synchronised: bool = True
    devices: Annotated[tuple[DeviceInventory, ...], Field(max_length=1_000)] = ()


class Death(Message):
    """The last will, or a farewell. `stopped` is an orderly stop, `lost` is the broker's word for us."""

    boot: U32
    cause: Literal["lost", "stopped"] = "lost"


class SpoolDepth(Part):
    """How full a spool is, and what it had to drop since the agent started.

    `set_aside`: damaged spool files that were set aside since the gateway's first start.
    """

    messages: Annotated[int, Field(ge=0)]
    bytes: Annotated[int, Field(ge=0)]
    bound_bytes: Annotated[int, Field(ge=0)]
    oldest_at: Milliseconds | None = None
    hours_of_cover: Finite | None = None
    dropped_telemetry: Annotated[int, Field(ge=0)] = 0
    dropped_faults: Annotated[int, Field(ge=0)] = 0
    set_aside: Annotated[int, Field(ge=0)] = 0


class Heartbeat(Message):
    """A gateway's health, now and then."""

    boot: U32
    spool: SpoolDepth
    clock_synchronised: bool = True
    cpu_percent: Finite | None = None
    rss_bytes: int | None = None
    in_flight: int = 0


class Window(Part):
    """A span of event time, both ends included."""

    started_at: Milliseconds
    ended_at: Milliseconds


class Fault(Sequenced):
    """A fault code was raised or cleared. Its freeze frame follows as telemetry frames with the freeze flag."""

    code: Label
    raised: bool
    freeze_frame: Window | None = None


class Loss(Sequenced):
    """A full spool had to drop messages: how many, how old. The loss ledger's entry."""

    kind: Literal["telemetry", "fault"]
    messages: Annotated[int, Field(ge=1)]
    bytes: Annotated[int, Field(ge=0)]
    window: Window


class Telemetry(Message):
    """Telemetry in JSON, for a microcontroller or a shell: `values` maps a channel to a reading or a list of them.

    With lists, `period_ms` is the time between samples; null says "no reading". boot and seq are optional: without
    them no receipt can be given and two messages of the same instant are one.
    """

    boot: U32 = 0
    seq: U32 = 0
    period_ms: Annotated[int, Field(ge=1, le=0xFFFFFFFF)] = 1000
    values: Annotated[dict[Label, Finite | None | list[Finite | None]], Field(min_length=1, max_length=MAX_CHANNELS)]

    @model_validator(mode="after")
    def _shape(self) -> Self:
        lengths = {len(column) if isinstance(column, list) else 1 for column in self.values.values()}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError("every channel needs the same number of readings, at least one")
        if lengths.pop() * len(self.values) > MAX_READINGS:
            raise ValueError(f"more than {MAX_READINGS} readings")
        return self


class SelfTest(Part):
    """Ask a device to run its self-test."""

    action: Literal["self_test"] = "self_test"


class SetSampling(Part):
    """Change a device's sampling for good: period, and deadband and maximum interval a channel."""

    action: Literal["set_sampling"] = "set_sampling"
    period_ms: Annotated[int, Field(ge=10, le=86_400_000)] | None = None
    deadbands: dict[Label, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}
    max_interval_ms: Annotated[int, Field(ge=10, le=86_400_000)] | None = None


class RaiseDensity(Part):
    """Send every sample, without deadband, at `period_ms`, for `duration_s` seconds."""

    action: Literal["raise_density"] = "raise_density"
    period_ms: Annotated[int, Field(ge=10, le=86_400_000)]
    duration_s: Annotated[int, Field(ge=1, le=86_400)]


class RunGently(Part):
    """Spare the appliance until event time `until`, which ends it by itself. A later order takes this one's place."""

    action: Literal["run_gently"] = "run_gently"
    until: Milliseconds


class RunNormally(Part):
    """End gentle running before its time."""

    action: Literal["run_normally"] = "run_normally"


class CommandHead(Message):
    """What each command has, whatever its order: enough to refuse by its id one whose order is not known."""

    id: Identifier
    expires_at: Milliseconds


class Command(CommandHead):
    """What the cloud asks of a device. The same `id` is done at most once; after `expires_at` it is not begun."""

    order: Annotated[
        SelfTest | SetSampling | RaiseDensity | RunGently | RunNormally,
        Field(discriminator="action"),
    ]


class Reply(Sequenced):
    """The answer to a command, repeated as it was when the same command comes again."""

    id: Identifier
    outcome: Literal["done", "refused", "expired", "failed"]
    detail: Annotated[str, Field(max_length=2_000)] = ""
    result: dict[str, Any] = {}


class Committed(Part):
    """Ranges of seq, both ends included, that the database holds."""

    device: Receiver
    boot: U32
    ranges: tuple[tuple[U32, U32], ...]


class Rejected(Part):
    """A payload that can never be stored: it lies among the dead letters with its reason. `digest` finds it."""

    device: Receiver
    kind: Label
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    reason: Label


class Receipt(Message):
    """The cloud's word that messages are committed (or filed as dead letters): the spool may free them."""

    committed: tuple[Committed, ...] = ()
    rejected: tuple[Rejected, ...] = ()


def payload_digest(payload: bytes) -> str:
    """The first 16 hexadecimal digits of a payload's SHA-256: how a receipt names what it could not read."""
    return hashlib.sha256(payload).hexdigest()[:16]


def check_event_time(at_ms: int, now_ms: int) -> None:
    """Refuse an event time that no working clock gives; `now_ms` is the receiver's clock.

    Raises:
        AbsurdTime: before 2000-01-01, or more than a day after `now_ms`.
    """
    if at_ms < EARLIEST_MS:
        raise AbsurdTime(f"event time {at_ms} ms lies before 2000-01-01: the clock was never set")
    if at_ms > now_ms + FUTURE_MS:
        raise AbsurdTime(f"event time {at_ms} ms lies {(at_ms - now_ms) / 3_600_000:.1f} h in the future; at most 24 h")


def _explain(name: str, error: ValidationError) -> ProtocolError:
    problems = error.errors(include_url=False, include_context=False)
    first = problems[0]
    where = ".".join(str(step) for step in first["loc"]) or "the whole message"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    text = f"{name}: {where}: {first['msg']}, got {str(first['input'])[:80]!r}{more}"
    if any(problem["loc"] == ("v",) and problem["type"] == "literal_error" for problem in problems):
        return UnsupportedVersion(f"{name} of a version that this program does not speak (it speaks {VERSION})")
    if any(problem["type"] == "finite_number" for problem in problems):
        return NotFinite(text)
    return Malformed(text)
