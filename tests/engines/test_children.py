"""Engines end with whoever asked for them, whatever the way it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cloud.engines import child, guard
from cloud.engines.child import children_of, launch
from cloud.engines.errors import EngineStartError
from cloud.engines.ports import answers
from tests.support.folders import open_folder

PARENT = """
import sys, time, threading
from pathlib import Path
from cloud.engines.nats import NatsServer
from cloud.engines.postgres import PostgresServer, UNSAFE_AND_FAST
home = Path(sys.argv[1])
postgres, nats = PostgresServer(home / "pg", settings=UNSAFE_AND_FAST), NatsServer(home / "nats")
starter = threading.Thread(target=lambda: (postgres.start(), nats.start()))
starter.start(); starter.join()  # the thread that started them is gone: they must live on
print(postgres.pid, nats.pid, postgres.port, nats.mqtt_port, flush=True)
time.sleep(120)
"""


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.kill
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_engine_outlives_its_program(ending: signal.Signals) -> None:
    with open_folder("orphans") as folder:
        program = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert program.stdout is not None
        postgres_pid, nats_pid, postgres_port, mqtt_port = map(int, program.stdout.readline().split())
        assert alive(postgres_pid)
        assert alive(nats_pid)
        # as a terminal does it: Ctrl-C goes to the whole foreground group
        os.killpg(program.pid, ending) if ending == signal.SIGINT else program.send_signal(ending)
        program.wait(20)
        program.stdout.close()
        assert wait_for(lambda: not alive(postgres_pid) and not alive(nats_pid))
        assert not answers(postgres_port)
        assert not answers(mqtt_port)
        assert not (folder / "pg/data/postmaster.pid").exists()  # stopped in order, not killed


@pytest.mark.kill
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a child whose parent was killed")
def test_an_engine_dies_with_its_guard(tmp_path: Path) -> None:
    engine = launch(["sleep", "100"], log=tmp_path / "log", cwd=tmp_path, stop_signal=signal.SIGTERM, grace=1.0)
    guard_pid = next(pid for pid in children_of(os.getpid()) if engine.pid in children_of(pid))
    os.kill(guard_pid, signal.SIGKILL)
    engine.stop()
    assert wait_for(lambda: not alive(engine.pid))


def test_a_stubborn_engine_is_killed_after_its_grace(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(99)"
    )
    engine = launch(
        [sys.executable, "-c", deaf], log=tmp_path / "log", cwd=tmp_path, stop_signal=signal.SIGTERM, grace=0.2
    )
    assert wait_for(lambda: "deaf" in engine.log_tail())
    engine.stop()
    assert not alive(engine.pid)


def test_an_engine_that_ends_by_itself_is_noticed(tmp_path: Path) -> None:
    engine = launch(["true"], log=tmp_path / "log", cwd=tmp_path, stop_signal=signal.SIGTERM, grace=1.0)
    assert wait_for(lambda: not engine.running)
    engine.stop()


def test_a_program_that_cannot_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineStartError, match="cannot run /no/such/program: No such file"):
        launch(["/no/such/program"], log=tmp_path / "log", cwd=tmp_path, stop_signal=signal.SIGTERM, grace=1.0)


def test_the_guard_hands_on_the_exit_code(tmp_path: Path) -> None:
    words = [int(signal.SIGTERM), 1.0, -1, -1, tmp_path, tmp_path / "log", "sh", "-c", "exit 7"]
    ended = subprocess.Popen(
        [sys.executable, guard.__file__, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert ended.wait(10) == 7
    assert ended.stdin is not None
    ended.stdin.close()


def test_without_a_process_table_ps_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ps = tmp_path / "ps"
    ps.write_text("#!/bin/sh\nprintf '    1     7\\n   42   101\\n   42 99999\\n'\n")
    ps.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(child, "PROCESS_TABLE", tmp_path / "absent")
    assert children_of(42) == [101, 99999]
    assert children_of(5) == []
