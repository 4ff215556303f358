"""Temporary directories that an unprivileged server account may enter (pytest's own are private)."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def open_folder(purpose: str) -> Iterator[Path]:
    """A new directory, deleted at the end."""
    folder = Path(tempfile.mkdtemp(prefix=f"firstcall-{purpose}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
