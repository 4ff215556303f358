"""One process at a time on a spool file."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class SpoolBusy(Exception):
    """Another process has the spool open."""


class FileLock:
    """An exclusive lock beside the file; the kernel releases it when the process dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, or raise SpoolBusy."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise SpoolBusy(f"the spool {self._path.name.removesuffix('.lock')} is in use by another agent") from None
        self._descriptor = descriptor

    def release(self) -> None:
        """Give it back; harmless when called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
