"""`make` installs when it must and only then, and says what is missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def dry_run(*words: str) -> list[str]:
    """The commands that `make` would run."""
    command = ["make", "--no-print-directory", "-n", *words]
    outcome = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return outcome.stdout.splitlines()


@pytest.mark.parametrize("changed", ["requirements/dev.lock", "pyproject.toml"])
def test_a_changed_lock_is_installed_first(changed: str) -> None:
    commands = dry_run("-W", changed, "demo")
    assert commands[0] == "requirements/install requirements/dev.lock"
    assert commands[-1].startswith(".venv/bin/firstcall demo")


def test_an_unchanged_lock_costs_nothing() -> None:
    assert dry_run("-o", ".venv/installed", "demo") == [".venv/bin/firstcall demo "]


def test_arguments_are_handed_on() -> None:
    assert dry_run("-o", ".venv/installed", "demo", "DEMO_ARGS=--headless --minutes 2") == [
        ".venv/bin/firstcall demo --headless --minutes 2"
    ]
    assert dry_run("-o", ".venv/installed", "bench", "BENCH_ARGS=--quick")[-1].endswith(" --quick")


def test_ci_is_make_test_and_leaves_nothing_out() -> None:
    script = (REPOSITORY / ".ci/run").read_text()
    assert "CI=true\nexport CI\n" in script
    assert "make --no-print-directory test" in script
    assert dry_run("-o", ".venv/installed", "test")[-1].startswith(".venv/bin/python -m pytest")


@pytest.fixture
def bare_machine(tmp_path: Path) -> Path:
    """A copy of the installer on a machine whose search path has next to nothing."""
    shutil.copytree(REPOSITORY / "requirements", tmp_path / "requirements")
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "dirname", "rm", "mktemp", "chmod", "env"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    return tmp_path


def install(machine: Path) -> subprocess.CompletedProcess[str]:
    command = [str(machine / "requirements/install"), "requirements/dev.lock"]
    return subprocess.run(command, env={"PATH": str(machine / "bin")}, capture_output=True, text=True, check=False)


def python_that(machine: Path, body: str) -> None:
    fake = machine / "bin/python3"
    fake.write_text(f"#!{shutil.which('sh')}\n{body}\n")
    fake.chmod(0o755)


@pytest.mark.parametrize("has_an_old_one", [False, True])
def test_no_fitting_python_is_said(bare_machine: Path, has_an_old_one: bool) -> None:
    if has_an_old_one:
        python_that(bare_machine, "exit 1  # what a Python 3.9 answers to the question for its version")
    outcome = install(bare_machine)
    assert outcome.returncode == 1
    assert "Python 3.11 or newer is needed and was not found" in outcome.stderr
    assert not (bare_machine / ".venv").exists()


def test_a_python_without_ensurepip_and_no_debian_is_said(bare_machine: Path) -> None:
    answers = 'case "$*" in *ensurepip*) exit 1 ;; *platform*) echo 3.12.0 ;; esac; exit 0'
    python_that(bare_machine, answers)
    outcome = install(bare_machine)
    assert outcome.returncode == 1
    assert "this Python lacks ensurepip: install its venv package, or install uv" in outcome.stderr
