"""The driver that plays a file."""

from __future__ import annotations

import gzip
import json
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from edge_agent.drivers import UnknownDriver, create, names, register
from edge_agent.ports import Driver, DriverError, Reading
from tests.edge.gateways import Counting

CSV = "at,faults,t,p\n2024-01-01T00:00:00Z,,1.5,\n2024-01-01T00:00:10Z,E1 E2,2.5,7\n2024-01-01T00:00:20Z,,3.5,8\n"
START = 1_704_067_200.0


async def play(options: dict[str, Any], limit: int = 100) -> list[Reading]:
    driver = create("recorded", "d", options)
    assert isinstance(driver, Driver)
    await driver.open()
    readings = []
    while len(readings) < limit and (reading := await driver.read(99.0)) is not None:
        readings.append(reading)
    await driver.close()
    await driver.close()
    return readings


@pytest.fixture(params=["csv", "csv.gz", "jsonl", "jsonl.gz"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    rows = [
        {
            "at": START + 10 * n,
            "values": {"t": 1.5 + n, "p": None if n == 0 else 6 + n},
            "faults": ["E1", "E2"][: 2 * (n == 1)],
        }
        for n in range(3)
    ]
    text = CSV if request.param.startswith("csv") else "\n".join(map(json.dumps, rows)) + "\n"
    path = tmp_path / f"recording.{request.param}"
    path.write_bytes(gzip.compress(text.encode()) if request.param.endswith("gz") else text.encode())
    return path


async def test_rows_times_and_codes_are_those_of_the_file(file: Path) -> None:
    readings = await play({"file": file})
    assert [reading.at for reading in readings] == [START, START + 10, START + 20]
    assert [reading.values[0] for reading in readings] == [1.5, 2.5, 3.5]
    assert isnan(readings[0].values[1])
    assert [sorted(reading.fault_codes) for reading in readings] == [[], ["E1", "E2"], []]
    described = await create("recorded", "d", {"file": file, "channels": {"p": {"unit": "W"}}}).open()
    assert described.channel_set.period_ms == 10_000
    assert [(c.name, c.unit) for c in described.channel_set.channels] == [("p", "W")]


async def test_a_loop_goes_on_in_time(file: Path) -> None:
    readings = await play({"file": file, "loop": True}, limit=7)
    assert [reading.at for reading in readings] == [START + 10 * n for n in range(7)]
    assert [reading.at for reading in await play({"file": file, "timing": "now"})] == [99.0] * 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column 'at'"),
        ("at,t\n", "has no rows"),
        ("when,t\n1,2\n", "no column 'at'"),
        ("at,t\n1,warm\n", "could not convert"),
        ("at,t\nsoon,1\n", "Invalid isoformat"),
    ],
)
async def test_a_broken_file_is_the_drivers_error(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DriverError, match=words):
        await play({"file": tmp_path / "a.csv"})


async def test_a_file_that_is_cut_short_plays_up_to_there(tmp_path: Path) -> None:
    whole = gzip.compress(b"at,t\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(20_000)))
    (tmp_path / "a.csv.gz").write_bytes(whole[: len(whole) // 2])
    driver = create("recorded", "d", {"file": tmp_path / "a.csv.gz"})
    await driver.open()
    count = 0

    async def read_on() -> None:
        nonlocal count
        while await driver.read(0.0):
            count += 1

    with pytest.raises(DriverError, match="after row"):
        await read_on()
    assert count > 1000


def test_drivers_are_found_by_name() -> None:
    register("counting-in-a-test", lambda _device, _options: Counting())
    assert isinstance(create("counting-in-a-test", "d", {}), Counting)
    assert {"recorded", "counting-in-a-test"} <= set(names())
    with pytest.raises(UnknownDriver, match=r"no driver 'modbus'; there is .*recorded"):
        create("modbus", "d", {})
    with pytest.raises(ValueError, match="file: Field required"):
        create("recorded", "d", {})
