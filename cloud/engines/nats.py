"""One embedded NATS server: MQTT listener and JetStream, on the loopback interface."""

from __future__ import annotations

import os
import signal
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from cloud.engines.account import erase_home
from cloud.engines.child import ChildProcess, launch, ready_or_stopped
from cloud.engines.errors import EngineError, EngineStartError, PortInUseError
from cloud.engines.nats_binary import find_nats
from cloud.engines.nats_config import NatsOptions, NatsUser, render
from cloud.engines.ports import LOOPBACK, answers, can_listen, free_port

START_SECONDS = 30.0
STOP_GRACE_SECONDS = 15.0
PORT_ATTEMPTS = 5


class NatsServer:
    """A NATS server in the directory `home` (`nats.conf`, `store/`, `log` lie there).

    Reusable but not re-entrant: `start` after `stop` or `kill` serves the same streams and sessions on the same
    ports.
    """

    def __init__(
        self,
        home: Path,
        *,
        client_port: int | None = None,
        mqtt_port: int | None = None,
        monitor_port: int | None = None,
        binary: Path | None = None,
        options: NatsOptions | None = None,
    ) -> None:
        """Ports that are None: free ones, kept from the first start on. Does no I/O."""
        self.home = home.absolute()
        self.options = options or NatsOptions()
        self._given_binary = binary
        self._wanted = (client_port, mqtt_port, monitor_port)
        self._ports: tuple[int, int, int] | None = None
        self._child: ChildProcess | None = None

    @property
    def host(self) -> str:
        """The address to connect to."""
        return self.options.host

    @property
    def client_port(self) -> int:
        """The port of the NATS protocol."""
        return self._started_ports()[0]

    @property
    def mqtt_port(self) -> int:
        """The port of the MQTT listener."""
        return self._started_ports()[1]

    @property
    def monitor_port(self) -> int:
        """The port of the HTTP monitor (/healthz, /varz, /jsz)."""
        return self._started_ports()[2]

    @property
    def url(self) -> str:
        """The NATS URL, without credentials."""
        return f"{'tls' if self.options.tls else 'nats'}://{self.host}:{self.client_port}"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self._child is None:
            raise EngineError("this NATS server is not running: start it first")
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the server process lives."""
        return self._child is not None and self._child.running

    def start(self, deadline_seconds: float = START_SECONDS) -> None:
        """Write the configuration, start, and wait until JetStream and the MQTT listener are ready.

        Raises EngineNotFoundError, PortInUseError, EngineStartError.
        """
        if self.running:
            raise EngineError("this NATS server runs already")
        deadline = time.monotonic() + deadline_seconds
        binary = find_nats(self._given_binary)
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        attempts_left = PORT_ATTEMPTS if self._ports is None and None in self._wanted else 1
        while not self.running:
            attempts_left -= 1
            try:
                self._start_once(binary.path, deadline)
            except PortInUseError:
                if not attempts_left:
                    raise

    def stop(self) -> None:
        """End cleanly. Does nothing when not running."""
        if self._child:
            self._child.stop()
            self._child = None

    def kill(self) -> None:
        """`kill -9`, as a crash would. `start` recovers."""
        if self._child:
            self._child.kill()
            self._child = None

    def admit(self, users: tuple[NatsUser, ...]) -> None:
        """Replace the users, at once when running; connections of those who are gone are closed."""
        self.options = replace(self.options, users=users)
        if self._child and self._child.running:
            self._write_configuration(self._started_ports())
            self._child.send_signal(signal.SIGHUP)

    def erase(self) -> None:
        """Stop, and delete all files."""
        self.stop()
        erase_home(self.home)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _started_ports(self) -> tuple[int, int, int]:
        if self._ports is None:
            raise EngineError("this NATS server has no ports yet: start it first")
        return self._ports

    def _start_once(self, program: Path, deadline: float) -> None:
        ports = self._ports or _fill(self._wanted)
        for port in ports:
            if not can_listen(port):
                raise PortInUseError(f"port {port} on {LOOPBACK} is in use: end what listens there, or choose another")
        configuration = self._write_configuration(ports)
        log = self.home / "log"
        log_start = log.stat().st_size if log.exists() else 0
        child = launch(
            [str(program), "--config", str(configuration)],
            log=log,
            cwd=self.home,
            stop_signal=signal.SIGTERM,
            grace=STOP_GRACE_SECONDS,
        )
        if not ready_or_stopped(child, lambda: _healthy(ports[2]) and answers(ports[1], self.host), deadline):
            raise _why_not(log, log_start)
        self._child, self._ports = child, ports

    def _write_configuration(self, ports: tuple[int, int, int]) -> Path:
        path = self.home / "nats.conf"
        text = render(
            self.options,
            client_port=ports[0],
            mqtt_port=ports[1],
            monitor_port=ports[2],
            store=self.home / "store",
        )
        unfinished = path.with_suffix(".unfinished")
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)  # holds passwords: never readable by others, not even for a moment
        unfinished.replace(path)
        return path


def _fill(wanted: tuple[int | None, int | None, int | None]) -> tuple[int, int, int]:
    """The wanted ports, free and different ones for those that are None."""
    ports: list[int] = []
    for port in wanted:
        chosen = port
        while chosen is None or (port is None and (chosen in ports or chosen in wanted)):
            chosen = free_port()
        ports.append(chosen)
    return (ports[0], ports[1], ports[2])


def _healthy(monitor_port: int) -> bool:
    """Whether the server says that it and its JetStream are ready."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{monitor_port}/healthz", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _why_not(log: Path, log_start: int) -> EngineStartError:
    """The fitting error for a start that failed, from what the server wrote to its log since."""
    with log.open("rb") as written:
        written.seek(log_start)
        words = written.read().decode(errors="replace").strip()
    last = "\n".join(words.splitlines()[-15:])
    if "address already in use" in words:
        return PortInUseError(f"a port was taken meanwhile:\n{last}")
    return EngineStartError(f"NATS did not start; see {log}. Its last words:\n{last}")
