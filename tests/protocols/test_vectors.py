"""The wire, pinned by files: each vector in vectors/valid must decode to its expectation, each in vectors/invalid fail.

Frames are hexadecimal (.hex, blanks and line ends ignored), messages are JSON (.json), named `<kind>.<case>`. Beside
each stands `<name>.expected.json`. A missing expectation is written out, and fails: look at it, then commit it.
"""

from __future__ import annotations

import json
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from protocols.errors import ProtocolError
from protocols.frames import decode_frame, encode_frame
from protocols.messages import (
    Birth,
    Command,
    Death,
    Fault,
    Heartbeat,
    Loss,
    Message,
    Receipt,
    Reply,
    Telemetry,
)

VECTORS = Path(__file__).parent / "vectors"
MODELS: dict[str, type[Message]] = {
    model.__name__.lower(): model
    for model in (Birth, Command, Death, Fault, Heartbeat, Loss, Receipt, Reply, Telemetry)
}


def vectors(folder: str) -> list[Path]:
    return sorted(p for p in (VECTORS / folder).iterdir() if not p.name.endswith(".expected.json"))


def payload_of(path: Path) -> bytes:
    return bytes.fromhex(path.read_text()) if path.suffix == ".hex" else path.read_bytes()


def decode(path: Path) -> dict[str, Any]:
    """What a vector says, as plain JSON values."""
    payload = payload_of(path)
    if path.suffix == ".hex":
        frame = decode_frame(payload)
        head = frame.header
        names = ("channel_set", "boot", "seq", "started_at", "period_ms", "samples", "channels", "flags", "encoding")
        readings = [None if isnan(reading) else reading for reading in frame.readings]
        return {**{name: getattr(head, name) for name in names}, "readings": readings}
    decoded: dict[str, Any] = json.loads(MODELS[path.name.split(".")[0]].decode(payload).encode())
    return decoded


def expectation(path: Path, found: dict[str, Any]) -> Any:
    expected = path.with_name(path.name + ".expected.json")
    if not expected.exists():
        expected.write_text(json.dumps(found, indent=1) + "\n")
        pytest.fail(f"no expectation for {path.name}: written to {expected.name}; look at it and run again")
    return json.loads(expected.read_text())


@pytest.mark.parametrize("path", vectors("valid"), ids=lambda path: path.name)
def test_valid(path: Path) -> None:
    found = decode(path)
    assert found == expectation(path, found)
    if path.suffix == ".hex":
        frame = decode_frame(payload_of(path))
        again = encode_frame(frame)
        assert decode_frame(again).header.seq == frame.header.seq
        if "longer" not in path.name:  # a frame may also be sent in the longer of the two encodings
            assert again == payload_of(path)


@pytest.mark.parametrize("path", vectors("invalid"), ids=lambda path: path.name)
def test_invalid(path: Path) -> None:
    try:
        decode(path)
    except ProtocolError as error:
        found = {"error": type(error).__name__, "reason": error.reason}
        assert found == expectation(path, found)
    else:
        pytest.fail(f"{path.name} was accepted")


def test_there_is_a_vector_of_every_kind_and_of_every_error() -> None:
    assert {path.name.split(".")[0] for path in vectors("valid")} == {"frame", *MODELS}
    reasons = {json.loads(p.read_text())["reason"] for p in (VECTORS / "invalid").glob("*.expected.json")}
    assert reasons == {"malformed", "oversize", "unsupported-version", "not-finite"}
