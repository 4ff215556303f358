"""The writer against real databases: what is stored, once, and what is not."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest

from cloud.db.pool import Pool
from cloud.ingest.intake import Intake, TopicReader, read_batch
from cloud.ingest.ports import Arrival
from cloud.ingest.writer import Writer
from protocols.messages import (
    Death,
    Heartbeat,
    Loss,
    Reply,
    SpoolDepth,
    Window,
)
from protocols.topics import Kind
from tests.ingest.conftest import Ask, all_settled
from tests.ingest.made import BOOT, CHANNELS, DEVICE, NOW_MS, birth, fault, frame, many_frames, read, said, telemetry

NOW_US = NOW_MS * 1000


async def test_a_frame_is_stored_as_it_was_sent(writer: Writer, ask: Ask) -> None:
    at = NOW_MS - 60_000
    written = await writer.store(read([telemetry(frame(7, at, [1.5, math.nan, -3.25, 1e-30], freeze=True))]), NOW_US)
    assert (written.frames, written.points, written.duplicates) == (1, 4, 0)
    (row,) = await ask(
        "SELECT device, gateway, started_at, f.boot, seq, channel_set, period_ms, samples, channels, flags, readings,"
        " ingested_at FROM frame f JOIN device USING (device_no) JOIN gateway g ON g.gateway_no = f.gateway_no"
    )
    readings = row[10]
    assert row[:10] == (
        DEVICE, "gw-1", datetime.fromtimestamp(at / 1000, UTC), BOOT, 7, CHANNELS.id, 1000, 2, 2, 1,
    )  # fmt: skip
    np.testing.assert_array_equal(np.float32(readings), np.float32([1.5, math.nan, -3.25, 1e-30]))
    assert row[11] == datetime.fromtimestamp(NOW_MS / 1000, UTC)


async def test_the_greatest_values_that_the_wire_can_carry(writer: Writer, ask: Ask) -> None:
    top = 2**32 - 1
    await writer.store(
        read([telemetry(frame(top, boot=top, channel_set=top, period_ms=top, readings=[1.0], channels=1))]), NOW_US
    )
    assert await ask("SELECT boot, seq, channel_set, period_ms FROM frame") == [(top,) * 4]


async def test_batches_of_many_shapes(writer: Writer, ask: Ask) -> None:
    arrivals = [
        telemetry(frame(i, NOW_MS - i * 1000, [float(i)] * (i % 5 + 1), channels=1), f"d{i % 7}") for i in range(200)
    ]
    assert (await writer.store(read(arrivals), NOW_US)).frames == 200
    assert await ask("SELECT count(*), sum(cardinality(readings)) FROM frame WHERE readings[1] = seq") == [(200, 600)]


async def test_a_redelivery_is_stored_once_and_counted(writer: Writer, ask: Ask) -> None:
    frames = many_frames(300)
    assert (await writer.store(read(frames[:200]), NOW_US)).duplicates == 0
    written = await writer.store(read([*frames[100:], *frames[290:]]), NOW_US)
    assert (written.frames, written.duplicates) == (100, 110)
    assert (await writer.store(read(frames), NOW_US)).frames == 0
    assert await ask("SELECT count(*) FROM frame") == [(300,)]
    assert await ask("SELECT sum(frames) FROM ingest_batch") == [(300,)]


async def test_after_duplicates_fresh_batches_are_stored_too(writer: Writer, ask: Ask) -> None:
    frames = many_frames(600)
    await writer.store(read(frames[:100]), NOW_US)
    await writer.store(read(frames[:100]), NOW_US)
    for start in range(100, 600, 50):
        written = await writer.store(read(frames[start : start + 50]), NOW_US)
        assert (written.frames, written.duplicates) == (50, 0)
    assert await ask("SELECT count(*) FROM frame") == [(600,)]


async def test_several_writers_at_once(pool: Pool, ask: Ask) -> None:
    frames = many_frames(400, devices=40)
    writers = [Writer(pool) for _ in range(4)]
    await asyncio.gather(*(w.store(read(frames[i * 80 : i * 80 + 160]), NOW_US) for i, w in enumerate(writers)))
    assert await ask("SELECT count(*) FROM frame") == [(400,)]
    assert await ask("SELECT count(*), count(DISTINCT device) FROM device") == [(40, 40)]


async def test_a_burst_of_history(writer: Writer, ask: Ask) -> None:
    start = int(datetime(2015, 1, 1, tzinfo=UTC).timestamp() * 1000)
    arrivals = [telemetry(frame(day, start + day * 86_400_000)) for day in range(0, 365, 3)]
    assert (await writer.store(read(arrivals), NOW_US)).frames == 122
    ((first, last),) = await ask("SELECT first_at, last_at FROM ingest_batch")
    assert (first.date().isoformat(), last.date().isoformat()) == ("2015-01-01", "2015-12-30")
    assert await ask("SELECT count(*) FROM frame WHERE started_at < '2015-07-01'") == [(61,)]


async def test_a_partition_that_retention_dropped_is_made_again(writer: Writer, ask: Ask) -> None:
    old = NOW_MS - 400 * 86_400_000
    await writer.store(read([telemetry(frame(1, old))]), NOW_US)
    ((dropped,),) = await ask("SELECT drop_frames(%s)", [datetime.fromtimestamp(NOW_MS / 1000, UTC)])
    assert dropped == 1
    assert (await writer.store(read([telemetry(frame(2, old))]), NOW_US)).frames == 1
    assert await ask("SELECT seq FROM frame") == [(2,)]


async def test_the_tail_gives_each_batch_once(pool: Pool, writer: Writer, ask: Ask) -> None:
    frames = many_frames(60)
    for start in range(0, 60, 20):
        await writer.store(read(frames[start : start + 20]), NOW_US)
    await all_settled(pool)
    batches = await ask("SELECT xid, batch_no, frames, first_at, last_at FROM committed_batches('0', 0, 10)")
    assert [row[2] for row in batches] == [20, 20, 20]
    xid, number, _, _, _ = batches[1]
    assert await ask("SELECT batch_no FROM committed_batches(%s::text::xid8, %s, 10)", [str(xid), number]) == [
        (batches[2][1],)
    ]
    ((count,),) = await ask(
        "SELECT count(*) FROM frame WHERE batch_no = %s AND started_at BETWEEN %s AND %s",
        [number, batches[1][3], batches[1][4]],
    )
    assert count == 20


async def test_the_tail_waits_for_a_writer_that_is_not_done(pool: Pool, writer: Writer, ask: Ask) -> None:
    """A serial alone would skip the batch that began first and commits last."""
    async with pool.connection() as slow, slow.transaction():
        await slow.execute(
            "INSERT INTO ingest_batch (frames, fault_reports, first_at, last_at) VALUES (0, 0, now(), now())"
        )
        await writer.store(read(many_frames(5)), NOW_US)
        assert await ask("SELECT count(*) FROM committed_batches('0', 0, 10)") == [(0,)]
    await all_settled(pool)
    assert await ask("SELECT count(*) FROM committed_batches('0', 0, 10)") == [(2,)]


async def test_listeners_hear_of_the_commit(database: str, writer: Writer) -> None:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as listener:
        await listener.execute("LISTEN ingest_batch")
        await writer.store(read(many_frames(5)), NOW_US)
        heard = [notice.payload async for notice in listener.notifies(timeout=5, stop_after=1)]
    assert len(heard) == 1
    assert heard[0].isdigit()


async def test_a_birth_makes_its_devices_and_names_their_channels(writer: Writer, ask: Ask) -> None:
    await writer.store(read([telemetry(frame(1))]), NOW_US)
    assert await ask("SELECT channel, value FROM sample ORDER BY at, channel LIMIT 2") == [("#1", 4.0), ("#2", 80.0)]
    await writer.store(read([birth()]), NOW_US)
    assert await ask("SELECT channel, unit, value FROM sample ORDER BY at, channel LIMIT 2") == [
        ("cabinet_temp", "degC", 4.0), ("power", "W", 80.0),
    ]  # fmt: skip
    assert await ask("SELECT online, boot, firmware FROM gateway") == [(True, BOOT, "0.1.0")]
    assert await ask("SELECT device, firmware, active_faults FROM device") == [(DEVICE, "2.1", [])]


async def test_samples_have_their_own_times_and_leave_out_what_is_no_reading(writer: Writer, ask: Ask) -> None:
    at = NOW_MS - 60_000
    await writer.store(
        read([birth(), telemetry(frame(1, at, [1.0, math.nan, 2.0, 5.0])), telemetry(frame(2, at, freeze=True))]),
        NOW_US,
    )
    start = datetime.fromtimestamp(at / 1000, UTC)
    assert await ask("SELECT at, value FROM sample WHERE channel = 'cabinet_temp' ORDER BY at") == [
        (start, 1.0), (start + timedelta(seconds=1), 2.0),
    ]  # fmt: skip
    assert await ask("SELECT at, value FROM sample WHERE channel = 'power'") == [(start + timedelta(seconds=1), 5.0)]
    assert await ask("SELECT count(*) FROM freeze_sample") == [(4,)]


async def test_json_telemetry_is_named_at_once(writer: Writer, ask: Ask) -> None:
    payload = b'{"v":1,"at":1759999999000,"values":{"water_temp":[54.5,55.0],"\'; DROP TABLE frame; --":[1,2]}}'
    await writer.store(read([telemetry(payload), telemetry(payload)]), NOW_US)
    rows = await ask("SELECT channel, value FROM sample ORDER BY channel, at")
    assert rows == [("'; DROP TABLE frame; --", 1.0), ("'; DROP TABLE frame; --", 2.0), ("water_temp", 54.5),
                    ("water_temp", 55.0)]  # fmt: skip


async def test_presence_follows_the_newest_boot(writer: Writer, ask: Ask) -> None:
    spool = SpoolDepth(messages=1, bytes=2, bound_bytes=3)
    beat = said(Kind.HEARTBEAT, Heartbeat(at=NOW_MS, boot=BOOT, spool=spool), None)
    await writer.store(read([birth(), beat]), NOW_US)
    ((online, heartbeat),) = await ask("SELECT online, heartbeat FROM gateway")
    assert online
    assert heartbeat["spool"]["bytes"] == 2
    await writer.store(read([said(Kind.DEATH, Death(at=NOW_MS, boot=BOOT - 5), None)]), NOW_US)
    assert await ask("SELECT online FROM gateway") == [(True,)]
    await writer.store(read([said(Kind.DEATH, Death(at=NOW_MS, boot=BOOT), None)]), NOW_US)
    assert await ask("SELECT online FROM gateway") == [(False,)]


async def test_losses_and_replies_are_stored_once(writer: Writer, ask: Ask) -> None:
    loss = Loss(at=NOW_MS, boot=BOOT, seq=5, kind="telemetry", messages=40, bytes=9000,
                window=Window(started_at=NOW_MS - 9000, ended_at=NOW_MS - 10))  # fmt: skip
    reply = Reply(at=NOW_MS, boot=BOOT, seq=6, id="c1", outcome="done", detail="'); --", result={"ok": True})
    batch = [said(Kind.LOSS, loss), said(Kind.REPLY, reply)]
    first, second = [await writer.store(read(batch), NOW_US) for _ in range(2)]
    assert (first.events.losses, first.events.replies, first.duplicates) == (1, 1, 0)
    assert (second.events.losses, second.events.replies, second.duplicates) == (0, 0, 2)
    assert await ask("SELECT kind, dropped, bytes FROM loss_ledger") == [("telemetry", 40, 9000)]
    assert await ask("SELECT command_id, outcome, detail, result FROM reply") == [
        ("c1", "done", "'); --", {"ok": True})
    ]


async def test_dead_letters_keep_reason_and_bytes_and_the_rest_is_stored(writer: Writer, ask: Ask) -> None:
    poison = [telemetry(b"\x00garbage"), Arrival("a\ud800" + "x" * 70_000, b"y"), telemetry(b"\x00garbage")]
    written = await writer.store(read([*many_frames(5), *poison]), NOW_US)
    assert (written.frames, written.dead_letters) == (5, 3)
    rows = await ask("SELECT payload, reason, times, length(topic) FROM dead_letter ORDER BY dead_letter_no")
    assert sorted(rows)[0][:3] == (b"\x00garbage", "malformed", 1)
    assert [row[3] <= 1000 for row in rows] == [True, True]
    await writer.store(read(poison[:1]), NOW_US)
    assert await ask("SELECT times FROM dead_letter WHERE payload = %s", [b"\x00garbage"]) == [(2,)]


async def test_what_the_database_cannot_hold_fails_as_a_whole(writer: Writer, ask: Ask) -> None:
    """A NUL is a fine JSON string and no PostgreSQL text: the program isolates it (test_program.py)."""
    with pytest.raises(psycopg.DataError):
        await writer.store(read([*many_frames(3), fault(1, "E\0", True)]), NOW_US)
    assert await ask("SELECT (SELECT count(*) FROM frame), (SELECT count(*) FROM ingest_batch)") == [(0, 0)]


async def test_names_declared_in_a_batch_that_failed_are_declared_again(writer: Writer, ask: Ask) -> None:
    payload = telemetry(b'{"v":1,"at":1759999999000,"values":{"t":1}}')
    with pytest.raises(psycopg.DataError):
        await writer.store(read([payload, fault(1, "E\0", True)]), NOW_US)
    await writer.store(read([payload]), NOW_US)
    assert await ask("SELECT channel FROM sample") == [("t",)]


async def test_reading_the_clock_of_the_batch_not_the_machines(writer: Writer, ask: Ask) -> None:
    later = NOW_MS + 10 * 86_400_000
    intake: Intake = read_batch([telemetry(frame(1, later - 1_000_000))], later, TopicReader())
    await writer.store(intake, later * 1000)
    assert await ask("SELECT ingested_at FROM frame") == [(datetime.fromtimestamp(later / 1000, UTC),)]


async def test_who_was_heard_is_noted_now_and_then(writer: Writer, ask: Ask) -> None:
    await writer.store(read([telemetry(frame(1)), telemetry(b"garbage", "poisoned")]), NOW_US)
    assert await ask("SELECT last_seen_at FROM device") == [(None,)]
    await writer.note_heard()
    assert await ask("SELECT device, last_seen_at > now() - interval '1 minute' FROM device") == [(DEVICE, True)]
    assert await ask("SELECT last_seen_at > now() - interval '1 minute' FROM gateway") == [(True,)]
