"""`firstcall registry` from a shell: what it prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud.registry.cli import app

RUNNER = CliRunner()


@pytest.fixture
def registry_url(migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("FIRSTCALL_DB_URL", migrated_url)
    return migrated_url


def test_import_and_show(registry_url: str, tmp_path: Path) -> None:
    (tmp_path / "devices.csv").write_text("device,product\nchip,(01)09520000900014(21)S1\n")
    imported = RUNNER.invoke(app, ["import", "--catalogue", str(tmp_path)])
    assert imported.exit_code == 0, imported.output
    assert "devices.csv: 1 devices" in imported.output
    shown = json.loads(RUNNER.invoke(app, ["show", "chip"]).output)
    assert shown["product"]["model"] == "WM-90"
    assert json.loads(RUNNER.invoke(app, ["show"]).output)["devices"] == 1


def test_a_mistake_is_told_in_words_and_the_program_fails(registry_url: str, tmp_path: Path) -> None:
    path = tmp_path / "devices.csv"
    path.write_text("device\nbad id\n")
    for command in (["import", str(path)], ["check", str(path)]):
        ended = RUNNER.invoke(app, command)
        assert ended.exit_code == 1
        assert "devices.csv, row 2, column device: 'bad id'" in ended.output
        assert "Traceback" not in ended.output
    assert RUNNER.invoke(app, ["show", "nope"]).exit_code == 1


def test_check_needs_no_database(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user_id\nu1\n")
    ended = RUNNER.invoke(app, ["check", str(tmp_path)])
    assert (ended.exit_code, ended.output) == (0, "users.csv: 1 users, no mistake found\n")


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert RUNNER.invoke(app, ["new-key", str(path)]).exit_code == 0
    before = path.read_text()
    assert RUNNER.invoke(app, ["new-key", str(path)]).exit_code == 1
    assert path.read_text() == before
