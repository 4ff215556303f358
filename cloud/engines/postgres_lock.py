"""The lock file of a PostgreSQL data directory, and when it is stale.

PostgreSQL itself removes the lock of a dead process. It gives up when the process id lives again as something
else of the same account, which is usual in containers, where ids are few.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from cloud.engines.errors import DirectoryInUseError

LOCK = "postmaster.pid"


def clear_stale_lock(data: Path) -> None:
    """Remove `data`'s lock when its process is no PostgreSQL server (any more).

    Raises DirectoryInUseError when a server does run on this directory.
    """
    lock = data / LOCK
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
    except FileNotFoundError:
        return
    except ValueError:  # cut off by a crash
        lock.unlink()
        return
    if "postgres" not in _command_of(pid):
        lock.unlink()
    elif _works_in(pid, data):
        raise DirectoryInUseError(
            f"process {pid} already serves {data}: stop it (kill -INT {pid}), or start with another data directory"
        )
    else:
        lock.unlink()


def _command_of(pid: int) -> str:
    """The command line of a process; empty when there is none (a zombie has none either)."""
    process = Path("/proc") / str(pid)
    if Path("/proc/self").exists():
        try:
            return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    listing = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listing.stdout.strip()


def _works_in(pid: int, data: Path) -> bool:
    """Whether the process works in this data directory; True when that cannot be told."""
    try:
        return (Path("/proc") / str(pid) / "cwd").resolve(strict=True) == data.resolve()
    except OSError:
        return True
