"""Decoding many frames at once gives what the reference gives, for good frames and bad ones."""

from __future__ import annotations

import math
import struct
import zlib
from array import array

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cloud.ingest.decode import CRC_RESIDUE, decode_frames
from protocols.frames import Frame, FrameHeader, decode_frame, encode_frame

readings = st.one_of(st.just(math.nan), st.floats(width=32, allow_infinity=False))


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    samples, channels = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    header = FrameHeader(
        draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(-(2**63), 2**63 - 1)), draw(st.integers(1, 2**32 - 1)), samples, channels,
        draw(st.integers(0, 1)),
    )  # fmt: skip
    body = draw(st.lists(readings, min_size=samples * channels, max_size=samples * channels))
    return encode_frame(Frame(header, array("f", body)))


def resealed(payload: bytes) -> bytes:
    """With the checksum that the bytes before it have: damage that only a careful reader sees."""
    return payload[:-4] + struct.pack("<I", zlib.crc32(payload[:-4]))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    payload = bytearray(draw(frames()))
    for _ in range(draw(st.integers(1, 3))):
        payload[draw(st.integers(0, len(payload) - 1))] = draw(st.integers(0, 255))
    whole = bytes(payload[: draw(st.integers(0, len(payload)))]) if draw(st.booleans()) else bytes(payload)
    return resealed(whole) if draw(st.booleans()) and len(whole) > 4 else whole


def compare(payloads: list[bytes]) -> None:
    decoded = decode_frames(payloads)
    seen = set()
    for block in decoded.blocks:
        for columns, row in zip(block.columns, block.readings, strict=True):
            place = int(columns["place"])
            seen.add(place)
            expected = decode_frame(payloads[place])
            head = expected.header
            assert (
                head.channel_set, head.boot, head.seq, head.started_at, head.period_ms, head.samples,
                head.channels, head.flags,
            ) == tuple(columns.tolist()[1:])  # fmt: skip
            np.testing.assert_array_equal(row, np.array(expected.readings, np.float32))
    for place, error in decoded.refused:
        assert place not in seen
        seen.add(place)
        with pytest.raises(type(error)) as expected_error:
            decode_frame(payloads[place])
        assert str(error) == str(expected_error.value)
    assert seen == set(range(len(payloads)))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(frames(), damaged(), st.binary(max_size=80)), max_size=12))
@example([])
@example([b"", b"\xfc", b"\xfc\x02" + bytes(60)])
def test_as_the_reference(payloads: list[bytes]) -> None:
    compare(payloads)


def test_infinities_are_refused_in_dense_and_sparse_bodies() -> None:
    for body in ([1.0, 2.0, 3.0, 4.0], [math.nan] * 60 + [1.0, 2.0, 3.0, 4.0]):
        good = encode_frame(Frame(FrameHeader(1, 2, 3, 4, 5, len(body) // 4, 4), array("f", body)))
        bad = resealed(good[:-8] + struct.pack("<f", math.inf) + good[-4:])
        compare([good, bad, good])
        assert [error.reason for _, error in decode_frames([bad]).refused] == ["not-finite"]


def test_a_thousand_sparse_frames_of_one_shape() -> None:
    payloads = []
    for seq in range(1000):
        body = [float(seq + i) if (i * 7 + seq) % 5 == 0 else math.nan for i in range(60)]
        payloads.append(encode_frame(Frame(FrameHeader(1, 2, seq, 4, 5, 15, 4), array("f", body))))
    compare(payloads)


@given(st.binary(max_size=200))
def test_the_residue_of_the_checksum(content: bytes) -> None:
    assert zlib.crc32(content + struct.pack("<I", zlib.crc32(content))) == CRC_RESIDUE
