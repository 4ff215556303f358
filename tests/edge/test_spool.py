"""The spool's rules that a model does not show: durability, the lock, a full disk, the file's size."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge_agent.draft import Rank
from edge_agent.settings import SpoolSettings
from edge_agent.spool import SpoolBusy, open_spool
from edge_agent.spool.inspect import SpoolUnreadable, describe
from edge_agent.spool.schema import WrongVersion
from edge_agent.spool.store import is_no_room
from protocols.messages import Committed, Receipt, SetSampling
from tests.edge.drafts import draft

NOW_MS = 1_700_000_000_000
LEVELS = {"full": 2, "normal": 1}


def settings(folder: Path, **changes: object) -> SpoolSettings:
    return SpoolSettings.model_validate({"path": str(folder / "spool.db"), **changes})


@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_the_chosen_durability_is_in_force_and_restored_after_a_receipt(tmp_path: Path, synchronous: str) -> None:
    spool = open_spool(settings(tmp_path, synchronous=synchronous), 1)
    spool.put([draft()], NOW_MS)

    def level() -> int:
        return int(spool._connection.execute("PRAGMA synchronous").fetchone()[0])

    assert level() == LEVELS[synchronous]
    spool.free(Receipt(at=1, committed=(Committed(device="dev", boot=spool.boot, ranges=((1, 1),)),)))
    assert level() == LEVELS[synchronous]
    assert spool._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    spool.close()


def test_boot_grows_with_each_opening_whatever_the_clock_says(tmp_path: Path) -> None:
    boots = []
    for unix_seconds in (1_700_000_000, 1_700_000_000, 5, 1_800_000_000, 1_700_000_000):
        spool = open_spool(settings(tmp_path), unix_seconds)
        boots.append(spool.boot)
        spool.close()
    assert boots == [1_700_000_000, 1_700_000_001, 1_700_000_002, 1_800_000_000, 1_800_000_001]


def test_a_failed_transaction_burns_no_seq(tmp_path: Path) -> None:
    spool = open_spool(settings(tmp_path), 1)

    def failing() -> None:
        with spool.transaction():
            spool.put([draft(), draft()], NOW_MS)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert (spool.depth.messages, spool.depth.bytes, spool.last_number) == (0, 0, 0)
    assert spool.put([draft()], NOW_MS)[0].seq == 1
    spool.close()


def test_two_agents_cannot_share_a_spool(tmp_path: Path) -> None:
    spool = open_spool(settings(tmp_path), 1)
    with pytest.raises(SpoolBusy, match=r"spool\.db is in use by another agent"):
        open_spool(settings(tmp_path), 1)
    spool.close()
    open_spool(settings(tmp_path), 1).close()


def test_a_file_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    open_spool(settings(tmp_path), 1).close()
    with sqlite3.connect(tmp_path / "spool.db") as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(WrongVersion, match="version 9"):
        open_spool(settings(tmp_path), 1)
    assert not (tmp_path / "spool.db.damaged").exists()


def test_a_full_disk_drops_and_counts_and_the_note_is_written_when_there_is_room(tmp_path: Path) -> None:
    spool = open_spool(settings(tmp_path), 1)
    (pages,) = spool._connection.execute("PRAGMA page_count").fetchone()
    spool._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(sqlite3.OperationalError) as full:
        spool.put([draft(length=60_000)], NOW_MS)
    assert is_no_room(full.value)
    assert spool.depth.messages == 0
    spool.refuse([draft(length=60_000)])
    assert spool.dropped_telemetry == 1
    spool._connection.execute("PRAGMA max_page_count = 100000")
    spool.note_refused()
    (note,) = spool.ledgers.dropped()
    assert (note.kind, note.messages, note.first_ms) == ("telemetry", 1, NOW_MS)
    assert spool.put([draft()], NOW_MS)[0].seq == 1
    spool.close()


@pytest.mark.parametrize("length", [60, 300, 1000, 2000, 9000])
def test_the_file_stays_near_its_bound(tmp_path: Path, length: int) -> None:
    """Ten times the bound goes through; what a row costs beside its payload is accounted for."""
    bound = 2_000_000
    spool = open_spool(settings(tmp_path, bound_bytes=bound, synchronous="normal"), 1)
    for _ in range(5 * bound // (length * 50)):
        spool.put([draft(length=length) for _ in range(50)], NOW_MS)
    assert bound * 0.9 < spool.depth.bytes <= bound
    spool.close()
    assert (tmp_path / "spool.db").stat().st_size < bound * 1.15


def test_faults_outlive_telemetry(tmp_path: Path) -> None:
    spool = open_spool(settings(tmp_path, bound_bytes=100_000), 1)
    faults = [spool.put([draft(Rank.EVENT)], NOW_MS)[0].number for _ in range(50)]
    for _ in range(1000):
        spool.put([draft(Rank.TELEMETRY)], NOW_MS)
    assert [one.number for one in spool.waiting(Rank.EVENT, 0, 1 << 60, 100)] == faults
    assert spool.dropped_faults == 0
    assert spool.dropped_telemetry > 700
    spool.close()


def test_ledgers_are_kept_over_a_restart(tmp_path: Path) -> None:
    spool = open_spool(settings(tmp_path), 1)
    with spool.transaction():
        spool.ledgers.set_active_faults("dev", {"E1": 12.5})
        spool.ledgers.set_sampling("dev", SetSampling(period_ms=2000, deadbands={"a": 1}))
        spool.ledgers.set_sampling("dev", SetSampling(deadbands={"b": 2}, max_interval_ms=500))
    spool.close()
    spool = open_spool(settings(tmp_path), 1)
    assert spool.ledgers.active_faults("dev") == {"E1": 12.5}
    assert spool.ledgers.sampling("dev") == SetSampling(period_ms=2000, deadbands={"a": 1, "b": 2}, max_interval_ms=500)
    assert spool.ledgers.sampling("other") is None
    spool.close()


def test_a_spool_can_be_looked_into_while_it_is_open(tmp_path: Path) -> None:
    with pytest.raises(SpoolUnreadable, match="no spool at"):
        list(describe(settings(tmp_path)))
    spool = open_spool(settings(tmp_path, bound_bytes=100_000), 7)
    spool.put([draft(), draft(Rank.EVENT)], NOW_MS)
    with spool.transaction():
        spool.ledgers.remember("bytes_per_hour", 10_000.0)
    text = "\n".join(describe(settings(tmp_path, bound_bytes=100_000)))
    assert "2 messages" in text
    assert "telemetry: 1" in text
    assert "fault: 1" in text
    assert "9.9 h at 0.010 MB/h" in text
    assert "boot      7" in text
    spool.close()
