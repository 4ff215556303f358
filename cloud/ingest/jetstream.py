"""The subscriber on NATS JetStream: a file-backed stream, a durable pull consumer, explicit acknowledgement.

Acknowledgement is explicit, a message each, though written in one go. A cumulative one would be cheaper, but it also
acknowledges what was delivered to a predecessor that died before it could commit (docs/decisions/0008).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import nats
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from cloud.db.waiting import set_within
from cloud.ingest.backoff import Backoff
from cloud.ingest.bulk_nats import Taken, busy_subscription, send_empty
from cloud.ingest.ports import Arrival
from cloud.ingest.settings import IngestSettings
from cloud.ingest.tls import tls_context
from protocols.topics import UPLINK_SUBJECT

log = structlog.get_logger(__name__)

PULL_MESSAGES = 4_000
PULL_EXPIRES_S = 20.0
PAUSE_S = 0.5
REMEMBERED_SUBJECTS = 200_000


class JetStreamSubscriber:
    """See `ports.Subscriber`. A token is the connection's generation and the subject to acknowledge by."""

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._generation = 0
        self._waiting: deque[Arrival] = deque()
        self._arrived = asyncio.Event()
        self._unacked = 0
        self._requested = 0
        self._asked_at = 0.0
        self._pause_s = 0.0
        self._inbox = ""
        self._topics: dict[bytes, str] = {}
        self._puller: asyncio.Task[None] | None = None
        self._more = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether NATS answers now."""
        return self._client is not None and self._client.is_connected

    async def open(self) -> None:
        """Connect, make or update the stream and the consumer, start pulling."""
        if self._client is not None:
            raise RuntimeError("this subscriber is open already")
        backoff = Backoff(self._settings.retry_first_s, self._settings.retry_longest_s, random.random)
        while True:
            try:
                self._client = await self._connect()
                await self._prepare(self._client.jetstream())
                break
            except (OSError, nats.errors.Error) as error:
                if self._client is not None:
                    await self._client.close()
                    self._client = None
                pause = backoff.pause_s()
                log.warning("broker_away", broker=self._settings.broker_address(), error=str(error), pause_s=pause)
                await asyncio.sleep(pause)
        self._inbox = self._client.new_inbox()
        await busy_subscription(self._client, self._inbox, self._take, self._take_status)
        self._puller = asyncio.create_task(self._pull_forever(), name="jetstream pull")
        log.info("broker_connected", broker=self._settings.broker_address(), stream=self._settings.stream)

    async def receive(self, at_most: int, timeout_s: float) -> list[Arrival]:
        """See the port."""
        if not self._waiting:
            self._arrived.clear()
            await set_within(self._arrived, timeout_s)
        waiting = self._waiting
        return [waiting.popleft() for _ in range(min(at_most, len(waiting)))]

    async def ack(self, arrivals: Sequence[Arrival]) -> None:
        """See the port."""
        valid = [arrival.token[1] for arrival in arrivals if arrival.token[0] == self._generation]
        self._unacked = max(0, self._unacked - len(valid))
        self._more.set()
        if valid and self._client is not None:
            await send_empty(self._client, valid)

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """See the port. What is published while NATS is away is lost, on purpose."""
        client = self._client
        if client is not None and client.is_connected:
            for topic, payload in messages:
                await client.publish(topic.replace("/", "."), payload)

    async def close(self) -> None:
        """Give back what waits, flush acknowledgements, disconnect."""
        client, self._client = self._client, None
        if self._puller is not None:
            self._puller.cancel()
            await asyncio.gather(self._puller, return_exceptions=True)
            self._puller = None
        if client is not None:
            if client.is_connected:
                for arrival in self._waiting:
                    if arrival.token[0] == self._generation:
                        await client.publish(arrival.token[1].decode(), b"-NAK")
                with contextlib.suppress(nats.errors.Error):
                    await client.flush(timeout=5)
            await client.close()
        self._generation += 1
        self._waiting.clear()
        self._unacked = self._requested = 0

    async def _connect(self) -> Client:
        settings = self._settings
        user, password = settings.credentials()
        options: dict[str, Any] = {"user": user, "password": password} if user else {}
        if settings.broker_address().startswith("tls://"):
            options["tls"] = tls_context(settings)
        return await nats.connect(
            settings.broker_address(),
            name=f"firstcall-ingest-{settings.instance}",
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            connect_timeout=5,
            allow_reconnect=True,
            ping_interval=20,
            max_outstanding_pings=2,
            error_cb=_log_error,
            disconnected_cb=self._disconnected,
            reconnected_cb=self._reconnected,
            **options,
        )

    async def _disconnected(self) -> None:
        """Deliveries of this connection are void: JetStream sends them again, those in hand too."""
        self._generation += 1
        self._waiting.clear()
        self._unacked = self._requested = 0
        if self._client is not None:
            log.warning("broker_lost", broker=self._settings.broker_address())

    async def _reconnected(self) -> None:
        log.info("broker_reconnected", broker=self._settings.broker_address())
        if self._client is not None:
            with contextlib.suppress(nats.errors.Error, asyncio.TimeoutError):
                await self._prepare(self._client.jetstream())  # a broker that came back empty
        self._more.set()

    async def _prepare(self, stream: JetStreamContext) -> None:
        settings = self._settings
        wanted = api.StreamConfig(
            name=settings.stream,
            subjects=[UPLINK_SUBJECT],
            storage=api.StorageType.FILE,
            retention=api.RetentionPolicy.LIMITS,
            # The oldest are nearly always committed. If not, no receipt was given and a spool still holds them.
            discard=api.DiscardPolicy.OLD,
            max_bytes=settings.stream_max_bytes,
            max_age=settings.stream_max_age_s,
            num_replicas=settings.stream_replicas,
            duplicate_window=0.1,  # the least there is: the primary key finds duplicates, however late
        )
        try:
            await stream.stream_info(settings.stream)
            await stream.update_stream(wanted)
        except NotFoundError:
            await stream.add_stream(wanted)
        except APIError as error:
            log.warning("stream_not_updated", stream=settings.stream, error=str(error))
        await stream.add_consumer(
            settings.stream,
            api.ConsumerConfig(
                durable_name=durable_name(settings),
                ack_policy=api.AckPolicy.EXPLICIT,
                ack_wait=settings.ack_wait_s,
                max_ack_pending=4 * settings.max_in_flight,  # a dead predecessor's must not block us
                max_waiting=512,
            ),
        )

    def _take(self, taken: Taken) -> None:
        """Called by the parser with each buffer's messages."""
        generation, topics = self._generation, self._topics
        for subject, reply, payload in taken:
            topic = topics.get(subject)
            if topic is None:
                if len(topics) >= REMEMBERED_SUBJECTS:
                    topics.clear()
                topic = topics[subject] = subject.decode("utf-8", "replace").replace(".", "/")
            self._waiting.append(Arrival(topic, payload, (generation, reply)))
        self._unacked += len(taken)
        self._requested = max(0, self._requested - len(taken))
        self._arrived.set()
        if self._requested < PULL_MESSAGES // 2:
            self._more.set()

    async def _take_status(self, message: Msg) -> None:
        if message.reply:  # a message that the short cut left to nats-py
            self._take([(message.subject.encode(), message.reply.encode(), message.data)])
            return
        headers = message.headers or {}
        unserved = int(headers.get("Nats-Pending-Messages", self._requested))
        self._requested = max(0, self._requested - unserved)
        status = headers.get("Status")
        if status not in {"404", "408", "100"}:
            log.info("pull_ended", status=status, description=headers.get("Description"))
            self._pause_s = PAUSE_S  # asking again at once would be refused again at once
            if self._client is not None:  # the stream or the consumer may have been deleted
                with contextlib.suppress(nats.errors.Error, asyncio.TimeoutError):
                    await self._prepare(self._client.jetstream())
        self._more.set()

    async def _pull_forever(self) -> None:
        """Keep requests open for as many messages as may still be in flight, in few large pulls."""
        while True:
            self._more.clear()
            if self._requested and time.monotonic() - self._asked_at > PULL_EXPIRES_S + 5:
                self._requested = 0  # the answer was lost
            if await self._refused_lately():
                continue
            room = self._settings.max_in_flight - self._unacked - self._requested
            if (
                self.connected
                and self._requested < PULL_MESSAGES // 2
                and room >= min(PULL_MESSAGES // 4, self._spare())
            ):
                await self._pull(min(PULL_MESSAGES, room))
            await set_within(self._more, 1.0)

    async def _refused_lately(self) -> bool:
        """Wait after a refusal; True if there was one."""
        pause, self._pause_s = self._pause_s, 0.0
        if pause:
            await asyncio.sleep(pause)
        return pause > 0

    def _spare(self) -> int:
        return max(1, self._settings.max_in_flight // 4)

    async def _pull(self, messages: int) -> None:
        request = {"batch": messages, "expires": int(PULL_EXPIRES_S * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._settings.stream}.{durable_name(self._settings)}"
        assert self._client is not None
        try:
            await self._client.publish(subject, json.dumps(request).encode(), reply=self._inbox)
        except nats.errors.Error as error:
            log.warning("pull_failed", error=str(error))
            return
        self._requested += messages
        self._asked_at = time.monotonic()


def durable_name(settings: IngestSettings) -> str:
    """The durable consumer's name: a set of partitions has its own, since each consumer sees every message."""
    if settings.all_partitions:
        return settings.durable
    members = sum(1 << number for number in settings.partitions)
    return f"{settings.durable}-{members:x}"


async def _log_error(error: Exception) -> None:
    log.warning("broker_error", error=str(error) or type(error).__name__)
