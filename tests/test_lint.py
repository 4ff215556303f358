"""What `make lint` checks, as tests, so that a run's last line speaks for it too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
CHECKS = {
    "ruff": ["ruff", "check", "--quiet", "."],
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "mypy": ["mypy", "--no-color-output"],
    "imports": ["lint-imports", "--no-cache"],
}


@pytest.mark.parametrize("check", CHECKS)
def test_lint(check: str) -> None:
    program, *arguments = CHECKS[check]
    command = [Path(sys.executable).with_name(program), *arguments]
    outcome = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    print(outcome.stdout, outcome.stderr)
    assert outcome.returncode == 0, f"{program} has something to say, see above (make lint)"


def test_make_lint_runs_the_same() -> None:
    dry = subprocess.run(
        ["make", "-n", "-o", ".venv/installed", "lint"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    for program, *arguments in CHECKS.values():
        wanted = [word for word in arguments if word not in ("--quiet", "--no-color-output", "--no-cache")]
        assert f".venv/bin/{' '.join([program, *wanted])}" in dry.stdout.splitlines()
