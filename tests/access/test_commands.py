"""The commands for whoever runs the programs, as processes of their own."""

from __future__ import annotations

import subprocess

from tests.support.commands import firstcall


def _run(url: str, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    return firstcall(url, "web", *arguments, said=said)


def test_an_account_a_client_and_the_log_from_the_command_line(migrated_url: str) -> None:
    assert "mei: agent" in _run(migrated_url, "user", "add", "mei", "agent", said="a long pass phrase\n").stdout
    assert "already" in _run(migrated_url, "user", "add", "mei", "agent", said="a long pass phrase\n").stderr
    assert "no role 'boss'" in _run(migrated_url, "user", "role", "mei", "boss").stderr
    assert _run(migrated_url, "user", "role", "mei", "dispatcher", "quality").returncode == 0
    assert _run(migrated_url, "user", "disable", "mei").returncode == 0
    listed = _run(migrated_url, "user", "list").stdout
    assert listed.startswith("mei  dispatcher,quality  password  disabled since ")
    token = _run(migrated_url, "client", "add", "crm", "look").stdout.strip()
    assert token.startswith("fc_")
    assert token not in (shown := _run(migrated_url, "client", "list").stdout)
    assert shown.startswith(f"crm  look  {token[:8]}…")
    assert "1 tokens of crm" in _run(migrated_url, "client", "revoke", "crm").stdout
    assert "nothing is sealed yet" in _run(migrated_url, "audit", "verify").stdout
    wrong = _run(migrated_url, "audit", "verify", "--head", f"7:{'0' * 64}")
    assert (wrong.returncode, "seal 7 was" in wrong.stderr) == (1, True)
