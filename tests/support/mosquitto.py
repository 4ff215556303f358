"""A Mosquitto broker as a child process, tuned for delivery or as shipped."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

from cloud.engines.child import ChildProcess, launch, ready_or_stopped
from cloud.engines.errors import EngineError, EngineStartError
from cloud.engines.ports import LOOPBACK, answers, free_port

START_SECONDS = 10.0
SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"

AS_SHIPPED = """\
listener {port} 127.0.0.1
allow_anonymous true
"""
"""Debian's defaults: 1,000 queued and 20 in flight a client, the rest PUBACKed and dropped."""

TUNED = (
    AS_SHIPPED
    + """\
max_queued_messages 0
max_queued_bytes 0
max_inflight_messages 0
persistence true
persistence_location {home}/
autosave_interval 1
max_packet_size 4194304
set_tcp_nodelay true
"""
)
"""Queues without bound, saved each second. A kill still loses what came since the last save."""


def find_mosquitto() -> str | None:
    """The broker's program, or None."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:{SYSTEM_FOLDERS}")


class Mosquitto:
    """One broker in the directory `home`. `start` after `stop` or `kill` keeps port and saved sessions."""

    kind = "mosquitto"
    host = LOOPBACK

    def __init__(self, home: Path, configuration: str = TUNED) -> None:
        """`configuration` is a template with {port} and {home}."""
        self.home = home
        self._template = configuration
        self._port: int | None = None
        self._child: ChildProcess | None = None

    @property
    def mqtt_port(self) -> int:
        """The port of the MQTT listener; known after the first start."""
        if self._port is None:
            raise EngineError("this Mosquitto has no port yet: start it first")
        return self._port

    @property
    def pid(self) -> int:
        """The process id of the running broker."""
        if self._child is None:
            raise EngineError("this Mosquitto is not running: start it first")
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the broker lives."""
        return self._child is not None and self._child.running

    def start(self) -> None:
        """Start and wait until it listens."""
        program = find_mosquitto()
        if program is None:
            raise EngineError("no mosquitto on this machine")
        self.home.mkdir(exist_ok=True)
        self._port = self._port or free_port()
        configuration = self.home / "mosquitto.conf"
        # as root it would change to an account that cannot write here
        identity = "user root\n" if os.geteuid() == 0 else ""
        configuration.write_text(identity + self._template.format(port=self._port, home=self.home))
        child = launch(
            [program, "-c", str(configuration)],
            log=self.home / "log",
            cwd=self.home,
            stop_signal=signal.SIGTERM,
            grace=10.0,
        )
        port = self._port
        if not ready_or_stopped(child, lambda: answers(port), time.monotonic() + START_SECONDS):
            raise EngineStartError(f"mosquitto did not start:\n{child.log_tail()}")
        self._child = child

    def stop(self) -> None:
        """End cleanly (it saves its sessions)."""
        if self._child:
            self._child.stop()
            self._child = None

    def kill(self) -> None:
        """`kill -9`."""
        if self._child:
            self._child.kill()
            self._child = None
