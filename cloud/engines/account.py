"""The unprivileged account that a server runs under when we are root, and what that account can reach.

PostgreSQL refuses to run as root. Then its processes take the identity of an existing account, its data directory
belongs to that account, and whatever lies where the account may not go (a clone under /root, say) is brought where
it may: binaries are copied, a data directory is kept elsewhere behind a symbolic link.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cloud.engines.errors import EngineError

CANDIDATES = ("postgres", "nobody")
READABLE_CACHE = Path("/var/cache/firstcall")
REACHABLE_STATE = Path("/var/lib/firstcall")


@dataclass(frozen=True)
class Account:
    """An account of this machine that is not root's. Its name matters: initdb looks it up."""

    name: str
    uid: int
    gid: int


def account_for_servers() -> Account | None:
    """None when we are not root (servers then run as ourselves), else the account they shall take.

    Raises EngineError when the machine has none of the usual ones.
    """
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise EngineError(
        f"PostgreSQL does not run as root, and this machine has no account named {' or '.join(CANDIDATES)}: "
        "run as an ordinary user, or make one of these accounts"
    )


def can_enter(directory: Path, account: Account) -> bool:
    """Whether the account may go through `directory` and all folders above it (mode bits; no access lists)."""
    resolved = directory.resolve()
    return all(_searchable(folder, account) for folder in (resolved, *resolved.parents))


def _searchable(folder: Path, account: Account) -> bool:
    state = folder.stat()
    if state.st_uid == account.uid:
        return bool(state.st_mode & stat.S_IXUSR)
    if state.st_gid == account.gid:
        return bool(state.st_mode & stat.S_IXGRP)
    return bool(state.st_mode & stat.S_IXOTH)


def give(path: Path, account: Account | None) -> None:
    """Make `path` the account's, and nobody else's to read."""
    if account:
        os.chown(path, account.uid, account.gid)
    path.chmod(0o700 if path.is_dir() else 0o600)


def reachable_home(home: Path, account: Account | None) -> Path:
    """Make the directory `home` for a server and return where it really lies.

    When the account cannot go there, the directory is made under /var/lib/firstcall, and `home` becomes a symbolic
    link to it, so that the next start finds it again.
    """
    if home.is_symlink() or account is None:
        real = home.resolve()
        real.mkdir(parents=True, exist_ok=True)
    else:
        home.parent.mkdir(parents=True, exist_ok=True)
        real = home.resolve()
        if can_enter(home.parent, account):
            home.mkdir(exist_ok=True)
        elif not home.exists() or not any(home.iterdir()):
            real = _kept_elsewhere(home)
    if account and not can_enter(real.parent, account):
        raise EngineError(f"the account {account.name} may not enter {real.parent}: choose another data directory")
    give(real, account)
    return real


def _kept_elsewhere(home: Path) -> Path:
    REACHABLE_STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    key = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]
    real = REACHABLE_STATE / f"{home.name}-{key}"
    real.mkdir(mode=0o700, exist_ok=True)
    if home.exists():
        home.rmdir()
    home.symlink_to(real)
    return real


def erase_home(home: Path) -> None:
    """Delete what `reachable_home` made, the symbolic link included. No error when it is gone already."""
    real = home.resolve()
    if home.is_symlink():
        home.unlink()
    shutil.rmtree(real, ignore_errors=True)


def readable_copy(folders: tuple[Path, ...], name: str) -> Path:
    """A copy of sibling `folders`, readable by every account, under a cache directory; made once a `name`.

    Returns the folder that holds the copies. `name` must change when the content does.
    """
    READABLE_CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    target = READABLE_CACHE / name
    if not target.is_dir():
        unfinished = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=READABLE_CACHE))
        for folder in folders:
            shutil.copytree(
                folder,
                unfinished / folder.name,
                symlinks=True,
                ignore=shutil.ignore_patterns("include", "__pycache__", "*.a"),
            )
        unfinished.chmod(0o755)
        try:
            unfinished.rename(target)
        except OSError:  # another process was faster: its copy is as good
            shutil.rmtree(unfinished)
    return target
