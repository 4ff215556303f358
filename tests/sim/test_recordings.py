"""Recorded data: read from files of each layout, moved in time, played through the real agent."""

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cloud.engines.nats import NatsServer
from device_sim.fleet.truth import read_truth
from device_sim.transport.recordings import Recording, UnknownLayout, load
from device_sim.transport.replay import ReplaySettings, findings_of, replay, shifted, write_machine_registry
from protocols.messages import Fault
from protocols.topics import Kind
from tests.edge.receipting_cloud import ReceiptingCloud

HOURS = 60


def _write(path: Path, rows: Sequence[Sequence[object]]) -> None:
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as out:
        csv.writer(out).writerows(rows)


def _hour(number: int) -> str:
    return f"2015-01-{1 + number // 24:02d} {number % 24:02d}:00:00"


@pytest.fixture
def machines(tmp_path: Path) -> Path:
    """Two machines of the Azure layout: an error in hour 20, a failure in hour 30, a replacement in hour 40."""
    readings = [(_hour(h), m, 170 + m, 440 + h, 100, 40) for m in (1, 2) for h in range(HOURS)]
    _write(
        tmp_path / "PdM_telemetry.csv.gz",
        [("datetime", "machineID", "volt", "rotate", "pressure", "vibration"), *readings],
    )
    _write(tmp_path / "PdM_errors.csv", [("datetime", "machineID", "errorID"), (_hour(20), 1, "error1")])
    _write(tmp_path / "PdM_failures.csv", [("datetime", "machineID", "failure"), (_hour(30), 1, "comp2")])
    _write(
        tmp_path / "PdM_maint.csv",
        [
            ("datetime", "machineID", "comp"),
            (_hour(30), 1, "comp2"),
            (_hour(40), 2, "comp1"),
            ("2014-06-01 06:00:00", 2, "comp3"),
        ],
    )
    _write(tmp_path / "PdM_machines.csv", [("machineID", "model", "age"), (1, "model3", 18), (2, "model4", 7)])
    return tmp_path


def test_the_azure_layout_is_read(machines: Path) -> None:
    first, second = load(machines)
    assert (first.device, first.model, first.age_years) == ("machine-1", "PdM-model3", 18.0)
    assert first.values.shape == (HOURS, 4)
    assert (np.diff(first.times) == 3600).all()
    assert [code.name for code in first.codes] == ["error1"]
    assert [failure.name for failure in first.failures] == ["comp2"]
    assert not second.failures
    told = {(finding.device, finding.outcome, finding.part) for finding in findings_of([first, second])}
    assert told == {("machine-1", "fault_confirmed", "comp2"), ("machine-2", "no_fault_found", "comp1")}


def test_home_appliances_get_their_fault_after_healthy_days(tmp_path: Path) -> None:
    rows = [(v, d, m, 100 * d, 0) for v in ("normal", "slow") for d in range(1, 11) for m in range(5)]
    _write(tmp_path / "fridge_1.csv.gz", [("variant", "day", "minute", "power_w", "label"), *rows])
    normal, slow = load(tmp_path)
    assert normal.fault is None
    assert slow.fault is not None
    assert (slow.fault.name, slow.fault.at) == ("slow", slow.times[0] + 6 * 5 * 60)
    assert slow.values.shape == (50, 1)


def test_tracebase_devices_are_told_apart(tmp_path: Path) -> None:
    rows = [(device, f"2012-06-11 00:{minute:02d}:00", minute) for device in ("A.1", "B") for minute in range(4)]
    _write(tmp_path / "dryer_1min.csv", [("device", "time", "power_w"), *rows])
    assert [(one.device, len(one.times)) for one in load(tmp_path)] == [("dryer-A-1", 4), ("dryer-B", 4)]


def test_a_folder_of_anything_else_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UnknownLayout, match="expected PdM_telemetry"):
        load(tmp_path)


def test_a_recording_moves_in_time_as_a_whole(machines: Path) -> None:
    recordings = load(machines)
    moved = shifted(recordings, 2_000_000_000.0)
    by = 2_000_000_000.0 - recordings[0].times[-1]
    assert moved[0].times[-1] == 2_000_000_000.0
    assert moved[0].failures[0].at == recordings[0].failures[0].at + by
    assert moved[0].codes[0].at == recordings[0].codes[0].at + by
    assert shifted(recordings, None) == recordings


async def test_a_replay_brings_every_row_and_code_at_its_own_time(
    nats: NatsServer, machines: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    settings = ReplaySettings(f"mqtt://127.0.0.1:{nats.mqtt_port}", folder)
    recordings = load(machines)
    write_machine_registry(recordings, settings)
    async with ReceiptingCloud(nats.mqtt_port) as cloud:
        outcome = await replay(recordings, settings)
    assert outcome.frames == 2 * HOURS
    assert outcome.unreceipted == 0
    starts: dict[str, list[float]] = {}
    for (topic, _), frame in zip(cloud.of(Kind.TELEMETRY), cloud.frames(), strict=True):
        starts.setdefault(str(topic.device), []).append(frame.header.started_at / 1e6)
    assert {device: sorted(times) for device, times in starts.items()} == {
        one.device: one.times.tolist() for one in recordings
    }
    faults = [Fault.decode(payload) for _, payload in cloud.of(Kind.FAULT)]
    error = recordings[0].codes[0].at * 1000
    assert sorted((fault.at, fault.code, fault.raised) for fault in faults) == [
        (error, "error1", True), (error + 3_600_000, "error1", False),
    ]  # fmt: skip
    truth = list(read_truth(folder / "truth.jsonl"))
    assert [line["kind"] for line in truth if line["record"] == "fault"] == ["comp2"]
    assert len((folder / "findings.jsonl").read_text().splitlines()) == 2
    assert (folder / "registry" / "models.machines.json").exists()


@pytest.mark.recorded
@pytest.mark.parametrize(("name", "devices", "rows"), [("azure_pdm", 10, 21_600), ("tracebase", 47, 444_803)])
def test_the_shared_recordings_are_read_whole(recorded_data: Path, name: str, devices: int, rows: int) -> None:
    recordings: list[Recording] = load(recorded_data / name)
    assert sum(len(one.times) for one in recordings) == rows
    assert len({one.device for one in recordings}) == len(recordings) == devices
    assert all((np.diff(one.times) > 0).all() for one in recordings)


@pytest.mark.recorded
def test_the_azure_recording_has_its_known_failures(recorded_data: Path) -> None:
    recordings = load(recorded_data / "azure_pdm")
    moments = {(one.device, failure.at) for one in recordings for failure in one.failures}
    assert len(moments) == 15  # of 17 rows: two moments have two parts each
