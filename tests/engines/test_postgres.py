"""The embedded PostgreSQL: starts, keeps, recovers, and says what is wrong."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cloud.engines import account
from cloud.engines.database import open_database, shown
from cloud.engines.errors import DirectoryInUseError, EngineError, EngineStartError, PortInUseError
from cloud.engines.ports import LOOPBACK
from cloud.engines.postgres import UNSAFE_AND_FAST, PostgresServer
from cloud.engines.postgres_binaries import find_postgres
from cloud.engines.settings import EngineSettings
from tests.support.folders import open_folder
from tests.support.require import require

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def home() -> Iterator[Path]:
    with open_folder("engine") as folder:
        yield folder / "server"


@pytest.fixture
def server(home: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(home, settings=UNSAFE_AND_FAST)
    try:
        yield server
    finally:
        server.erase()


def one(server: PostgresServer, statement: str) -> object:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute(statement).fetchone()
        assert row is not None
        return row[0]


def test_production_settings_are_safe(own_postgres: PostgresServer) -> None:
    wanted = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "listen_addresses": LOOPBACK}
    wanted |= {"server_encoding": "UTF8", "lc_collate": "C", "TimeZone": "UTC", "unix_socket_directories": ""}
    for name, value in wanted.items():
        if name != "lc_collate":
            assert one(own_postgres, f"SELECT current_setting('{name}')") == value, name
    assert one(own_postgres, "SELECT datcollate FROM pg_database WHERE datname = current_database()") == "C"


def test_a_password_is_needed_and_not_shown(server: PostgresServer) -> None:
    server.start()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.url(), password="wrong", connect_timeout=5)
    password = (server.home / "password").read_text().strip()
    assert password in server.url()
    assert password not in server.shown_url()
    assert stat.S_IMODE((server.home / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE((server.home / "data").stat().st_mode) == 0o700


@pytest.mark.kill
def test_what_was_committed_outlives_kills_on_the_same_port(own_postgres: PostgresServer) -> None:
    port = own_postgres.port
    with psycopg.connect(own_postgres.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (a int)")
    for number in range(3):
        with psycopg.connect(own_postgres.url(), autocommit=True) as connection:
            connection.execute("INSERT INTO kept VALUES (%s)", [number])
            unfinished = psycopg.connect(own_postgres.url())
            unfinished.execute("INSERT INTO kept VALUES (-1)")
            own_postgres.kill()
        assert not own_postgres.running
        own_postgres.start()
        assert own_postgres.port == port
        assert one(own_postgres, "SELECT array_agg(a ORDER BY a) FROM kept") == list(range(number + 1))


@pytest.mark.kill
def test_a_kill_from_outside_is_noticed_and_recovered_from(own_postgres: PostgresServer) -> None:
    with psycopg.connect(own_postgres.url(), autocommit=True) as busy:
        busy.execute("CREATE TABLE kept (a int)")
        os.kill(own_postgres.pid, signal.SIGKILL)  # its children may live a moment longer and hold its memory
        deadline = time.monotonic() + 20
        while own_postgres.running and time.monotonic() < deadline:
            time.sleep(0.001)
        own_postgres.start()
        assert one(own_postgres, "SELECT count(*) FROM kept") == 0


def test_stopping_ends_every_process_and_can_be_repeated(server: PostgresServer) -> None:
    server.start()
    pid = server.pid
    with psycopg.connect(server.url()):  # an idle client does not hold it up
        server.stop()
    server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not (server.home / "data/postmaster.pid").exists()


def test_started_twice_is_refused(server: PostgresServer) -> None:
    server.start()
    with pytest.raises(EngineError, match="runs already"):
        server.start()


def test_two_servers_on_one_directory(server: PostgresServer, home: Path) -> None:
    server.start()
    with pytest.raises(DirectoryInUseError, match=f"process {server.pid} already serves"):
        PostgresServer(home).start()
    assert one(server, "SELECT 1") == 1


def test_a_port_in_use_is_named(home: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        server = PostgresServer(home, port=port)
        with pytest.raises(PortInUseError, match=f"port {port} on 127.0.0.1 is in use"):
            server.start()
        server.erase()


def test_a_lock_of_a_process_that_is_no_server_is_stale(server: PostgresServer) -> None:
    server.start()
    server.kill()
    lock = server.home / "data/postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")  # that process id is ours now
    server.start()
    assert one(server, "SELECT 1") == 1


def test_a_lock_cut_off_by_a_crash_is_stale(server: PostgresServer) -> None:
    server.start()
    server.kill()
    (server.home / "data/postmaster.pid").write_text("")
    server.start()
    assert one(server, "SELECT 1") == 1


def test_data_of_another_major_version_is_refused_with_advice(server: PostgresServer) -> None:
    server.start()
    server.stop()
    (server.home / "data/PG_VERSION").write_text("16\n")
    with pytest.raises(EngineStartError, match=r"made by PostgreSQL 16.*pg_upgrade"):
        server.start()


def test_a_refused_setting_is_told_in_the_servers_words(home: Path) -> None:
    server = PostgresServer(home, settings={"shared_buffers": "plenty"})
    with pytest.raises(EngineStartError, match=r'(?s)see .*log.*invalid value for parameter "shared_buffers"'):
        server.start()
    server.erase()


def test_a_cluster_whose_making_was_cut_off_is_made_anew(server: PostgresServer) -> None:
    server.home.mkdir()
    half = server.home / "data.unfinished"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    server.start()
    assert one(server, "SELECT 1") == 1
    assert not half.exists()


def test_as_root_it_runs_as_somebody_else(server: PostgresServer) -> None:
    if os.geteuid() != 0:
        pytest.skip("not root: the server runs as ourselves")
    server.start()
    owner = Path(f"/proc/{server.pid}").stat().st_uid
    assert owner != 0
    assert pwd.getpwuid(owner).pw_name in account.CANDIDATES
    assert (server.home / "data").stat().st_uid == owner


ORDINARY = """
import os, sys
from pathlib import Path
from cloud.engines.postgres import PostgresServer
server = PostgresServer(Path(sys.argv[1]), binaries=Path(sys.argv[2]))
for _ in range(2):
    server.start()
    server.kill()
