"""The ingest program: receive, batch, store, acknowledge, receipt; pause while the database is away."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from cloud.db.pool import Pool, open_pool
from cloud.db.settings import DatabaseSettings
from cloud.db.waiting import set_within
from cloud.ingest.backoff import Backoff
from cloud.ingest.batcher import Batcher
from cloud.ingest.commands import send_commands_forever
from cloud.ingest.counters import Counters
from cloud.ingest.database_errors import is_permanent
from cloud.ingest.health import report_forever
from cloud.ingest.hourly import HourlyBook
from cloud.ingest.intake import Intake, Poison, TopicReader, read_batch, rejection
from cloud.ingest.opening import open_subscriber
from cloud.ingest.ports import Arrival, Subscriber
from cloud.ingest.receipts import ReceiptBook
from cloud.ingest.settings import IngestSettings
from cloud.ingest.upkeep import upkeep_forever
from cloud.ingest.writer import Writer, Written
from protocols.identifiers import partition
from protocols.messages import Sequenced
from protocols.topics import NO_DEVICE

log = structlog.get_logger(__name__)

IDLE_S = 0.5


class Ingestor:
    """Moves messages from a subscriber into the database. One per process; `run` until `stop` is called."""

    def __init__(self, settings: IngestSettings, subscriber: Subscriber, pool: Pool) -> None:
        self.counters = Counters()
        self._settings = settings
        self._subscriber = subscriber
        self.hourly = HourlyBook()
        self.writer = Writer(pool, self.hourly)
        self._topics = TopicReader()
        self._receipts = ReceiptBook()
        self._receipts_due = asyncio.Event()
        self._backoff = Backoff(settings.retry_first_s, settings.retry_longest_s, random.random)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End after the batch at hand. Idempotent."""
        self._stopping.set()

    async def run(self) -> None:
        """Ingest until stopped; what is not committed then stays with the broker."""
        settings = self._settings
        batcher = Batcher(settings.batch_messages, settings.batch_bytes, settings.batch_age_s)
        receipts = asyncio.create_task(self._send_receipts_forever(), name="receipts")
        try:
            while not self._stopping.is_set():
                wait = batcher.wait_s(time.monotonic())
                if wait == 0.0:
                    oldest = time.time() - batcher.age_of_oldest_s(time.monotonic())
                    await self._commit(batcher.take(), oldest)
                    self.counters.in_flight = len(batcher)
                    continue
                room = settings.batch_messages - len(batcher)
                arrivals = await self._subscriber.receive(room, IDLE_S if wait is None else wait)
                if arrivals:
                    batcher.add(await self._ours(arrivals), time.monotonic())
                    self.counters.in_flight = len(batcher)
        finally:
            receipts.cancel()
            await asyncio.gather(receipts, return_exceptions=True)
            await self._send_receipts()

    async def _ours(self, arrivals: list[Arrival]) -> list[Arrival]:
        """Count, and let go of what belongs to other partitions: another ingestor has its own copy."""
        self.counters.messages_received += len(arrivals)
        self.counters.bytes_received += sum([len(arrival.payload) for arrival in arrivals])
        if self._settings.all_partitions:
            return arrivals
        mine = self._settings.partitions
        ours: list[Arrival] = []
        others: list[Arrival] = []
        for arrival in arrivals:
            gateway = arrival.topic.split("/", 4)[3:4]
            (ours if partition(gateway[0] if gateway else "") in mine else others).append(arrival)
        if others:
            self.counters.other_partitions += len(others)
            await self._subscriber.ack(others)
        return ours

    async def _commit(self, arrivals: list[Arrival], oldest: float) -> None:
        """Store a batch, acknowledge it, note its receipts. Returns early, with nothing lost, when stopped.

        oldest: unix seconds at which the first of it was received.
        """
        intake = read_batch(arrivals, time.time_ns() // 1_000_000, self._topics)
        if not await self._store(intake):
            return
        await self._subscriber.ack(arrivals)
        note_receipts(self._receipts, intake)
        self._receipts_due.set()
        self.counters.last_commit_at = now = time.time()
        self.counters.last_lag_s = now - oldest
        self.counters.last_error = None

    async def _store(self, intake: Intake) -> bool:
        """Store until it is done; False when the program stops before that."""
        while not self._stopping.is_set():
            try:
                self._count(intake, await self.writer.store(intake, time.time_ns() // 1_000))
            except Exception as error:
                if is_permanent(error):
                    return await self._isolate(intake, error)
                await self._pause(error)
            else:
                self._backoff.succeeded()
                return True
        return False

    async def _isolate(self, intake: Intake, error: Exception) -> bool:
        """A row is at fault: halve until it stands alone, and file that one."""
        arrivals = intake.arrivals
        if len(arrivals) == 1:
            log.warning("row_refused", topic=arrivals[0].topic, error=str(error))
            alone = Intake(arrivals, list(intake.topics))
            alone.poison = [Poison(arrivals[0], "refused-by-database", str(error))]
            intake.poison.extend(alone.poison)
            return await self._store_poison(alone)
        middle = len(arrivals) // 2
        now_ms = time.time_ns() // 1_000_000
        for part in (arrivals[:middle], arrivals[middle:]):
            half = read_batch(part, now_ms, self._topics)
            if not await self._store(half):
                return False
            intake.poison.extend(p for p in half.poison if p not in intake.poison)
        return True

    async def _store_poison(self, alone: Intake) -> bool:
        """File one refused row; the database takes it as bytes, so only a temporary error is possible."""
        while not self._stopping.is_set():
            try:
                self._count(alone, await self.writer.store(alone, time.time_ns() // 1_000))
            except Exception as error:
                await self._pause(error)
            else:
                return True
        return False

    async def _pause(self, error: Exception) -> None:
        pause = self._backoff.pause_s()
        self.counters.retries += 1
        self.counters.last_error = f"{type(error).__name__}: {error}"[:500]
        self.writer.forget()
        log.warning("database_away", error=self.counters.last_error, pause_s=round(pause, 2))
        await set_within(self._stopping, pause)

    def _count(self, intake: Intake, written: Written) -> None:
        counters, events = self.counters, written.events
        counters.batches_committed += 1
        counters.messages_committed += len(intake.arrivals)
        counters.frames_stored += written.frames
        counters.points_stored += written.points
        counters.duplicates += written.duplicates
        counters.dead_letters += written.dead_letters
        counters.fault_reports_stored += events.fault_reports
        counters.births += events.births
        counters.deaths += events.deaths
        counters.heartbeats += events.heartbeats
        counters.losses_reported += events.losses
        counters.replies += events.replies

    async def _send_receipts_forever(self) -> None:
        while True:
            await self._receipts_due.wait()
            await asyncio.sleep(self._settings.receipt_interval_s)
            self._receipts_due.clear()
            await self._send_receipts()

    async def _send_receipts(self) -> None:
        messages = self._receipts.take(time.time_ns() // 1_000_000)
        if messages:
            try:
                await self._subscriber.publish(messages)
            except Exception as error:  # gateways send again what they were not receipted for
                log.warning("receipts_lost", count=len(messages), error=str(error))
            else:
                self.counters.receipts_sent += len(messages)


def note_receipts(book: ReceiptBook, intake: Intake) -> None:
    """What a committed batch tells its gateways."""
    refused = {id(poison.arrival) for poison in intake.poison}
    topic_of = {id(arrival): topic for arrival, topic in zip(intake.arrivals, intake.topics, strict=True)}
    for poison in intake.poison:
        topic = topic_of[id(poison.arrival)]
        if topic is not None:
            book.reject(topic.gateway, rejection(poison, topic))
    for block in intake.blocks:
        for place, boot, seq in block.columns[["place", "boot", "seq"]].tolist():
            topic = intake.topics[place]
            if boot and topic is not None and (not refused or id(intake.arrivals[place]) not in refused):
                book.commit(topic.gateway, topic.device or NO_DEVICE, boot, seq)
    for named in intake.messages:
        if isinstance(named.message, Sequenced) and id(intake.arrivals[named.place]) not in refused:
            topic = named.topic
            book.commit(topic.gateway, topic.device or NO_DEVICE, named.message.boot, named.message.seq)


async def run(
    settings: IngestSettings,
    database: DatabaseSettings,
    *,
    stopping: asyncio.Event | None = None,
    ready: Callable[[Ingestor], None] | None = None,
) -> None:
    """Run ingest until `stopping` is set or this task is cancelled. `ready` is called once messages may come.

    A side task that dies ends the program: half an ingestor would look healthy and not be.
    """
    stopping = stopping or asyncio.Event()
    async with open_pool(database, "ingest") as pool:
        subscriber = open_subscriber(settings)
        await subscriber.open()
        ingestor = Ingestor(settings, subscriber, pool)
        tasks: Sequence[Awaitable[object]] = (
            ingestor.run(),
            report_forever(pool, settings, ingestor.counters, subscriber, ingestor.writer),
            upkeep_forever(pool, settings, ingestor.hourly),
            send_commands_forever(pool, settings, subscriber, ingestor.counters),
            stopping.wait(),
        )
        running = [asyncio.ensure_future(task) for task in tasks]
        try:
            if ready:
                ready(ingestor)
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            ingestor.stop()
            await asyncio.wait(running[:1], timeout=10)
            for task in done:
                task.result()
        finally:
            ingestor.stop()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await subscriber.close()
