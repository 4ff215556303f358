"""The telemetry frame: a device's batch of samples as compact bytes.

Little endian. Offsets in bytes:

    0  u8   magic 0xFC                     16  i64  started_at, µs since 1970-01-01 UTC
    1  u8   version, 1                     24  u32  period, ms between samples
    2  u8   encoding: 0 dense, 1 sparse    28  u16  samples
    3  u8   flags: bit 0 freeze frame      30  u16  channels
    4  u32  channel set                    32       body
    8  u32  boot                           n-4 u32  CRC-32 of all bytes before it
    12 u32  seq

A dense body is samples x channels float32, sample by sample. A sparse body is a presence bitmap of
ceil(samples*channels / 8) bytes, least significant bit first, then the present float32 values in the same
order. NaN, or absence, says "no reading". Infinities are refused. The channel set is declared by the birth
message; see docs/protocol.md.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from dataclasses import dataclass
from math import isinf, isnan
from typing import Final

from protocols.errors import Malformed, NotFinite, Oversize, UnsupportedVersion

MAGIC: Final = 0xFC
VERSION: Final = 1
DENSE: Final = 0
SPARSE: Final = 1
FREEZE: Final = 0x01
KNOWN_FLAGS: Final = FREEZE

HEADER: Final = struct.Struct("<BBBBIIIqIHH")
CHECKSUM: Final = struct.Struct("<I")
MAX_CHANNELS: Final = 256
MAX_READINGS: Final = 16_384
MAX_FRAME_BYTES: Final = HEADER.size + (MAX_READINGS + 7) // 8 + 4 * MAX_READINGS + CHECKSUM.size


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What stands before a frame's body.

    started_at: µs since the epoch (UTC), the event time of the first sample. period_ms: ms between samples.
    """

    channel_set: int
    boot: int
    seq: int
    started_at: int
    period_ms: int
    samples: int
    channels: int
    flags: int = 0
    encoding: int = DENSE

    @property
    def readings(self) -> int:
        """samples x channels."""
        return self.samples * self.channels

    @property
    def is_freeze_frame(self) -> bool:
        """Whether this is the full-rate window around a raised fault."""
        return bool(self.flags & FREEZE)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame whose readings are dense: `readings` holds samples x channels float32, sample by sample."""

    header: FrameHeader
    readings: array[float]


def encode_frame(frame: Frame) -> bytes:
    """The bytes of a frame, dense or sparse, whichever is shorter (the header's `encoding` is not looked at).

    Raises:
        Oversize: more than 256 channels or 16,384 readings.
        Malformed: the number of readings is not samples x channels, or a field does not fit its width.
        NotFinite: a reading is infinite.
    """
    head, readings = frame.header, frame.readings
    _check_shape(head)
    if len(readings) != head.readings:
        raise Malformed(f"{len(readings)} readings for {head.samples} samples x {head.channels} channels")
    if any(map(isinf, readings)):
        raise NotFinite("an infinite reading; NaN says 'no reading'")
    bitmap, present = _split_present(readings)
    encoding, body = DENSE, _little_endian(readings)
    if len(bitmap) + 4 * len(present) < len(body):
        encoding, body = SPARSE, bitmap + _little_endian(present)
    try:
        start = HEADER.pack(
            MAGIC, VERSION, encoding, head.flags, head.channel_set, head.boot, head.seq,
            head.started_at, head.period_ms, head.samples, head.channels,
        )  # fmt: skip
    except struct.error as error:
        raise Malformed(f"a header field does not fit its width: {error}") from None
    return b"".join((start, body, CHECKSUM.pack(zlib.crc32(body, zlib.crc32(start)))))


def parse_frame(payload: bytes) -> tuple[FrameHeader, memoryview]:
    """Header and undecoded body of a frame, with shape, length and checksum checked.

    The body's readings are not looked at: a receiver that decodes many frames at once checks them with its own
    means (`decode_frame` is the plain one).

    Raises:
        Malformed, Oversize, UnsupportedVersion: as the payload deserves.
    """
    if len(payload) > MAX_FRAME_BYTES:
        raise Oversize(f"a frame of {len(payload)} bytes; at most {MAX_FRAME_BYTES} are allowed")
    if len(payload) < 2 or payload[0] != MAGIC:
        raise Malformed(f"a frame starts with 0x{MAGIC:02X} and its version; got {payload[:2].hex() or 'nothing'}")
    if payload[1] != VERSION:
        raise UnsupportedVersion(f"frame version {payload[1]}, this program speaks {VERSION}")
    if len(payload) < HEADER.size + CHECKSUM.size:
        raise Malformed(f"a frame of {len(payload)} bytes is cut short: header and checksum alone take 36")
    _magic, _version, encoding, flags, channel_set, boot, seq, at, period, samples, channels = HEADER.unpack_from(
        payload
    )
    head = FrameHeader(channel_set, boot, seq, at, period, samples, channels, flags, encoding)
    _check_shape(head)
    view = memoryview(payload)
    body = view[HEADER.size : -CHECKSUM.size]
    _check_length(head, body)
    (stated,) = CHECKSUM.unpack_from(payload, len(payload) - CHECKSUM.size)
    if zlib.crc32(view[: -CHECKSUM.size]) != stated:
        raise Malformed("the checksum does not match: the frame was damaged on its way or in its spool")
    return head, body


def decode_frame(payload: bytes) -> Frame:
    """Read a frame and check every reading; raises as `parse_frame`, and NotFinite on an infinite reading."""
    head, body = parse_frame(payload)
    readings = _dense(head, body)
    if any(map(isinf, readings)):
        raise NotFinite("an infinite reading; NaN says 'no reading'")
    return Frame(head, readings)


def _check_shape(head: FrameHeader) -> None:
    if not (1 <= head.channels <= MAX_CHANNELS and head.samples >= 1 and head.readings <= MAX_READINGS):
        raise Oversize(
            f"{head.samples} samples x {head.channels} channels: expected 1-{MAX_CHANNELS} channels, "
            f"at least one sample and at most {MAX_READINGS} readings"
        )
    if head.period_ms < 1:
        raise Malformed("a period of 0 ms; expected at least 1")
    if head.flags & ~KNOWN_FLAGS:
        raise Malformed(f"unknown flags 0x{head.flags:02X}; only bit 0 (freeze frame) is defined")
    if head.encoding not in (DENSE, SPARSE):
        raise Malformed(f"unknown encoding {head.encoding}; expected 0 (dense) or 1 (sparse)")


def _check_length(head: FrameHeader, body: memoryview) -> None:
    expected = 4 * head.readings
    if head.encoding == SPARSE:
        bitmap_bytes = (head.readings + 7) // 8
        bitmap = int.from_bytes(body[:bitmap_bytes], "little")
        if bitmap >> head.readings:
            raise Malformed("the presence bitmap marks readings past samples x channels")
        expected = bitmap_bytes + 4 * bitmap.bit_count()
    if len(body) != expected:
        raise Malformed(f"a body of {len(body)} bytes; its header announces {expected}")


def _split_present(readings: array[float]) -> tuple[bytes, array[float]]:
    present = array("f")
    bitmap = bytearray((len(readings) + 7) // 8)
    for place, reading in enumerate(readings):
        if not isnan(reading):
            bitmap[place >> 3] |= 1 << (place & 7)
            present.append(reading)
    return bytes(bitmap), present


def _dense(head: FrameHeader, body: memoryview) -> array[float]:
    if head.encoding == DENSE:
        return _from_little_endian(body)
    bitmap_bytes = (head.readings + 7) // 8
    present = iter(_from_little_endian(body[bitmap_bytes:]))
    nan = float("nan")
    return array("f", [next(present) if body[i >> 3] >> (i & 7) & 1 else nan for i in range(head.readings)])


def _little_endian(readings: array[float]) -> bytes:
    if sys.byteorder == "big":
        readings = readings[:]
        readings.byteswap()
    return readings.tobytes()


def _from_little_endian(body: memoryview) -> array[float]:
    readings = array("f")
    readings.frombytes(body)
    if sys.byteorder == "big":
        readings.byteswap()
    return readings
