"""An undocumented setting, counter default or example that does not work fails the build."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from edge_agent.configuration import PASSWORD_VARIABLE, load
from edge_agent.drivers.recorded import RecordedOptions
from edge_agent.settings import (
    BrokerSettings,
    DeviceSettings,
    EdgeSettings,
    FaultSettings,
    SamplingSettings,
    SpoolSettings,
    UplinkSettings,
)
from protocols.messages import Fault, Telemetry
from protocols.topics import Kind, Topic

DOCS = Path(__file__).resolve().parents[2] / "docs"
SECTIONS: list[tuple[str, type[BaseModel]]] = [
    ("", EdgeSettings),
    ("broker.", BrokerSettings),
    ("uplink.", UplinkSettings),
    ("spool.", SpoolSettings),
    ("devices.", DeviceSettings),
    ("devices.sampling.", SamplingSettings),
    ("devices.faults.", FaultSettings),
    ("devices.options.", RecordedOptions),
]
TABLES = {"broker", "uplink", "spool", "devices", "sampling", "faults"}


@pytest.mark.parametrize(("prefix", "model"), SECTIONS)
def test_every_setting_is_documented_with_its_default(prefix: str, model: type[BaseModel]) -> None:
    text = (DOCS / "edge.md").read_text()
    assert PASSWORD_VARIABLE in text
    for name, field in model.model_fields.items():
        if name in TABLES:
            continue
        row = next((line for line in text.splitlines() if line.startswith(f"| `{prefix}{name}` |")), None)
        assert row is not None, f"docs/edge.md has no row for {prefix}{name}"
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            assert f"| {field.default} |" in row


def test_the_example_configuration_is_good(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", (DOCS / "edge.md").read_text(), re.DOTALL)
    (tmp_path / "gateway.toml").write_text(example)
    for name in ("mqtt.password", "ca.pem", "washer.csv.gz"):
        (tmp_path / name).touch()
    assert load(tmp_path / "gateway.toml", {}).gateway == "gw-0042"


def test_the_examples_of_mosquitto_pub_are_of_the_protocol() -> None:
    text = (DOCS / "protocol.md").read_text().replace("'$(date +%s)'", "1700000000")
    examples = re.findall(r"-t (fc/1/up\S+) \\\n  -m '(.*)'", text)
    assert len(examples) == 3
    for topic, payload in examples:
        model = {Kind.TELEMETRY: Telemetry, Kind.FAULT: Fault}[Topic.parse(topic).kind]
        model.decode(payload.encode())
