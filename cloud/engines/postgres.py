"""One embedded PostgreSQL server: loopback TCP only, one role with a generated password, UTF-8, C collation."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from cloud.engines.account import account_for_servers, erase_home, give, reachable_home
from cloud.engines.child import ChildProcess, launch, ready_or_stopped
from cloud.engines.errors import DirectoryInUseError, EngineError, EngineStartError, PortInUseError
from cloud.engines.ports import LOOPBACK, answers, can_listen, free_port
from cloud.engines.postgres_binaries import PostgresBinaries, find_postgres
from cloud.engines.postgres_lock import clear_stale_lock

ROLE = "firstcall"
START_SECONDS = 60.0
STOP_GRACE_SECONDS = 20.0
PORT_ATTEMPTS = 5
RETRY_PAUSE_SECONDS = 0.2
ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC"}

SETTINGS: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "checkpoint_timeout": "15min",
    "log_min_messages": "warning",
}
"""What differs from PostgreSQL's defaults; synchronous_commit and fsync stay on."""

UNSAFE_AND_FAST: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""For tests that never cut the power: a crash of the machine may lose or damage data."""


class PostgresServer:
    """A PostgreSQL server in the directory `home` (`data/`, `log`, `password` lie there).

    Reusable but not re-entrant: `start` after `stop` or `kill` serves the same data on the same port.
    """

    def __init__(
        self,
        home: Path,
        *,
        port: int | None = None,
        binaries: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`port` None: a free one, kept from then on. `settings` overrides entries of SETTINGS. Does no I/O."""
        self._given_home = home
        self._home = home
        self._given_binaries = binaries
        self._settings = {**SETTINGS, **(settings or {})}
        self._child: ChildProcess | None = None
        self._port = port

    @property
    def home(self) -> Path:
        """Where the files really lie; known once started (see `account.reachable_home`)."""
        return self._home

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1. Raises EngineError before the first start, unless it was given."""
        if self._port is None:
            raise EngineError("this PostgreSQL server has no port yet: start it first")
        return self._port

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self._child is None:
            raise EngineError("this PostgreSQL server is not running: start it first")
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the server process lives."""
        return self._child is not None and self._child.running

    def url(self, database: str = "postgres") -> str:
        """The libpq URL of a database, password included: never print it, see `shown_url`."""
        password = (self.home / "password").read_text().strip()
        return f"postgresql://{ROLE}:{password}@{LOOPBACK}:{self.port}/{database}"

    def shown_url(self, database: str = "postgres") -> str:
        """The URL without the password, fit for logs and people."""
        return f"postgresql://{ROLE}@{LOOPBACK}:{self.port}/{database}"

    def start(self, deadline_seconds: float = START_SECONDS) -> None:
        """Make the data directory if there is none, start, and wait until it answers.

        Raises EngineNotFoundError, PortInUseError, DirectoryInUseError, EngineStartError. Waits for processes of
        a killed predecessor to go, within the deadline.
        """
        if self.running:
            raise EngineError("this PostgreSQL server runs already")
        deadline = time.monotonic() + deadline_seconds
        account = account_for_servers()
        binaries = find_postgres(self._given_binaries, account)
        self._home = reachable_home(self._given_home, account)
        self._make_cluster(binaries)
        attempts_left = PORT_ATTEMPTS if self._port is None else 1
        while not self.running:
            try:
                self._start_once(binaries, deadline)
            except PortInUseError:
                attempts_left -= 1
                if not attempts_left:
                    raise
            except _PredecessorEndingError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_PAUSE_SECONDS)

    def stop(self) -> None:
        """End cleanly (fast shutdown: open transactions are rolled back). Does nothing when not running."""
        if self._child:
            self._child.stop()
            self._child = None

    def kill(self) -> None:
        """`kill -9` of the server and all of its processes, as a crash would. `start` recovers."""
        if self._child:
            self._child.kill()
            self._child = None

    def erase(self) -> None:
        """Stop, and delete all files."""
        self.stop()
        erase_home(self._given_home)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_once(self, binaries: PostgresBinaries, deadline: float) -> None:
        port = self._port or free_port()
        if not can_listen(port):
            raise PortInUseError(f"port {port} on {LOOPBACK} is in use: end what listens there, or choose another")
        clear_stale_lock(self.home / "data")
        log = self.home / "log"
        log_start = log.stat().st_size if log.exists() else 0
        options = [word for item in {**self._settings, "port": str(port)}.items() for word in ("-c", "=".join(item))]
        child = launch(
            [str(binaries.folder / "postgres"), "-D", str(self.home / "data"), *options],
            log=log,
            cwd=self.home,
            stop_signal=signal.SIGINT,
            grace=STOP_GRACE_SECONDS,
            account=account_for_servers(),
            environment=ENVIRONMENT,
        )
        status = self.home / "data/postmaster.pid"
        ready = ready_or_stopped(child, lambda: _says_ready(status, child.pid) and answers(port), deadline)
        if not ready:
            raise _why_not(port, log, log_start)
        self._child, self._port = child, port

    def _make_cluster(self, binaries: PostgresBinaries) -> None:
        version_file = self.home / "data/PG_VERSION"
        if version_file.exists():
            major = int(version_file.read_text())
            if major != binaries.major:
                raise EngineStartError(
                    f"{self.home}/data was made by PostgreSQL {major}, and the binaries found "
                    f"({binaries.folder}, {binaries.origin}) are {binaries.major}: "
                    "move it with pg_upgrade, or start with another data directory"
                )
            return
        unfinished = self.home / "data.unfinished"  # renamed when whole: a crash in between leaves no half cluster
        shutil.rmtree(unfinished, ignore_errors=True)
        password = self.home / "password"
        password.write_text(secrets.token_urlsafe(24) + "\n")
        give(password, account_for_servers())
        _initdb(binaries, unfinished, password)
        unfinished.rename(self.home / "data")


class _PredecessorEndingError(EngineStartError):
    """Processes of a killed server still hold its shared memory; they end by themselves."""


def _initdb(binaries: PostgresBinaries, target: Path, password: Path) -> None:
    account = account_for_servers()
    flags = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]
    outcome = subprocess.run(
        [str(binaries.folder / "initdb"), "-D", str(target), "-U", ROLE, f"--pwfile={password}", *flags],
        capture_output=True,
        text=True,
        check=False,
        cwd=target.parent,
        env=ENVIRONMENT,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
    if outcome.returncode != 0:
        raise EngineStartError(f"initdb could not make {target}:\n{outcome.stderr.strip() or outcome.stdout.strip()}")


def _says_ready(status: Path, pid: int) -> bool:
    """Whether postmaster.pid is of this server and its eighth line says `ready`."""
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def _why_not(port: int, log: Path, log_start: int) -> EngineStartError:
    """The fitting error for a start that failed, from what the server wrote to its log since."""
    with log.open("rb") as written:
        written.seek(log_start)
        words = written.read().decode(errors="replace").strip()
    if "is still in use" in words:
        return _PredecessorEndingError(f"processes of an earlier server are still running:\n{words}")
    if "Address already in use" in words:
        return PortInUseError(f"port {port} on {LOOPBACK} was taken meanwhile: choose another")
    if 'lock file "postmaster.pid" already exists' in words:
        return DirectoryInUseError(f"another server runs on this data directory:\n{words}")
    last = "\n".join(words.splitlines()[-15:])
    return EngineStartError(f"PostgreSQL did not start; see {log}. Its last words:\n{last}")
