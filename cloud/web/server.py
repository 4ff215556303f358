"""Running the web application: alone (`firstcall web`), or inside another program (the demo)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
import uvicorn
from fastapi import FastAPI

from cloud.db.settings import DatabaseSettings
from cloud.web.app import create_app
from cloud.web.settings import WebSettings

GRACE_S = 5.0  # for answers under way when the program stops
log = structlog.get_logger()


class PortTaken(RuntimeError):
    """The address and port to listen on cannot be had; the message says why and what to set."""


def bind(settings: WebSettings) -> socket.socket:
    """The listening socket.

    Raises:
        PortTaken: another program has the port, or the address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; "
            "end the program that has it, or set FIRSTCALL_WEB_PORT (0 takes any free port)"
        ) from error
    return listener


@dataclass(frozen=True, slots=True)
class Serving:
    """A web program that answers."""

    app: FastAPI
    url: str
    finished: asyncio.Task[None]


class _Server(uvicorn.Server):
    """Leaves signals to whoever embeds it, and ends the event streams before it waits for open connections."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._firstcall = app

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        context = getattr(self._firstcall.state, "context", None)
        if context is not None:
            context.end()
        await super().shutdown(sockets)


@asynccontextmanager
async def serve(settings: WebSettings, database: DatabaseSettings, *, console: bool = True) -> AsyncIterator[Serving]:
    """Serve until the block is left; it is entered when the first request would be answered.

    Raises:
        PortTaken: see `bind`. RuntimeError: the application did not start; the log says why.
    """
    listener = bind(settings)
    try:
        app = create_app(settings, database, console=console)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=int(GRACE_S),
            server_header=False,
            ws_max_size=1 << 20,
        )
        server = _Server(config, app)
        task = asyncio.create_task(server.serve(sockets=[listener]), name="web server")
        try:
            while not server.started:
                if task.done():
                    raise RuntimeError(
                        "the web application did not start; the log above says why"
                    ) from task.exception()
                await asyncio.sleep(0.02)
            host, port = listener.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            log.info("web.listening", url=f"http://{shown}:{port}/")
            yield Serving(app, f"http://{shown}:{port}", task)
        finally:
            server.should_exit = True
            with contextlib.suppress(asyncio.CancelledError):
                await task
    finally:
        listener.close()


async def run(settings: WebSettings, database: DatabaseSettings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set or the server ends by itself."""
    async with serve(settings, database) as serving:
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({stopping, serving.finished}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
    log.info("web.stopped")
