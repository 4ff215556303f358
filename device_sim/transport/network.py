"""Bad networks by name: a TCP link between an agent and its broker that is cut, slow, or comes and goes. Rates [K].

A gateway gets its network by chance, or all get the one that is named. Times are real, not simulated: the network
does not know of accelerated time.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Final, Self

CHUNK: Final = 16_384


@dataclass(frozen=True, slots=True)
class Network:
    """What a link does. Times are real seconds.

    up_s: mean time until it is cut (0: never). down_s: mean time until it can be used again. delay_s: added to each
    chunk, with as much again at random. bytes_a_second: upper bound of the rate, 0 is none.
    """

    up_s: float = 0.0
    down_s: float = 0.0
    delay_s: float = 0.0
    bytes_a_second: float = 0.0


NETWORKS: Final = MappingProxyType(
    {
        "good": Network(),
        "slow": Network(delay_s=0.3, bytes_a_second=8_000.0),
        "flapping": Network(up_s=12.0, down_s=3.0, delay_s=0.02),
        "outage": Network(up_s=45.0, down_s=20.0),
    }
)
MIXED: Final = MappingProxyType({"good": 0.7, "slow": 0.12, "flapping": 0.1, "outage": 0.08})
"""Shares of the networks in a mixed fleet."""


def drawn_network(rng: random.Random, named: str) -> Network:
    """The network of one gateway: the one named, or by chance when `mixed`.

    Raises:
        ValueError: there is no network of that name.
    """
    if named == "mixed":
        named = rng.choices(list(MIXED), weights=list(MIXED.values()))[0]
    if named not in NETWORKS:
        raise ValueError(f"network {named!r}: expected mixed or one of {', '.join(NETWORKS)}")
    return NETWORKS[named]


class Link:
    """A local port that forwards to the broker over a bad network. Use it with `async with`."""

    def __init__(self, host: str, port: int, network: Network, rng: random.Random) -> None:
        self._target = (host, port)
        self._network = network
        self._rng = rng
        self._down = False
        self._server: asyncio.Server | None = None
        self._weather: asyncio.Task[None] | None = None
        self._open: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}
        self.cuts = 0

    @property
    def port(self) -> int:
        """The local port; 0 before the link is open."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server else 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        if self._network.up_s > 0.0:
            self._weather = asyncio.create_task(self._come_and_go(), name="link weather")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._weather:
            self._weather.cancel()
        if self._server:
            self._server.close()
        self._cut()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _come_and_go(self) -> None:
        while True:
            await asyncio.sleep(self._rng.expovariate(1.0 / self._network.up_s))
            self._down = True
            self.cuts += 1
            self._cut()
            await asyncio.sleep(self._rng.expovariate(1.0 / max(self._network.down_s, 0.01)))
            self._down = False

    def _cut(self) -> None:
        for writers in self._open.values():
            for writer in writers:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._down:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open[task] = (writer, far_writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, far_writer))
                group.create_task(self._forward(far_reader, writer))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            del self._open[task]
            writer.transport.abort()
            far_writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        network = self._network
        while chunk := await reader.read(CHUNK):
            if network.delay_s > 0.0:
                await asyncio.sleep(network.delay_s * (1.0 + self._rng.random()))
            if network.bytes_a_second > 0.0:
                await asyncio.sleep(len(chunk) / network.bytes_a_second)
            writer.write(chunk)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
