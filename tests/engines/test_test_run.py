"""A test run names what it leaves out, leaves nothing out in CI, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud.engines.ports import answers
from tests.support.folders import open_folder

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class SampleRun:
    """tests/support/sample_run.py as a pytest of its own, with a temporary folder of its own."""

    folder: Path

    def start(self, *, seconds: float, ci: bool = False) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if name != "CI"}
        environment |= {"TMPDIR": str(self.temporary), "SAMPLE_READY": str(self.ready)}
        environment |= {"SAMPLE_SECONDS": str(seconds)} | ({"CI": "true"} if ci else {})
        sample = "tests/support/sample_run.py"
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", sample],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    @property
    def ready(self) -> Path:
        return self.folder / "ready"

    def engines(self) -> list[int]:
        """Process ids and ports of its two engines, once both run."""
        deadline = time.monotonic() + 60
        while not self.ready.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        return list(map(int, self.ready.read_text().split()))

    def left_behind(self) -> list[str]:
        """Processes, ports and files of the run that are still there."""
        postgres_pid, nats_pid, *ports = self.engines()
        processes = [f"process {pid}" for pid in (postgres_pid, nats_pid) if Path(f"/proc/{pid}").exists()]
        listeners = [f"port {port}" for port in ports if answers(port)]
        files = [str(path) for path in self.temporary.iterdir() if not path.name.startswith("pytest-of-")]
        return processes + listeners + files


@pytest.fixture
def run() -> Iterator[SampleRun]:
    with open_folder("sample-run") as folder:
        sample = SampleRun(folder)
        sample.temporary.mkdir()
        yield sample


def test_at_home_each_test_left_out_is_named_with_its_reason(run: SampleRun) -> None:
    process = run.start(seconds=0)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "no such thing here (get it from the shop)" in output
    assert "left out without asking" in output
    assert "1 passed, 2 skipped, 1 xfailed" in output.splitlines()[-1]
    assert run.left_behind() == []


def test_in_ci_a_test_left_out_fails(run: SampleRun) -> None:
    process = run.start(seconds=0, ci=True)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert "CI leaves nothing out: no such thing here (get it from the shop)" in output
    assert "CI leaves nothing out: left out without asking" in output
    assert "1 failed, 1 passed, 1 xfailed, 1 error" in output.splitlines()[-1]


@pytest.mark.kill
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_leaves_nothing_behind(run: SampleRun, ending: signal.Signals) -> None:
    process = run.start(seconds=60)
    engines = run.engines()
    assert answers(engines[2])
    os.killpg(process.pid, ending)  # as a terminal does it on Ctrl-C
    output, _ = process.communicate(timeout=60)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert run.left_behind() == []
