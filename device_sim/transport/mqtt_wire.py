"""MQTT 3.1.1 packets, as much as a load generator needs: a client library would cost more than what it measures.

OASIS MQTT 3.1.1: CONNECT 3.1, PUBLISH 3.3, PUBACK 3.4, SUBSCRIBE 3.8, DISCONNECT 3.14.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

CONNACK, PUBLISH, PUBACK, SUBACK = 0x20, 0x30, 0x40, 0x90
DISCONNECT: Final = b"\xe0\x00"
MAX_PACKET: Final = 1 << 20


class Packet(NamedTuple):
    """A packet from the broker: its type (high nibble of the first byte), its flags, its body."""

    kind: int
    flags: int
    body: bytes


class Refused(OSError):
    """The broker did not accept the connection, or broke the protocol; the text says how."""


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">H", len(encoded)) + encoded


def _packet(first: int, body: bytes) -> bytes:
    length, remaining = bytearray(), len(body)
    while True:
        remaining, digit = divmod(remaining, 128)
        length.append(digit | (0x80 if remaining else 0))
        if not remaining:
            return bytes((first,)) + bytes(length) + body


def connect_packet(client: str, keepalive_s: int, username: str | None = None, password: str | None = None) -> bytes:
    """CONNECT with a clean session."""
    flags = 0x02 | (0x80 if username else 0) | (0x40 if password else 0)
    credentials = (_text(username) if username else b"") + (_text(password) if password else b"")
    return _packet(
        0x10, _text("MQTT") + bytes((4, flags)) + struct.pack(">H", keepalive_s) + _text(client) + credentials
    )


def subscribe_packet(number: int, filters: Iterable[str]) -> bytes:
    """SUBSCRIBE at QoS 0."""
    return _packet(0x82, struct.pack(">H", number) + b"".join(_text(one) + b"\x00" for one in filters))


def publish_packet(topic: str, payload: bytes, number: int = 0) -> bytes:
    """PUBLISH; QoS 1 with a packet number of 1-65535, QoS 0 with 0."""
    if not number:
        return _packet(PUBLISH, _text(topic) + payload)
    return _packet(PUBLISH | 0x02, _text(topic) + struct.pack(">H", number) + payload)


def published(packet: Packet) -> tuple[str, bytes]:
    """Topic and payload of a PUBLISH that came at QoS 0."""
    (length,) = struct.unpack_from(">H", packet.body)
    start = 2 + length + (2 if packet.flags & 0x06 else 0)
    return packet.body[2 : 2 + length].decode(), packet.body[start:]


async def read_packet(reader: asyncio.StreamReader) -> Packet:
    """The next packet. Raises Refused on one that is too long, IncompleteReadError at the end."""
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            break
    if length > MAX_PACKET:
        raise Refused(f"the broker sent a packet of {length} bytes")
    return Packet(first & 0xF0, first & 0x0F, await reader.readexactly(length))


async def connect(
    host: str,
    port: int,
    client: str,
    *,
    username: str | None = None,
    password: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection and wait for its CONNACK.

    Raises:
        Refused: the broker said no; OSError: it cannot be reached.
    """
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    writer.write(connect_packet(client, 0, username, password))
    answer = await read_packet(reader)
    if answer.kind != CONNACK or answer.body[1]:
        writer.transport.abort()
        code = answer.body[1] if len(answer.body) > 1 else "?"
        raise Refused(f"the broker refused client {client!r}: return code {code} (MQTT 3.1.1, 3.2.2.3)")
    return reader, writer
