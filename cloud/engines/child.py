"""One engine process, held by its guard (see `guard`): start, stop, kill, and its last words."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cloud.engines import guard
from cloud.engines.account import Account
from cloud.engines.errors import EngineError, EngineStartError

GUARD_MARGIN_SECONDS = 10.0
POLL_SECONDS = 0.02
PROCESS_TABLE = Path("/proc")


class ChildProcess:
    """A running engine. Made by `launch`; ended by `stop` (clean) or `kill` (as a crash would)."""

    def __init__(self, guard_process: subprocess.Popen[bytes], pid: int, log: Path, grace: float) -> None:
        self._guard = guard_process
        self._grace = grace
        self.pid = pid
        self.log = log

    @property
    def running(self) -> bool:
        """Whether the engine has not ended."""
        return self._guard.poll() is None

    def stop(self) -> None:
        """Ask the engine to end, and wait for it; its guard kills it when the grace has run out."""
        if self._guard.stdin:
            with contextlib.suppress(OSError):
                self._guard.stdin.close()
        self._wait()

    def kill(self) -> None:
        """`kill -9` of the engine and of its own children, as a crash of the machine would do."""
        family = [self.pid, *children_of(self.pid)]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.stop()

    def send_signal(self, number: int) -> None:
        """Send a signal to the engine itself (SIGHUP: read the configuration again)."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of the engine's log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError as error:
            return f"(no log at {self.log}: {error.strerror})"

    def _wait(self) -> None:
        try:
            self._guard.wait(self._grace + GUARD_MARGIN_SECONDS)
        except subprocess.TimeoutExpired:
            raise EngineError(f"process {self.pid} did not end; end it by hand: kill -9 {self.pid}") from None
        if self._guard.stdout:
            self._guard.stdout.close()


def launch(
    command: Sequence[str],
    *,
    log: Path,
    cwd: Path,
    stop_signal: signal.Signals,
    grace: float,
    account: Account | None = None,
    environment: Mapping[str, str] | None = None,
) -> ChildProcess:
    """Start `command` under a guard.

    `account`: whose identity it takes (None: ours). `grace`: seconds between the stop signal and the kill.
    Raises EngineStartError when the program cannot be run at all.
    """
    identity = (account.uid, account.gid) if account else (guard.KEEP_IDENTITY, guard.KEEP_IDENTITY)
    words = [int(stop_signal), grace, *identity, cwd, log, *command]
    guard_process = subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=None if environment is None else dict(environment),
        start_new_session=True,  # a terminal's Ctrl-C is for the programs; they stop their engines in order
    )
    assert guard_process.stdout is not None
    first_line = guard_process.stdout.readline().decode(errors="replace").strip()
    if not first_line.isdecimal():
        guard_process.communicate()
        raise EngineStartError(first_line or f"the guard of {command[0]} ended with {guard_process.returncode}")
    return ChildProcess(guard_process, int(first_line), log, grace)


def ready_or_stopped(child: ChildProcess, ready: Callable[[], bool], deadline: float) -> bool:
    """Ask `ready` again and again until `time.monotonic()` passes `deadline` or the child has ended.

    Returns whether it became ready; if not, also when interrupted, the child is stopped.
    """
    pause = threading.Event()
    became_ready = False
    try:
        while not became_ready and child.running and time.monotonic() < deadline:
            became_ready = ready()
            if not became_ready:
                pause.wait(POLL_SECONDS)
    finally:
        if not became_ready:
            child.stop()
    return became_ready


def children_of(pid: int) -> list[int]:
    """The process ids of the direct children of `pid`."""
    if (PROCESS_TABLE / "self/stat").exists():
        rows = [_parent_and_pid(entry) for entry in PROCESS_TABLE.iterdir() if entry.name.isdecimal()]
    else:
        listing = subprocess.run(["ps", "-axo", "ppid=,pid="], capture_output=True, text=True, check=True)
        rows = [(int(parent), int(child)) for parent, child in map(str.split, listing.stdout.splitlines())]
    return [child for parent, child in rows if parent == pid]


def _parent_and_pid(entry: Path) -> tuple[int, int]:
    try:
        after_name = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return (0, 0)
    return (int(after_name[1]), int(entry.name))