server.start()
print(os.geteuid(), os.stat("/proc/%d" % server.pid).st_uid)
server.stop()
"""


def test_as_an_ordinary_user_it_runs_as_that_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("every other test here runs as an ordinary user already")
    user = account.account_for_servers()
    assert user is not None
    pythons = (str(Path(sys.executable).resolve()), "/usr/bin/python3")
    python = next((path for path in pythons if runs_for(user, path)), None)
    require(python, f"no Python 3.11 that the account {user.name} may run")
    with open_folder("ordinary") as folder:
        for package in ("cloud", "protocols"):
            shutil.copytree(REPOSITORY / package, folder / package)
        home = folder / "home"
        home.mkdir()
        os.chown(home, user.uid, user.gid)
        outcome = subprocess.run(
            [str(python), "-c", ORDINARY, str(home / "server"), str(find_postgres(account=user).folder)],
            user=user.uid,
            group=user.gid,
            extra_groups=[],
            env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert outcome.stdout.split() == [str(user.uid)] * 2, outcome.stderr


def runs_for(user: account.Account, python: str) -> bool:
    if not account.can_enter(Path(python).resolve().parent, user):
        return False
    wanted = "import sys; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([python, "-c", wanted], check=False).returncode == 0


def test_a_home_that_the_account_cannot_enter_is_kept_elsewhere_behind_a_link(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("not root: the server runs as ourselves")
    home = tmp_path / "server"  # pytest's folders are private to us
    server = PostgresServer(home, settings=UNSAFE_AND_FAST)
    server.start()
    real = server.home
    assert home.is_symlink()
    assert account.REACHABLE_STATE in real.parents
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept ()")
    server.stop()
    again = PostgresServer(home, settings=UNSAFE_AND_FAST)
    again.start()
    assert one(again, "SELECT to_regclass('kept')::text") == "kept"
    again.erase()
    assert not real.exists()
    assert not home.is_symlink()


def test_a_full_home_that_the_account_cannot_enter_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("not root: the server runs as ourselves")
    home = tmp_path / "server"
    home.mkdir()
    (home / "somebodys file").touch()
    with pytest.raises(EngineError, match=f"may not enter {tmp_path}: choose another data directory"):
        PostgresServer(home).start()
    assert (home / "somebodys file").exists()


def test_open_database_takes_a_url_as_it_is(tmp_path: Path) -> None:
    given = "postgresql://someone:secret@db.example:6000/things"
    with open_database(given, EngineSettings(home=tmp_path)) as database:
        assert (database.url, database.server) == (given, None)
        assert database.shown_url == "postgresql://someone@db.example:6000/things"
    assert list(tmp_path.iterdir()) == []
    assert "secret" not in shown("host=db.example password=secret dbname=x")


def test_open_database_starts_one_where_no_url_is_given(home: Path) -> None:
    settings = EngineSettings(home=home)
    for _ in range(2):  # the second time on the same data
        with open_database(None, settings) as database:
            assert database.server is not None
            with psycopg.connect(database.url) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS kept ()")
            assert "firstcall@" in repr(database)
            assert database.url not in repr(database)
        assert not database.server.running
