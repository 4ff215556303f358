"""The short cut through nats-py gives what nats-py's own path gives, however the bytes are cut."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.ingest.bulk_nats import BulkParser, split_messages


class Recorder:
    """Stands for nats-py's client: notes what its parser hands over."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, bytes, bytes, bytes]] = []
        self.other: list[str] = []

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        self.messages.append((sid, subject, reply, data))

    async def _process_ping(self) -> None:
        self.other.append("ping")

    async def _process_pong(self) -> None:
        self.other.append("pong")

    async def _process_err(self, text: str) -> None:
        self.other.append(text)

    async def _process_info(self, content: dict[str, Any]) -> None:
        self.other.append(str(content))


HEADERS = b"NATS/1.0\r\nNmqtt-Pub: 1\r\n\r\n"
STATUS = b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\n\r\n"

payloads = st.one_of(st.binary(max_size=30), st.sampled_from([b"\r\n", b"MSG a 7 b 0\r\n\r\n", b"PING\r\n", b""]))


@st.composite
def items(draw: st.DrawFn) -> tuple[bytes, tuple[int, bytes, bytes, bytes] | str]:
    """The bytes of one item on the wire, and what should come of it."""
    kind = draw(st.sampled_from(["msg", "hmsg", "status", "ping", "ok", "other"]))
    payload = draw(payloads)
    match kind:
        case "msg":
            return b"MSG s.a 7 ack.1 %d\r\n%b\r\n" % (len(payload), payload), (7, b"s.a", b"ack.1", payload)
        case "hmsg":
            sizes = (len(HEADERS), len(HEADERS) + len(payload))
            return b"HMSG s.b 7 ack.2 %d %d\r\n%b%b\r\n" % (*sizes, HEADERS, payload), (7, b"s.b", b"ack.2", payload)
        case "status":
            return b"HMSG inbox 7 %d %d\r\n%b\r\n" % (len(STATUS), len(STATUS), STATUS), (7, b"inbox", b"", b"")
        case "other":
            return b"MSG s.c 8 %d\r\n%b\r\n" % (len(payload), payload), (8, b"s.c", b"", payload)
        case "ok":
            return b"+OK\r\n", "nothing"
        case _:
            return b"PING\r\n", "ping"


@settings(max_examples=300, deadline=None)
@given(st.lists(items(), max_size=12), st.lists(st.integers(1, 40), min_size=1, max_size=20))
async def test_any_stream_in_any_pieces(
    stream: list[tuple[bytes, tuple[int, bytes, bytes, bytes] | str]], sizes: list[int]
) -> None:
    client, taken = Recorder(), []
    parser = BulkParser(client, taken.extend)  # type: ignore[arg-type]
    parser.sid = b"7"
    wire = b"".join(piece for piece, _ in stream)
    at = turn = 0
    while at < len(wire):
        size = sizes[turn % len(sizes)]
        await parser.parse(wire[at : at + size])
        at, turn = at + size, turn + 1
    expected = [outcome for _, outcome in stream]
    bulk = [(7, *message) for message in taken]
    ours = [m for m in expected if isinstance(m, tuple) and m[0] == 7 and m[2]]
    assert sorted([*bulk, *(m for m in client.messages if m[0] == 7 and m[2])]) == sorted(ours)
    assert [m for m in client.messages if not m[2]] == [m for m in expected if isinstance(m, tuple) and not m[2]]
    assert client.other == [m for m in expected if m == "ping"]
    assert not parser.buf


async def test_whole_buffers_take_the_short_cut() -> None:
    client, taken = Recorder(), []
    parser = BulkParser(client, taken.extend)  # type: ignore[arg-type]
    parser.sid = b"7"
    await parser.parse(b"MSG a 7 r 2\r\nhi\r\n" * 100 + b"PING\r\n" + b"MSG a 7 r 2\r\nho\r\n" * 50)
    assert len(taken) == 150
    assert client.other == ["ping"]
    assert not client.messages


def test_a_message_that_is_not_whole_waits() -> None:
    taken, end, incomplete = split_messages(b"MSG a 7 r 2\r\nhi\r\nMSG a 7 r 5\r\nhel", b"7")
    assert (taken, end, incomplete) == ([(b"a", b"r", b"hi")], 17, True)
