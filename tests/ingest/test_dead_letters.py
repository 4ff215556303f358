"""Dead letters are listed, and stored later by a program that has learnt to read them."""

from __future__ import annotations

import pytest

from cloud.db.settings import DatabaseSettings
from cloud.ingest.dead_letters import listing, replay
from cloud.ingest.intake import Poison
from cloud.ingest.writer import Writer
from tests.ingest.conftest import Ask
from tests.ingest.made import NOW_MS, fault, frame, read, telemetry

NOW_US = NOW_MS * 1000


@pytest.fixture
async def filed(writer: Writer) -> None:
    """Two that can be read (filed by a program that could not) and one that never will be."""
    readable = [telemetry(frame(1)), fault(2, "E1", True)]
    intake = read([telemetry(b"garbage")])
    intake.poison += [Poison(arrival, "unsupported-version", "written by an older program") for arrival in readable]
    await writer.store(intake, NOW_US)


async def test_listed_newest_first(database: str, filed: None) -> None:
    settings = DatabaseSettings(url=database)  # type: ignore[arg-type]
    lines = await listing(settings, None, False, 50)
    assert len(lines) == 3
    assert len(await listing(settings, "malformed", False, 50)) == 1
    assert any("malformed" in line and "fc/1/up/gw-1/fridge-1/telemetry" in line for line in lines)


async def test_replayed_once(database: str, filed: None, ask: Ask) -> None:
    settings = DatabaseSettings(url=database)  # type: ignore[arg-type]
    outcome = await replay(settings, None, None)
    assert (outcome.stored, outcome.refused) == (2, 1)
    assert await ask("SELECT (SELECT count(*) FROM frame), (SELECT count(*) FROM fault_report)") == [(1, 1)]
    outcome = await replay(settings, None, None)
    assert (outcome.stored, outcome.refused) == (0, 1)
    assert len(await listing(settings, None, False, 50)) == 1
    assert len(await listing(settings, None, True, 50)) == 3


async def test_chosen_by_number_or_reason(database: str, filed: None) -> None:
    settings = DatabaseSettings(url=database)  # type: ignore[arg-type]
    assert (await replay(settings, [999], None)).stored == 0
    assert (await replay(settings, None, "malformed")).refused == 1
    assert (await replay(settings, None, "unsupported-version")).stored == 2
