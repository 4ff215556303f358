"""A Debian 13 root folder with PostgreSQL 17 and TimescaleDB, and a server that runs in it by chroot."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from cloud.engines.child import ChildProcess, launch, ready_or_stopped
from cloud.engines.errors import EngineError, EngineStartError
from cloud.engines.ports import LOOPBACK, answers, free_port

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "deploy/debian13-root"
BINARIES = "/usr/lib/postgresql/17/bin"
ROLE = "firstcall"
START_SECONDS = 60.0
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "timescaledb.max_background_workers": "4",
    "dynamic_shared_memory_type": "mmap",  # a bare root has no /dev/shm of its own
    "timezone": "UTC",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "log_min_messages": "warning",
}


def root_folder() -> Path:
    """Where the root is kept between runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(os.environ.get("FIRSTCALL_DEBIAN13_ROOT") or f"{cache}/firstcall/debian13")


def why_unavailable() -> str | None:
    """Make the root if that is possible here; else the reason why there is none."""
    if sys.platform != "linux" or not shutil.which("apt-get"):
        return "TimescaleDB tests run in a Debian 13 root folder, which only a Debian can make"
    if os.geteuid() != 0:
        return "TimescaleDB tests run in a Debian 13 root folder by chroot, which only root can do (sudo make test)"
    outcome = subprocess.run([SCRIPT, root_folder()], capture_output=True, text=True, check=False)
    return outcome.stderr.strip() if outcome.returncode else None


class TimescaleServer:
    """PostgreSQL 17 with TimescaleDB inside the root; same surface as `PostgresServer`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._inside = f"/var/lib/firstcall-{os.getpid()}-{secrets.token_hex(4)}"
        self._ids = _postgres_ids(root)
        self._password = secrets.token_urlsafe(24)
        self._port: int | None = None
        self._child: ChildProcess | None = None

    @property
    def port(self) -> int:
        if self._port is None:
            raise EngineError("start it first")
        return self._port

    def url(self, database: str = "postgres") -> str:
        """The libpq URL of a database, password included."""
        return f"postgresql://{ROLE}:{self._password}@{LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        """Make the data directory at the first start; wait until the server answers."""
        home = self._home()
        if not home.exists():
            _clear_after_killed_runs(self._root)
            self._make_cluster(home)
        port = self._port = self._port or free_port()
        settings = {**SETTINGS, "port": str(port)}
        options = [word for item in settings.items() for word in ("-c", "=".join(item))]
        child = launch(
            self._within(f"{BINARIES}/postgres", "-D", f"{self._inside}/data", *options),
            log=home / "log",
            cwd=home,
            stop_signal=signal.SIGINT,
            grace=20.0,
            environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
        )
        status = home / "data/postmaster.pid"

        def ready() -> bool:
            return status.exists() and "ready" in status.read_text() and answers(port)

        if not ready_or_stopped(child, ready, time.monotonic() + START_SECONDS):
            raise EngineStartError(f"the server in {self._root} did not start:\n{child.log_tail()}")
        self._child = child

    def stop(self) -> None:
        """End cleanly."""
        if self._child:
            self._child.stop()
            self._child = None

    def erase(self) -> None:
        """Stop, and delete the data; the root itself stays for the next run."""
        self.stop()
        shutil.rmtree(self._home(), ignore_errors=True)

    def _home(self) -> Path:
        return self._root / self._inside.lstrip("/")

    def _within(self, *command: str) -> list[str]:
        uid, gid = self._ids
        return ["chroot", f"--userspec={uid}:{gid}", "--groups=", str(self._root), *command]

    def _make_cluster(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        password = home / "password"
        password.write_text(self._password)
        for path in (home, password):
            os.chown(path, *self._ids)
        flags = ["-U", ROLE, f"--pwfile={self._inside}/password", "--auth=scram-sha-256", "--no-sync"]
        command = self._within(
            f"{BINARIES}/initdb", "-D", f"{self._inside}/data", *flags, "--encoding=UTF8", "--locale=C"
        )
        outcome = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        if outcome.returncode:
            raise EngineStartError(f"initdb in {self._root} failed:\n{outcome.stderr}")


def _clear_after_killed_runs(root: Path) -> None:
    """Delete the data of runs that were killed before they could."""
    for home in (root / "var/lib").glob("firstcall-*-*"):
        if not Path("/proc", home.name.split("-")[1]).exists():
            shutil.rmtree(home, ignore_errors=True)


def _postgres_ids(root: Path) -> tuple[int, int]:
    for line in (root / "etc/passwd").read_text().splitlines():
        name, _, uid, gid, *_ = line.split(":")
        if name == "postgres":
            return int(uid), int(gid)
    raise EngineError(f"{root} has no account 'postgres': delete it and run deploy/debian13-root again")
