"""Bad input at the boundary: each ends as one dead letter with a plain reason, and the rest of its batch is kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.ingest.ports import Arrival
from protocols.messages import MAX_MESSAGE_BYTES
from protocols.topics import Kind
from tests.ingest.made import NOW_MS, birth, fault, frame, many_frames, read, telemetry

DAY_MS = 86_400_000
UP = "fc/1/up/gw-1"


def json_telemetry(text: str) -> Arrival:
    return telemetry(text.encode())


@pytest.mark.parametrize(
    ("arrival", "reason"),
    [
        (telemetry(b""), "malformed"),
        (telemetry(b"garbage"), "malformed"),
        (telemetry(frame(1)[:-1]), "malformed"),
        (telemetry(b"\xfc\x02" + frame(1)[2:]), "unsupported-version"),
        (telemetry(b"\xfc" + b"\x01" * 500_000), "oversize"),
        (telemetry(frame(1, at_ms=NOW_MS + DAY_MS + 1_000)), "absurd-time"),
        (telemetry(frame(1, at_ms=900_000_000_000)), "absurd-time"),
        (telemetry(frame(1, at_ms=-1)), "absurd-time"),
        (telemetry(frame(1, at_ms=NOW_MS, readings=[0.0] * 200, period_ms=4_000_000_000)), "absurd-time"),
        (json_telemetry('{"v":2,"at":1760000000000,"values":{"t":1}}'), "unsupported-version"),
        (json_telemetry('{"v":1,"at":1760000000000,"values":{"t":NaN}}'), "not-finite"),
        (json_telemetry('{"v":1,"at":1760000000000,"values":{"t":1e39}}'), "not-finite"),
        (json_telemetry('{"v":1,"at":1760000000000,"values":{}}'), "malformed"),
        (json_telemetry('{"v":1,"at":1,"values":{"t":1}}'), "absurd-time"),
        (json_telemetry('{"v":1'), "malformed"),
        (fault(1, "E1", True, at_ms=1), "absurd-time"),
        (birth(active=[("E1", 1)]), "absurd-time"),
        (Arrival(f"{UP}/fridge-1/fault", b"[]"), "malformed"),
        (Arrival(f"{UP}/fridge-1/fault", b" " * (MAX_MESSAGE_BYTES + 1)), "oversize"),
        (Arrival(f"{UP}/fridge-1/gossip", b"{}"), "bad-topic"),
        (Arrival(f"{UP}/fridge-1/command", b"{}"), "bad-topic"),
        (Arrival("fc/2/up/gw-1/fridge-1/telemetry", frame(1)), "unsupported-version"),
        (Arrival("fc/1/up/'; DROP TABLE frame; --/d/telemetry", frame(1)), "bad-identifier"),
        (Arrival("", b""), "bad-topic"),
    ],
)
def test_poison_is_named_and_set_apart(arrival: Arrival, reason: str) -> None:
    good = many_frames(5)
    intake = read([*good[:3], arrival, *good[3:]])
    assert [(poison.arrival, poison.reason) for poison in intake.poison] == [(arrival, reason)]
    assert intake.poison[0].detail
    assert intake.frames == 5
    assert sorted(p for block in intake.blocks for p in block.columns["place"].tolist()) == [0, 1, 2, 4, 5]


def test_clocks_that_are_a_little_off_are_taken_as_they_are() -> None:
    intake = read([telemetry(frame(1, at_ms=NOW_MS + DAY_MS - 10_000)), telemetry(frame(2, at_ms=946_684_800_000))])
    assert intake.frames == 2
    assert not intake.poison


def test_json_telemetry_becomes_a_frame_of_its_own_channel_set() -> None:
    intake = read([json_telemetry('{"v":1,"at":1760000000000,"boot":3,"seq":4,"values":{"t":[1,null],"p":[2,3]}}')])
    (block,) = intake.blocks
    assert block.columns[["boot", "seq", "samples", "channels"]].tolist() == [(3, 4, 2, 2)]
    assert [str(x) for x in block.readings[0]] == ["1.0", "2.0", "nan", "3.0"]
    ((topic, channel_set, _at),) = intake.declared
    assert topic.kind is Kind.TELEMETRY
    assert [channel.name for channel in channel_set.channels] == ["t", "p"]
    assert channel_set.id == block.columns["channel_set"][0]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.text(max_size=40), st.sampled_from([f"{UP}/d/{kind}" for kind in Kind] + [f"{UP}/-/birth"])),
            st.one_of(st.binary(max_size=200), st.just(frame(1))),
        ),
        max_size=8,
    )
)
def test_anything_at_all_ends_in_one_place(messages: list[tuple[str, bytes]]) -> None:
    intake = read([Arrival(topic, payload) for topic, payload in messages])
    assert intake.frames + len(intake.messages) + len(intake.poison) == len(messages)
