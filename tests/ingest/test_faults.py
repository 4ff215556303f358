"""Fault reports, and the reconciliation of what a birth says is active."""

from __future__ import annotations

from datetime import UTC, datetime

from cloud.ingest.writer import Writer
from tests.ingest.conftest import Ask
from tests.ingest.made import DEVICE, NOW_MS, birth, fault, frame, read, telemetry

NOW_US = NOW_MS * 1000


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


async def reports(ask: Ask) -> list[tuple[object, ...]]:
    return await ask(
        "SELECT code, raised, occurred_at, inferred FROM fault_report ORDER BY occurred_at, code, inferred"
    )


async def active(ask: Ask) -> list[str]:
    ((codes,),) = await ask("SELECT active_faults FROM device WHERE device = %s", [DEVICE])
    return list(codes)


async def test_raised_and_cleared(writer: Writer, ask: Ask) -> None:
    batch = [fault(1, "E24", True, NOW_MS - 5000), fault(2, "E9", True, NOW_MS - 4000), fault(3, "E24", False)]
    written = await writer.store(read(batch), NOW_US)
    assert written.events.fault_reports == 3
    assert await active(ask) == ["E9"]
    assert await ask("SELECT fault_reports, first_at, last_at FROM ingest_batch") == [
        (3, at(NOW_MS - 5000), at(NOW_MS - 1000))
    ]
    again = await writer.store(read(batch), NOW_US)
    assert (again.events.fault_reports, again.duplicates) == (0, 3)
    assert await ask("SELECT count(*) FROM ingest_batch") == [(1,)]


async def test_a_late_report_does_not_undo_a_newer_one(writer: Writer, ask: Ask) -> None:
    await writer.store(read([fault(2, "E24", False, NOW_MS - 1000)]), NOW_US)
    await writer.store(read([fault(1, "E24", True, NOW_MS - 5000)]), NOW_US)
    assert await active(ask) == []
    assert len(await reports(ask)) == 2


async def test_a_birth_that_knows_more_raises_and_clears(writer: Writer, ask: Ask) -> None:
    await writer.store(read([fault(1, "E24", True, NOW_MS - 9000)]), NOW_US)
    since = NOW_MS - 3000
    written = await writer.store(read([birth(active=[("F3", since)])]), NOW_US)
    assert written.events.fault_reports == 2
    assert await active(ask) == ["F3"]
    assert await reports(ask) == [
        ("E24", True, at(NOW_MS - 9000), False), ("F3", True, at(since), True), ("E24", False, at(NOW_MS), True),
    ]  # fmt: skip
    ((first, last),) = await ask("SELECT first_at, last_at FROM ingest_batch ORDER BY batch_no DESC LIMIT 1")
    assert (first, last) == (at(since), at(NOW_MS))


async def test_the_same_birth_again_changes_nothing(writer: Writer, ask: Ask) -> None:
    one = birth(active=[("F3", NOW_MS - 3000), ("F4", NOW_MS - 3000)])
    await writer.store(read([one]), NOW_US)
    assert (await writer.store(read([one]), NOW_US)).events.fault_reports == 0
    assert (await writer.store(read([one, telemetry(frame(1))]), NOW_US)).events.fault_reports == 0
    assert await active(ask) == ["F3", "F4"]


async def test_an_old_birth_does_not_undo_what_is_newer(writer: Writer, ask: Ask) -> None:
    await writer.store(read([fault(1, "E24", True, NOW_MS - 1000)]), NOW_US)
    await writer.store(read([birth(at_ms=NOW_MS - 60_000)]), NOW_US)
    assert await active(ask) == ["E24"]


async def test_the_spool_drains_after_the_birth(writer: Writer, ask: Ask) -> None:
    """Offline, E24 was raised, cleared and raised again; the birth comes first, then the spooled reports."""
    await writer.store(read([birth(active=[("E24", NOW_MS - 2000)])]), NOW_US)
    spooled = [
        fault(1, "E24", True, NOW_MS - 9000),
        fault(2, "E24", False, NOW_MS - 5000),
        fault(3, "E24", True, NOW_MS - 2000),
    ]
    await writer.store(read(spooled), NOW_US)
    assert await active(ask) == ["E24"]
    genuine = [row for row in await reports(ask) if not row[3]]
    assert len(genuine) == 3


async def test_a_report_in_the_same_batch_is_not_inferred_again(writer: Writer, ask: Ask) -> None:
    since = NOW_MS - 2000
    await writer.store(read([birth(active=[("E24", since)]), fault(1, "E24", True, since)]), NOW_US)
    assert await reports(ask) == [("E24", True, at(since), False)]


async def test_a_birth_speaks_of_its_own_devices_only(writer: Writer, ask: Ask) -> None:
    await writer.store(read([fault(1, "E1", True, device="other")]), NOW_US)
    await writer.store(read([birth()]), NOW_US)
    assert await ask("SELECT active_faults FROM device WHERE device = 'other'") == [(["E1"],)]
