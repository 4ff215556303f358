"""Every mistake in a gateway.toml is told at once: the key, the value, what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_agent.cli import app
from edge_agent.configuration import BadConfiguration, load
from edge_agent.settings import EdgeSettings

GOOD = """
gateway = "gw-1"
[broker]
url = "mqtts://broker.example:8884"
username = "gw-1"
[[devices]]
id = "washer-1"
driver = "recorded"
options = { file = "washer.csv", loop = true }
[devices.sampling]
deadbands = { temperature = 0.5 }
[devices.faults]
on_delay_s = { "*" = 2, E4 = 0 }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "washer.csv").write_text("at,temperature\n0,1\n1,2\n")
    return tmp_path


def mistakes(folder: Path, text: str) -> list[str]:
    (folder / "gateway.toml").write_text(text)
    with pytest.raises(BadConfiguration) as caught:
        load(folder / "gateway.toml", {})
    return [str(mistake) for mistake in caught.value.mistakes]


def test_a_good_file(folder: Path) -> None:
    (folder / "gateway.toml").write_text(GOOD)
    settings = load(folder / "gateway.toml", {"FIRSTCALL_EDGE_PASSWORD": "s3cret"})
    assert (settings.broker.host, settings.broker.port, settings.broker.tls) == ("broker.example", 8884, True)
    assert settings.spool.path == str(folder / "spool.db")
    assert settings.devices[0].options["file"] == str(folder / "washer.csv")
    assert settings.broker.password is not None
    assert settings.broker.password.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("gw-1", "gw 1"), ["gateway = 'gw 1': expected 1-64 letters"]),
        (("gateway =", "gatway ="), ["gateway = missing: expected a value", "gatway", "did you mean 'gateway'?"]),
        (("mqtts://", "http://"), ["broker.url = 'http://broker.example:8884': expected mqtt://host:port"]),
        (("mqtts://", "mqtts://me:secret@"), ["broker.url = ", "no user or password in the URL"]),
        (("8884", "88840"), ["broker.url = 'mqtts://broker.example:88840': expected mqtt://host:port"]),
        (('username = "gw-1"', "qos = 2"), ["broker.qos = 2: expected 0 or 1"]),
        (('username = "gw-1"', 'keepalive_s = "long"'), ["broker.keepalive_s = 'long': expected a whole number"]),
        (('username = "gw-1"', 'ca_file = "none.pem"'), ["broker.ca_file = ", "a file that exists"]),
        (('username = "gw-1"', 'key_file = "a.key"'), ["broker = {", "belong together"]),
        (
            ('driver = "recorded"', 'driver = "modbus"'),
            ["devices[1].driver = 'modbus': expected an installed driver: "],
        ),
        (("washer.csv", "dryer.csv"), ["devices[1].options = {file, loop}", "is not there"]),
        (("loop = true", "lop = true"), ["devices[1].options", "lop"]),
        (("temperature = 0.5", "temperature = -1"), ["devices[1].sampling.deadbands.temperature = -1"]),
        (("E4 = 0", "E4 = nan"), ["devices[1].faults.on_delay_s.E4 = nan"]),
    ],
)
def test_each_mistake_names_its_key_value_and_what_was_expected(
    folder: Path, change: tuple[str, str], expected: list[str]
) -> None:
    told = "\n".join(mistakes(folder, GOOD.replace(*change)))
    for part in expected:
        assert part in told


def test_all_mistakes_are_told_at_once_and_secrets_are_not(folder: Path) -> None:
    told = mistakes(folder, GOOD.replace("gw-1", "gw 1", 1).replace('username = "gw-1"', "qos = 9\npassword = 7"))
    assert len(told) == 3
    assert "broker.password = (not shown)" in "\n".join(told)


def test_a_device_listed_twice_none_and_no_toml(folder: Path) -> None:
    again = '[[devices]]\nid = "washer-1"\ndriver = "recorded"\noptions = { file = "washer.csv" }\n'
    assert "washer-1 is listed more than once" in mistakes(folder, GOOD + again)[0]
    assert mistakes(folder, 'gateway = "gw-1"') == ["devices = none: expected at least one [[devices]] table"]
    assert "line 1" in mistakes(folder, "gateway = = 3")[0]
    with pytest.raises(BadConfiguration, match="a TOML file at this path"):
        load(folder / "nowhere.toml", {})


def test_the_commands_tell_and_exit(folder: Path) -> None:
    runner, file = CliRunner(), folder / "gateway.toml"
    file.write_text(GOOD)
    good = runner.invoke(app, ["check", "--config", str(file)])
    assert good.exit_code == 0
    assert "good. Gateway gw-1" in good.output
    empty = runner.invoke(app, ["spool", "--config", str(file)])
    assert empty.exit_code == 3
    assert "no spool at" in empty.output
    file.write_text(GOOD.replace("gw-1", "gw 1", 1))
    for command in ("check", "run", "spool"):
        bad = runner.invoke(app, [command, "--config", str(file)])
        assert bad.exit_code == 2
        assert "gateway = 'gw 1'" in bad.output


def test_settings_are_frozen() -> None:
    settings = EdgeSettings(gateway="gw-1")
    with pytest.raises(ValueError, match="frozen"):
        settings.gateway = "gw-2"  # type: ignore[misc]
