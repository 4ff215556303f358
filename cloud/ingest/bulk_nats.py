"""nats-py with a short cut for one busy subscription.

nats-py takes 29 µs for a message that is pulled from a stream: regular expressions, an e-mail parser for the headers
that the MQTT listener adds, a queue, an object. This reads all messages of a received buffer that belong to one
inbox in one loop, and leaves everything else (connecting, TLS, logins, reconnecting, pings, requests) to nats-py.

It reaches into nats-py at three places, named here so that an update is checked in one file: the client's parser
(`_ps`), a subscription's number (`_id`), and its buffer of commands to write (`_send_command`, `_flush_pending`).
tests/ingest/test_bulk_nats.py compares it with nats-py's own path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

Taken = list[tuple[bytes, bytes, bytes]]
"""(subject, reply, payload) of each message."""


class BulkParser(Parser):
    """Gives whole buffers of the busy inbox's messages to `take`; nats-py parses the rest."""

    def __init__(self, client: Client, take: Callable[[Taken], None]) -> None:
        super().__init__(client)
        self.sid: bytes | None = None
        self._take = take

    async def parse(self, data: bytes = b"") -> None:
        """Called by nats-py's read loop with what the socket gave."""
        while self.sid is not None and self.state == AWAITING_CONTROL_LINE:
            unread = bytes(self.buf) + data if self.buf else data
            taken, end, incomplete = split_messages(unread, self.sid)
            if taken:
                self._take(taken)
            self.buf = bytearray(memoryview(unread)[end:])
            data = b""
            if incomplete or not self.buf:
                return
            if not await self._parse_one_line():
                return
        await super().parse(data)

    async def _parse_one_line(self) -> bool:
        """Let nats-py take what is at the head of the buffer and not ours; False when it needs more bytes."""
        head = bytes(self.buf)
        end = _length_of_first(head)
        if end is None or end > len(head):
            return False
        rest = head[end:]
        self.buf = bytearray(head[:end])
        await super().parse()
        self.buf.extend(rest)
        return True


def split_messages(unread: bytes, sid: bytes) -> tuple[Taken, int, bool]:
    """Messages with a reply subject of subscription `sid` at the head of `unread`.

    Returns them, where reading stopped, and whether that was for want of bytes of such a message.
    """
    taken: Taken = []
    at = 0
    find = unread.find
    while True:
        line_end = find(b"\r\n", at)
        if line_end < 0:
            return taken, at, False
        words = unread[at:line_end].split(b" ")
        if words[0] == b"HMSG" and len(words) == 6 and words[2] == sid:
            start = line_end + 2
            body, end = start + int(words[4]), start + int(words[5])
        elif words[0] == b"MSG" and len(words) == 5 and words[2] == sid:
            body = start = line_end + 2
            end = start + int(words[4])
        else:
            return taken, at, False
        if end + 2 > len(unread):
            return taken, at, True
        taken.append((words[1], words[3], unread[body:end]))
        at = end + 2


def _length_of_first(head: bytes) -> int | None:
    """Length of the first protocol item, payload included; None when its line is not complete."""
    line_end = head.find(b"\r\n")
    if line_end < 0:
        return None
    if head.startswith((b"MSG", b"HMSG")):
        return line_end + 4 + int(head[:line_end].rsplit(b" ", 1)[-1])
    return line_end + 2


async def busy_subscription(
    client: Client, inbox: str, take: Callable[[Taken], None], other: Callable[[Msg], Awaitable[None]]
) -> None:
    """Subscribe `inbox`: messages with a reply subject go to `take` in bulk, those without (JetStream's status
    messages) to `other` one by one. Once a client, after it has connected."""
    parser = BulkParser(client, take)
    parser.buf, parser.state = client._ps.buf, client._ps.state
    client._ps = parser
    subscription = await client.subscribe(inbox, cb=other)
    parser.sid = str(subscription._id).encode()


async def send_empty(client: Client, subjects: Iterable[bytes]) -> None:
    """Publish an empty message to each subject in one write: what JetStream reads as an acknowledgement."""
    await client._send_command(b"".join([b"PUB %b 0\r\n\r\n" % subject for subject in subjects]))
    await client._flush_pending()
