"""``firstcall evaluate --challenger`` on a real database: what another setting would have called, and its money."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from psycopg import AsyncConnection

from cloud.registry import ownership
from cloud.registry.gs1 import ProductCode
from cloud.registry.importer import import_catalogue
from tests.detection.stored import Store
from tests.support.commands import firstcall

START, HOUR = 1_750_000_000.0, 3600.0
FRAMES, PER_FRAME = 24, 60  # a day of minutes


@pytest.fixture
def store(migrated_url: str) -> Iterator[Store]:
    """A database of this test's own: one washer of six drifts off in the end and fails."""
    store = Store(migrated_url)
    yield store
    store.close()


async def register(url: str, names: list[str]) -> None:
    """All of them are washers of the shipped catalogue."""
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await import_catalogue(connection)
        for name in names:
            await ownership.register_device(connection, name, "test")
            unit = ProductCode("09520000900014", name)
            await ownership.register_product(connection, unit)
            await ownership.fit(connection, name, unit, "test")


def fill(store: Store, names: list[str]) -> None:
    chance = np.random.default_rng(5)
    for place in range(4 * FRAMES):
        at = START + place * PER_FRAME * 60.0
        frames = []
        for name in names:
            values = chance.normal([100.0, 40.0, 900.0], [2.0, 0.5, 10.0], (PER_FRAME, 3))
            if name == "d0" and place > 3 * FRAMES:
                values += [40.0, 10.0, -200.0]
            frames.append((name, at, values))
        store.commit(frames)
    store.finding("d0", START + 4 * 24 * HOUR, "E7")


def evaluate(url: str, path: Path) -> subprocess.CompletedProcess[str]:
    return firstcall(url, "evaluate", "--challenger", str(path), seconds=120)


def test_a_challenger_that_never_gets_to_know_a_device_loses_what_the_champion_foresees(
    store: Store, migrated_url: str, tmp_path: Path
) -> None:
    names = [f"d{n}" for n in range(6)]
    fill(store, names)
    asyncio.run(register(migrated_url, names))
    other = tmp_path / "never.toml"
    other.write_text("[engine]\nyoung_samples = 1_000_000\n")
    said = evaluate(migrated_url, other)
    assert said.returncode == 0, said.stderr
    assert "washer: failures foreseen by champion / challenger: 1 / 0 of 1" in said.stdout


@pytest.mark.parametrize(
    ("text", "named"),
    [("[engine\n", "never.toml"), ("[engine]\nhorizon = 3\n", "horizon"), ("[engine]\ngate = -1\n", "gate")],
)
def test_a_file_that_is_wrong_is_named_with_what_is_wrong(
    migrated_url: str, tmp_path: Path, text: str, named: str
) -> None:
    other = tmp_path / "never.toml"
    other.write_text(text)
    said = evaluate(migrated_url, other)
    assert said.returncode == 1
    assert named in said.stderr
    assert "Traceback" not in said.stderr


def test_an_empty_store_says_so(migrated_url: str, tmp_path: Path) -> None:
    other = tmp_path / "same.toml"
    other.write_text("")
    said = evaluate(migrated_url, other)
    assert (said.returncode, said.stdout.strip()) == (0, "nothing is stored yet")
