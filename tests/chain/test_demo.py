"""`firstcall demo` as a stranger starts it: a ticket appears, the books agree, and nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cloud.engines.ports import answers
from tests.chain.programs import wait_for


class Demo:
    """A running demo in a temporary directory of its own; what it prints goes to a file."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir(mode=0o755)
        self.output = folder / "output"
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "firstcall", "demo", "--port", "0", "--headless", *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(self.temporary)},
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """Everything that it printed so far."""
        return self.output.read_text(errors="replace")

    @property
    def port(self) -> int:
        """The console's port, once told; 0 before."""
        told = re.search(r"the console is at http://127\.0\.0\.1:(\d+)", self.said)
        return int(told[1]) if told else 0

    def processes(self) -> list[psutil.Process]:
        """The demo's processes, engines and programs included."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def program(self, name: str) -> psutil.Process:
        """The process of `firstcall NAME`, not its guard."""
        return next(p for p in self.processes() if p.cmdline()[1:] == ["-m", "firstcall", name])

    def wait_for_ticket(self) -> None:
        """Return when the first ticket was announced."""
        wait_for(lambda: "the first proactive ticket" in self.said or self.process.poll() is not None, 90)
        assert self.process.poll() is None, self.said


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[type[Demo]]:
    started: list[Demo] = []

    class Started(Demo):
        def __init__(self, *arguments: str) -> None:
            super().__init__(tmp_path, *arguments)
            started.append(self)

    tmp_path.chmod(0o755)
    yield Started
    for demo in started:
        if demo.process.poll() is None:
            demo.process.send_signal(signal.SIGTERM)
            demo.process.wait(30)


def assert_nothing_left(demo: Demo, processes: list[psutil.Process], port: int) -> None:
    _gone, alive = psutil.wait_procs(processes, timeout=15)
    assert not alive, [p.cmdline() for p in alive]
    assert not answers(port)
    assert list(demo.temporary.iterdir()) == []


def test_a_ticket_appears_and_nothing_is_lost_or_left_behind(start_demo: type[Demo]) -> None:
    demo = start_demo("--minutes", "0.6", "--devices", "24")
    demo.wait_for_ticket()
    processes, port = demo.processes(), demo.port
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
        assert answer.status == 200
    assert demo.process.wait(150) == 0, demo.said
    sent, committed, lost = (int(n) for n in re.search(r"lost +(\d+) / (\d+) / (\d+)", demo.said).groups())
    assert sent == committed > 1000
    assert lost == 0
    assert int(re.search(r"tickets raised, the first +(\d+)", demo.said)[1]) > 0
    within = int(re.search(r"on the screen after (\d+) s", demo.said)[1])
    print(f"first ticket after {within} s")
    assert_nothing_left(demo, processes, port)


@pytest.mark.recorded
def test_recorded_machines_travel_the_whole_chain(start_demo: type[Demo], recorded_data: Path) -> None:
    demo = start_demo("--recorded", str(recorded_data / "azure_pdm"))
    assert demo.process.wait(240) == 0, demo.said
    sent, committed, lost = (int(n) for n in re.search(r"lost +(\d+) / (\d+) / (\d+)", demo.said).groups())
    assert (sent, committed, lost) == (21_600, 21_600, 0)
    foreseen, a_day_before, failures = (
        int(n) for n in re.search(r"a day before +(\d+), (\d+) of (\d+)", demo.said).groups()
    )
    assert failures == 15
    assert foreseen >= a_day_before > 0
    print(demo.said[-900:])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_summary(start_demo: type[Demo], number: signal.Signals) -> None:
    demo = start_demo("--minutes", "5", "--devices", "12")
    wait_for(lambda: demo.port or demo.process.poll() is not None, 60)
    time.sleep(3)
    processes, port = demo.processes(), demo.port
    demo.process.send_signal(number)
    assert demo.process.wait(60) == 0, demo.said
    assert "frames sent / committed / lost" in demo.said
    assert_nothing_left(demo, processes, port)


def test_a_signal_while_it_starts_ends_it(start_demo: type[Demo]) -> None:
    demo = start_demo("--minutes", "5", "--devices", "12")
    wait_for(lambda: "migrating" in demo.said or demo.process.poll() is not None, 60)
    processes = demo.processes()
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(60) != 0
    _gone, alive = psutil.wait_procs(processes, timeout=15)
    assert not alive
    assert list(demo.temporary.iterdir()) == []


@pytest.mark.kill
@pytest.mark.parametrize("victim", ["ingest", "desk"])
def test_a_crash_of_one_part_ends_all_and_says_which(start_demo: type[Demo], victim: str) -> None:
    demo = start_demo("--minutes", "5", "--devices", "12")
    wait_for(lambda: demo.port or demo.process.poll() is not None, 60)
    processes, port = demo.processes(), demo.port
    demo.program(victim).kill()
    assert demo.process.wait(60) == 1
    assert f"{victim} has ended" in demo.said
    assert_nothing_left(demo, processes, port)


@pytest.mark.kill
def test_kill_9_of_the_demo_itself_leaves_no_process(start_demo: type[Demo]) -> None:
    demo = start_demo("--minutes", "5", "--devices", "12")
    wait_for(lambda: demo.port or demo.process.poll() is not None, 60)
    processes, port = demo.processes(), demo.port
    demo.process.kill()
    demo.process.wait(10)
    _gone, alive = psutil.wait_procs(processes, timeout=40)
    assert not alive, [p.cmdline() for p in alive]
    assert not answers(port)
