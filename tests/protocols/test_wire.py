# ruff: noqa: PT017
"""Properties of the wire: what is written can be read, and no bytes whatever do more harm than a typed error."""

from __future__ import annotations

import zlib
from array import array
from math import isnan, nan

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocols.errors import AbsurdTime, BadIdentifier, BadTopic, NotFinite, Oversize, ProtocolError
from protocols.frames import FREEZE, MAX_READINGS, Frame, FrameHeader, decode_frame, encode_frame, parse_frame
from protocols.identifiers import identifier, partition
from protocols.messages import Birth, Command, Fault, Receipt, Telemetry, check_event_time
from protocols.topics import GATEWAY_KINDS, Kind, Topic, downlink_filter, is_topic

u32 = st.integers(0, 0xFFFFFFFF)
ids = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True).filter(lambda text: text != "-")
reading = st.one_of(st.just(nan), st.floats(width=32, allow_infinity=False))


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    samples, channels = draw(st.integers(1, 12)), draw(st.integers(1, 9))
    header = FrameHeader(
        draw(u32), draw(u32), draw(u32), draw(st.integers(-(2**63), 2**63 - 1)), draw(st.integers(1, 0xFFFFFFFF)),
        samples, channels, draw(st.sampled_from([0, FREEZE])),
    )  # fmt: skip
    return Frame(header, array("f", draw(st.lists(reading, min_size=samples * channels, max_size=samples * channels))))


@given(frames())
def test_a_frame_comes_back_as_it_was(frame: Frame) -> None:
    payload = encode_frame(frame)
    back = decode_frame(payload)
    assert [None if isnan(r) else r for r in back.readings] == [None if isnan(r) else r for r in frame.readings]
    assert (back.header.boot, back.header.seq, back.header.started_at) == (
        frame.header.boot, frame.header.seq, frame.header.started_at,
    )  # fmt: skip
    dense, bitmap = 4 * len(frame.readings), (len(frame.readings) + 7) // 8
    assert len(payload) == 36 + min(dense, bitmap + 4 * sum(not isnan(r) for r in frame.readings))


@given(frames(), st.data())
def test_any_flipped_bit_or_cut_is_noticed(frame: Frame, data: st.DataObject) -> None:
    payload = bytearray(encode_frame(frame))
    if data.draw(st.booleans()):
        bit = data.draw(st.integers(0, len(payload) * 8 - 1))
        payload[bit // 8] ^= 1 << bit % 8
    else:
        payload = payload[: data.draw(st.integers(0, len(payload) - 1))]
    with pytest.raises(ProtocolError):
        decode_frame(bytes(payload))


@given(st.binary(max_size=400))
@example(b"\xfc\x01" + bytes(34))
def test_no_bytes_do_more_than_a_typed_error(noise: bytes) -> None:
    with_checksum = noise + zlib.crc32(noise).to_bytes(4, "little")
    for payload in (noise, with_checksum, b"\xfc\x01" + with_checksum):
        for read in (decode_frame, parse_frame, Telemetry.decode, Receipt.decode, Birth.decode, Command.decode):
            try:
                read(payload)
            except ProtocolError as error:
                assert str(error)


@given(frames(), st.binary(min_size=24, max_size=24))
def test_a_wild_header_with_a_right_checksum_does_no_harm(frame: Frame, wild: bytes) -> None:
    payload = encode_frame(frame)[:2] + wild + encode_frame(frame)[26:-4]
    payload += zlib.crc32(payload).to_bytes(4, "little")
    try:
        decode_frame(payload)
    except ProtocolError as error:
        assert error.reason


@given(ids, ids, st.sampled_from(Kind))
def test_a_topic_comes_back_as_it_was(gateway: str, device: str, kind: Kind) -> None:
    topic = Topic(gateway, kind, None if kind in GATEWAY_KINDS else device)
    assert Topic.parse(topic.build()) == topic
    assert Topic.parse_subject(topic.build_subject()) == topic
    assert len(topic.build().split("/")) == 6


@given(st.text(max_size=200))
@example("fc/1/up/gw/dev/telemetry/")
@example("fc/2/up/gw/dev/telemetry")
@example("fc/1/down/gw/dev/telemetry")
@example("fc/1/up/gw/-/telemetry")
@example("fc/1/up/gw/dev/birth")
@example("fc/1/up/gw\n/dev/telemetry")
def test_no_text_is_taken_for_a_topic_that_is_none(text: str) -> None:
    if is_topic(text):
        assert Topic.parse(text).build() == text
    else:
        with pytest.raises(ProtocolError):
            Topic.parse(text)


@given(ids)
def test_a_gateway_belongs_to_one_partition(gateway: str) -> None:
    assert 0 <= partition(gateway) < 64
    assert partition(gateway, 1) == 0
    assert downlink_filter(gateway) == f"fc/1/down/{gateway}/#"


def test_partitions_are_those_of_fnv_1a() -> None:
    """Source of the hashes: the test vectors of RFC 9923 / the FNV reference code, 32 bit FNV-1a."""
    for text, hashed in (("a", 0xE40C292C), ("foobar", 0xBF9CF968)):
        assert partition(text, 1 << 32) == hashed


@pytest.mark.parametrize("text", ["", "-", "a b", "a/b", "a.b", "é", "x" * 65, "a\n", "#", "+", "$SYS"])
def test_identifiers_are_levels_and_tokens_alike(text: str) -> None:
    with pytest.raises(BadIdentifier):
        identifier(text)


def test_limits() -> None:
    def frame(samples: int, channels: int, *readings: float) -> Frame:
        return Frame(FrameHeader(1, 1, 1, 0, 1000, samples, channels), array("f", readings))

    with pytest.raises(Oversize):
        encode_frame(frame(1, 257, *[0.0] * 257))
    with pytest.raises(Oversize):
        encode_frame(frame(MAX_READINGS + 1, 1, *[0.0] * (MAX_READINGS + 1)))
    with pytest.raises(NotFinite):
        encode_frame(frame(1, 1, float("inf")))
    assert decode_frame(encode_frame(frame(64, 256, *[1.5] * MAX_READINGS))).header.readings == MAX_READINGS
    with pytest.raises(Oversize):
        Fault.decode(b" " * 262_145)
    with pytest.raises(BadTopic):
        Topic("gw", Kind.TELEMETRY)
    now = 1_700_000_000_000
    check_event_time(now + 86_400_000, now)
    for absurd in (946_684_799_999, now + 86_400_001):
        with pytest.raises(AbsurdTime):
            check_event_time(absurd, now)
