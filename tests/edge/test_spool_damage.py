"""A spool file that is cut short or scribbled on: set aside, counted, and the agent goes on with what can be read."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from edge_agent.draft import Rank
from edge_agent.settings import SpoolSettings
from edge_agent.spool import Spool, SpoolCorrupt, open_spool
from tests.edge.drafts import draft

NOW_MS = 1_700_000_000_000
MESSAGES = 400
FIRST_BOOT = 1000


def opened(folder: Path, damage: str | None = None) -> Spool:
    return open_spool(SpoolSettings(path=str(folder / "spool.db"), synchronous="normal"), 1000, damage)


@pytest.fixture(scope="module")
def sound_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed spool of 400 messages, one file without a log."""
    folder = tmp_path_factory.mktemp("sound")
    spool = opened(folder)
    for number in range(MESSAGES):
        spool.put([draft(Rank.EVENT if number % 10 == 0 else Rank.TELEMETRY)], NOW_MS)
    with spool.transaction():
        spool.ledgers.set_active_faults("dev", {"E1": 5.0})
    spool.close()
    return folder / "spool.db"


def everything(spool: Spool) -> dict[tuple[int, int], bytes]:
    return {(m.boot, m.seq): m.payload for rank in Rank for m in spool.waiting(rank, 0, 1 << 60, 10_000)}


def use(folder: Path) -> tuple[Spool, bool]:
    """Open and use a spool as the agent does: damage may show at the opening or at the first touch of a page."""
    spool = opened(folder)
    try:
        everything(spool)
        spool.put([draft()], NOW_MS)
    except SpoolCorrupt as damage:
        spool.close()
        return opened(folder, str(damage)), True
    return spool, spool.set_aside > 0


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_never_stops_the_agent_nor_gives_it_false_messages(
    tmp_path: Path, sound_file: Path, seed: int
) -> None:
    chance = random.Random(seed)
    sound = everything(opened(_copy(sound_file, tmp_path / "sound")))
    file = _copy(sound_file, tmp_path / "damaged") / "spool.db"
    content = bytearray(file.read_bytes())
    if seed % 2:
        content = content[: chance.randrange(1, len(content))]
    else:
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(content))
            content[at : at + 64] = chance.randbytes(64)
    file.write_bytes(content)

    spool, set_aside = use(file.parent)

    kept = everything(spool)
    assert spool.boot >= 1000
    assert spool.put([draft()], NOW_MS)[0].seq >= 1
    if set_aside:
        assert spool.set_aside == 1
        assert (file.parent / "spool.db.damaged").exists()
        assert all(sound.get(key) == payload for key, payload in kept.items() if key[0] == FIRST_BOOT)
    spool.close()


def test_most_messages_of_a_file_with_one_broken_page_are_rescued(tmp_path: Path, sound_file: Path) -> None:
    file = _copy(sound_file, tmp_path) / "spool.db"
    content = bytearray(file.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = b"\xa5" * 4096
    file.write_bytes(content)
    spool = opened(tmp_path, "found while in use")
    assert spool.depth.messages > MESSAGES * 0.8
    assert spool.ledgers.active_faults("dev") == {"E1": 5.0}
    assert spool.boot > 1000
    assert spool.set_aside == 1
    spool.close()


def test_a_file_that_is_no_database_is_set_aside_each_time_and_counted(tmp_path: Path) -> None:
    for _ in (1, 2):
        (tmp_path / "spool.db").write_bytes(b"not a database at all, but long enough to be looked at" * 100)
        spool = opened(tmp_path)
        assert spool.depth.messages == 0
        spool.put([draft()], NOW_MS)
        assert spool.set_aside == 1  # the note of the first time was in the file that is lost
        spool.close()


def test_an_empty_file_is_a_new_spool(tmp_path: Path) -> None:
    (tmp_path / "spool.db").write_bytes(b"")
    spool = opened(tmp_path)
    assert (spool.depth.messages, spool.set_aside) == (0, 0)
    spool.close()


def _copy(file: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    shutil.copy(file, folder / "spool.db")
    return folder
