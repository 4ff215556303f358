"""One batch, one transaction: frames by binary COPY, everything else by a few statements over arrays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import AsyncConnection

from cloud.db.pool import Pool
from cloud.db.queries import load
from cloud.ingest.copy_rows import SIGNATURE, TRAILER, copy_rows
from cloud.ingest.events import Stored, learn_devices_of_births, store_events
from cloud.ingest.hourly import HourlyBook
from cloud.ingest.identities import Identities
from cloud.ingest.intake import Intake
from protocols.messages import payload_digest

Connection = AsyncConnection[tuple[object, ...]]

WEEK_US = 7 * 86_400_000_000
MONDAY_US = 4 * 86_400_000_000
"""1970-01-05 was a Monday: weeks are counted from there, as frame_week() does."""

BATCH_NUMBERS = 64
AFTER_A_DUPLICATE = 8
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Written:
    """What a transaction stored. `duplicates` counts frames and events that were there already."""

    frames: int
    points: int
    events: Stored
    duplicates: int
    dead_letters: int


def instant(at_us: int) -> datetime:
    """µs since the epoch as a datetime, exactly."""
    return EPOCH + timedelta(microseconds=at_us)


class Writer:
    """Stores batches. Remembers numbers of devices and which weeks have a partition; not re-entrant."""

    def __init__(self, pool: Pool, hourly: HourlyBook | None = None) -> None:
        """`hourly` is told of what was stored, for the roll-ups."""
        self._pool = pool
        self._hourly = hourly or HourlyBook()
        self._identities = Identities()
        self._weeks: set[int] = set()
        self._batch_numbers: list[int] = []
        self._staged_batches = 0
        self._heard_devices: set[int] = set()
        self._heard_gateways: set[int] = set()

    async def store(self, intake: Intake, now_us: int) -> Written:
        """Commit a batch. `now_us`: ingest time, µs since the epoch.

        COPY goes straight into the table. When a row is there already (a redelivery), the whole transaction is
        done again through a staging table, and so are the next few: duplicates come in runs.

        Raises:
            psycopg.Error: nothing of the batch is stored; see `database_errors.is_permanent`.
        """
        async with self._pool.connection() as connection:
            try:
                return await self._store(connection, intake, now_us, staged=self._staged_batches > 0)
            except psycopg.errors.UniqueViolation:
                self._staged_batches = AFTER_A_DUPLICATE
            except psycopg.errors.IntegrityError:
                # A partition that retention dropped, a device that was deleted: what we remember is out of date.
                self.forget()
            except psycopg.Error:
                self._identities.declared.clear()  # noted within the transaction that has just been undone
                raise
            self._identities.declared.clear()
            return await self._store(connection, intake, now_us, staged=True)

    def forget(self) -> None:
        """Look everything up again."""
        self._identities.forget()
        self._weeks.clear()

    async def note_heard(self) -> None:
        """Move last_seen_at of everyone who was heard since the last call: now and then, not with each batch."""
        devices, self._heard_devices = self._heard_devices, set()
        gateways, self._heard_gateways = self._heard_gateways, set()
        async with self._pool.connection() as connection:
            await connection.execute(load("ingest")["note_devices_heard"], [list(devices)])
            await connection.execute(load("ingest")["note_gateways_heard"], [list(gateways)])

    def _note_topics(self, intake: Intake) -> None:
        for topic in set(intake.topics):
            if topic is not None and topic.gateway in self._identities.gateways:
                self._heard_gateways.add(self._identities.gateways[topic.gateway])
                if topic.device in self._identities.devices:
                    self._heard_devices.add(self._identities.devices[topic.device])

    async def _store(self, connection: Connection, intake: Intake, now_us: int, *, staged: bool) -> Written:
        self._staged_batches = max(0, self._staged_batches - 1)
        poisoned = {id(poison.arrival) for poison in intake.poison}
        await self._identities.learn(
            connection,
            (
                (topic.gateway, topic.device)
                for topic, arrival in zip(intake.topics, intake.arrivals, strict=True)
                if topic and (not poisoned or id(arrival) not in poisoned)
            ),
        )
        await learn_devices_of_births(connection, self._identities, intake)
        await self._ensure_partitions(connection, intake)
        batch_no = await self._next_batch_number(connection)
        self._hourly.reserve(batch_no)
        try:
            frames, events = await self._store_in_transaction(connection, intake, batch_no, now_us, staged=staged)
            if frames and frames == intake.frames:
                numbers = [self._numbers(intake, block.columns["place"])[0] for block in intake.blocks]
                self._hourly.add(batch_no, intake.blocks, numbers)
        finally:
            self._hourly.release(batch_no)
        self._note_topics(intake)
        points = sum([block.readings.size for block in intake.blocks])
        return Written(
            frames=frames,
            points=round(points * frames / max(1, intake.frames)) if staged else points,
            events=events,
            duplicates=intake.frames - frames + events.duplicates,
            dead_letters=len(intake.poison),
        )

    async def _store_in_transaction(
        self, connection: Connection, intake: Intake, batch_no: int, now_us: int, *, staged: bool
    ) -> tuple[int, Stored]:
        async with connection.transaction():
            frames = await self._copy_frames(connection, intake, batch_no, now_us, staged=staged)
            events = await store_events(connection, self._identities, intake, batch_no, instant(now_us))
            await _file_dead_letters(connection, intake)
            if frames or events.fault_reports:
                await self._finish(connection, intake, batch_no, frames, events)
        return frames, events

    async def _ensure_partitions(self, connection: Connection, intake: Intake) -> None:
        weeks: set[int] = set()
        for block in intake.blocks:
            weeks.update(np.unique((block.columns["started_at"] - MONDAY_US) // WEEK_US).tolist())
        new = weeks - self._weeks
        if new:
            days = [instant(week * WEEK_US + MONDAY_US) for week in sorted(new)]
            await connection.execute(load("ingest")["ensure_partitions"], [days])
            self._weeks |= new

    async def _next_batch_number(self, connection: Connection) -> int:
        if not self._batch_numbers:
            cursor = await connection.execute(load("ingest")["next_batch_numbers"], [BATCH_NUMBERS])
            self._batch_numbers = [int(str(number)) for (number,) in reversed(await cursor.fetchall())]
        return self._batch_numbers.pop()

    async def _copy_frames(
        self, connection: Connection, intake: Intake, batch_no: int, now_us: int, *, staged: bool
    ) -> int:
        """Send all blocks in one COPY; return how many rows are new."""
        if not intake.blocks:
            return 0
        queries = load("ingest")
        if staged:
            await connection.execute(queries["make_staging"])
        async with connection.cursor() as cursor:
            async with cursor.copy(queries["copy_staging" if staged else "copy_frames"]) as copy:
                await copy.write(SIGNATURE)
                for block in intake.blocks:
                    device_no, gateway_no = self._numbers(intake, block.columns["place"])
                    await copy.write(copy_rows(block, device_no, gateway_no, batch_no, now_us))
                await copy.write(TRAILER)
            if staged:
                await cursor.execute(queries["insert_from_staging"])
            return cursor.rowcount

    def _numbers(self, intake: Intake, places: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        topics = [intake.topics[place] for place in places.tolist()]
        devices, gateways = self._identities.devices, self._identities.gateways
        return (
            np.array([devices[topic.device] for topic in topics], np.int32),
            np.array([gateways[topic.gateway] for topic in topics], np.int32),
        )

    async def _finish(self, connection: Connection, intake: Intake, batch_no: int, frames: int, events: Stored) -> None:
        starts = [block.columns["started_at"] for block in intake.blocks]
        instants = [instant(int(edge)) for column in starts for edge in (column.min(), column.max())]
        instants += events.instants
        await connection.execute(
            load("ingest")["finish_batch"],
            {
                "batch_no": batch_no,
                "frames": frames,
                "fault_reports": events.fault_reports,
                "first_at": min(instants),
                "last_at": max(instants),
            },
        )


async def _file_dead_letters(connection: Connection, intake: Intake) -> None:
    if not intake.poison:
        return
    rows = [
        (
            printable(p.arrival.topic),
            p.arrival.payload,
            p.reason,
            printable(p.detail),
            payload_digest(p.arrival.payload),
        )
        for p in intake.poison
    ]
    await connection.execute(load("ingest")["file_dead_letters"], [list(column) for column in zip(*rows, strict=True)])


def printable(text: str) -> str:
    """`text` as the database takes it: bounded, without NUL and lone surrogates."""
    return text[:1_000].encode("utf-8", "replace").decode().replace("\0", "␀")
