"""Runs one engine, and ends it when the program that asked for it is gone.

Started as a script of its own, with the standard library alone:

    python guard.py STOP_SIGNAL GRACE_SECONDS UID GID CWD LOG COMMAND...

Standard input is the lifeline: at its end (the parent closed it, or died, `kill -9` included) the engine gets
STOP_SIGNAL, and SIGKILL after GRACE_SECONDS. A parent whose lifeline leaked into another process is still
noticed: its process id is no longer ours. On Linux the kernel also kills the engine if this guard itself is
killed. The engine's process id is the first line on standard output; its exit code is ours.

Why not PR_SET_PDEATHSIG alone: it fires when the *thread* that started the child ends, exists on Linux only,
and leaves no time for a clean stop.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PARENT_CHECK_SECONDS = 1.0
KEEP_IDENTITY = -1


def _die_with_guard() -> None:
    """In the child, after the change of user (which would clear the setting) and before exec."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _start(command: list[str], uid: int, gid: int, cwd: str, log: str) -> subprocess.Popen[bytes]:
    other = uid != KEEP_IDENTITY
    with Path(log).open("ab") as log_file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            preexec_fn=_die_with_guard,  # noqa: PLW1509 - this process has one thread
            user=uid if other else None,
            group=gid if other else None,
            extra_groups=[] if other else None,
        )


def _wait_for_end_of(engine: subprocess.Popen[bytes], parent: int, woken: int) -> None:
    """Return when the engine has ended, or when the parent has let go of it."""
    while engine.poll() is None and os.getppid() == parent:
        readable, _, _ = select.select([0, woken], [], [], PARENT_CHECK_SECONDS)
        if 0 in readable and not os.read(0, 4096):
            return
        if woken in readable:
            os.read(woken, 4096)


def _stop(engine: subprocess.Popen[bytes], stop_signal: int, grace: float) -> None:
    if engine.poll() is None:
        engine.send_signal(stop_signal)
    deadline = time.monotonic() + grace
    while engine.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if engine.poll() is None:
        engine.kill()
        engine.wait()


def main(arguments: list[str]) -> int:
    """Run the engine to its end; returns its exit code, 128 + n if signal n ended it."""
    stop_signal, grace, uid, gid, cwd, log, *command = arguments
    parent = os.getppid()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # the lifeline alone ends the engine
    try:
        engine = _start(command, int(uid), int(gid), cwd, log)
    except OSError as error:
        print(f"cannot run {command[0]}: {error.strerror}", flush=True)
        return 127
    with contextlib.suppress(BrokenPipeError):  # a parent that is gone already: the lifeline says so next
        print(engine.pid, flush=True)
    _wait_for_end_of(engine, parent, woken)
    _stop(engine, int(stop_signal), float(grace))
    code = engine.returncode
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
