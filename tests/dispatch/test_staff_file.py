"""The staff list: read whole or refused with every mistake, written on the real database by the real command."""

from __future__ import annotations

import re
import subprocess
from collections.abc import AsyncIterator
from datetime import time
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from cloud.desk.dispatch.calendar import WorkingHours
from cloud.desk.dispatch.people import read_staff
from cloud.desk.dispatch.staff_file import BadStaffFile, read_hours, read_staff_file
from tests.support.commands import firstcall
from tests.support.service_desk import ServiceDesk

LENA = """
[[engineer]]
engineer = "lena"
name = "Lena"
seniority = 4
regions = ["north"]
skills = { washer = "all" }
hours = ["mon-fri 08:00-16:00", "sat 09:00-12:00"]
time_zone = "Europe/Berlin"
stock = { pump = 2 }
"""


@pytest.fixture
async def desk(migrated_url: str) -> AsyncIterator[ServiceDesk]:
    async with await AsyncConnection.connect(migrated_url, autocommit=True) as connection:
        yield ServiceDesk(connection)


def take(url: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    return firstcall(url, "engineers", *([str(path)] if path else []))


def file(folder: Path, text: str) -> Path:
    path = folder / "staff.toml"
    path.write_text(text)
    return path


async def test_the_command_takes_a_list_in_and_changes_who_is_there(
    desk: ServiceDesk, migrated_url: str, tmp_path: Path
) -> None:
    await desk.catalogue()
    assert "nobody can be sent" in take(migrated_url).stdout
    assert "lena" in take(migrated_url, file(tmp_path, LENA)).stdout
    [lena] = await read_staff(desk.connection)
    assert (lena.engineer.skills, lena.engineer.stock, lena.zone.key) == (
        {"washer": None},
        {"pump": 2},
        "Europe/Berlin",
    )
    assert len(lena.hours) == 6

    await desk.connection.execute("UPDATE van_stock SET quantity = 1")
    changed = LENA.replace('"all"', '["5E"]').replace("stock = { pump = 2 }", "")
    take(migrated_url, file(tmp_path, changed))
    [lena] = await read_staff(desk.connection)
    assert (lena.engineer.skills, lena.engineer.stock) == ({"washer": frozenset({"5E"})}, {"pump": 1})
    take(migrated_url, file(tmp_path, LENA + "active = false\n"))
    assert await read_staff(desk.connection) == []


async def test_what_the_catalogue_lacks_is_told_and_nothing_is_kept(
    desk: ServiceDesk, migrated_url: str, tmp_path: Path
) -> None:
    await desk.catalogue()
    second = LENA.replace('"lena"', '"mei"').replace("washer", "toaster")
    refused = take(migrated_url, file(tmp_path, LENA + second))
    assert (refused.returncode, refused.stderr) == (1, "mei: the catalogue has no family toaster; import it first\n")
    assert await read_staff(desk.connection) == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (LENA.replace("= 4", "= 6"), "engineer.0.seniority: Input should be less than or equal to 5"),
        (LENA.replace("mon-fri 08", "mo 08"), "'mo 08:00-16:00': expected hours such as mon-fri 08:00-16:00"),
        (LENA.replace("08:00-16:00", "16:00-08:00"), "ends before it begins"),
        (LENA.replace("Europe/Berlin", "Mars/Base"), "expected a time zone such as Europe/Berlin"),
        (LENA + LENA, "lena stands in it more than once"),
        (LENA + "shoes = 3\n", "engineer.0.shoes: Extra inputs are not permitted"),
        ("[[engineer]\n", "staff.toml: "),
    ],
)
def test_mistakes_are_told_in_words(wrong: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(BadStaffFile, match=re.escape(told)):
        read_staff_file(file(tmp_path, wrong))


def test_hours_are_a_row_a_day() -> None:
    assert list(read_hours("sat-sun 09:00-12:30")) == [
        WorkingHours(day, time(9), time(12, 30)) for day in (6, 7)
    ]  # fmt: skip
