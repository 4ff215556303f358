"""A network that fails on request: a TCP proxy between a client and a server on this machine."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from cloud.engines.ports import LOOPBACK, free_port

CHUNK = 65_536


class FaultyLink:
    """Forwards `port` to `target_port`, until told otherwise.

    `stop` closes the listener and cuts what is open (the server is gone); `start` brings it back, same port.
    `cut` resets what is open, `cut_after` in mid-stream. `hold` delivers nothing and closes nothing (a dead
    cellular link); `release` lets it flow. `delay` is in seconds, added to each chunk in both directions.
    Reusable but not re-entrant.
    """

    def __init__(self, target_port: int, *, target_host: str = LOOPBACK) -> None:
        self.host = LOOPBACK
        self.port = free_port()
        self.delay = 0.0
        self.accepted = 0
        """Connections accepted so far."""
        self.forwarded = {"up": 0, "down": 0}
        """Bytes passed on so far, towards the server and back."""
        self._target = (target_host, target_port)
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._cut_after: dict[str, int | None] = {"up": None, "down": None}
        self._open: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}

    async def start(self) -> None:
        """Listen (again)."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port)

    async def stop(self) -> None:
        """Refuse new connections and reset the open ones."""
        server, self._server = self._server, None
        if server:
            server.close()
        self.cut()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every open connection now; new ones are accepted."""
        for writers in list(self._open.values()):
            for writer in writers:
                writer.transport.abort()

    def cut_after(self, up: int | None = None, down: int | None = None) -> None:
        """Reset the connection that carries the byte after so many more, in mid-message if need be. Once."""
        self._cut_after = {"up": up, "down": down}

    def hold(self) -> None:
        """Deliver nothing, without closing anything."""
        self._flowing.clear()

    def release(self) -> None:
        """Deliver again, what was held first."""
        self._flowing.set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = (writer,)
        try:
            await self._flowing.wait()  # not even connected while the link is dead
            away_reader, away_writer = await asyncio.open_connection(*self._target)
            self._open[task] = (writer, away_writer)
            directions = (
                asyncio.create_task(self._pass_on("up", reader, away_writer)),
                asyncio.create_task(self._pass_on("down", away_reader, writer)),
            )
            try:
                await asyncio.wait(directions, return_when=asyncio.FIRST_EXCEPTION)  # one way may end first
            finally:
                for direction in directions:
                    direction.cancel()
                await asyncio.gather(*directions, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in self._open.pop(task):
                end.transport.abort()

    async def _pass_on(self, way: str, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Returns at the end of the stream; raises when the connection is lost or to be cut."""
        while chunk := await source.read(CHUNK):
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._flowing.wait()
            passed, cut = self._up_to_the_cut(way, chunk)
            sink.write(passed)
            await sink.drain()
            self.forwarded[way] += len(passed)
            if cut:
                raise ConnectionAbortedError
        sink.write_eof()

    def _up_to_the_cut(self, way: str, chunk: bytes) -> tuple[bytes, bool]:
        left = self._cut_after[way]
        if left is None:
            return chunk, False
        if len(chunk) < left:
            self._cut_after[way] = left - len(chunk)
            return chunk, False
        self._cut_after[way] = None
        return chunk[:left], True
