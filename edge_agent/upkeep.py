"""What is done every few seconds: the bound of age, the loss ledger, the intake rate, and the heartbeat."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from edge_agent.counters import Counters
from edge_agent.cover import IntakeRate, hours_of_cover
from edge_agent.dispatch import Dispatch
from edge_agent.losses import loss_draft, tellable
from edge_agent.ports import Clock
from edge_agent.settings import EdgeSettings
from edge_agent.spool import Spool
from edge_agent.uplink import Uplink
from protocols.messages import Heartbeat, SpoolDepth
from protocols.topics import NO_DEVICE, Kind

INTERVAL_S = 5.0
RATE_FACT = "bytes_per_hour"


class Upkeep:
    """The housekeeping of one agent on one spool."""

    def __init__(
        self,
        *,
        settings: EdgeSettings,
        spool: Spool,
        uplink: Uplink,
        dispatch: Dispatch,
        counters: Counters,
        clock: Clock,
        synchronised: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._uplink = uplink
        self._dispatch = dispatch
        self._counters = counters
        self._clock = clock
        self._synchronised = synchronised
        known = spool.ledgers.fact(RATE_FACT)
        self._rate = IntakeRate(float(known) if known is not None else None)
        self._cpu = (time.monotonic(), time.process_time())

    async def run(self) -> None:
        """Repeat until cancelled. Waits are real time: the broker and the cloud live in it, whatever the clock says."""
        interval = min(INTERVAL_S, self._settings.uplink.heartbeat_s)
        next_heartbeat = time.monotonic()
        while True:
            self.round()
            if time.monotonic() >= next_heartbeat and self._uplink.connected:
                await self._uplink.heartbeat(self.heartbeat())
                next_heartbeat = time.monotonic() + self._settings.uplink.heartbeat_s
                self._keep_rate()
            await asyncio.sleep(interval)

    def round(self) -> None:
        """One round of housekeeping."""
        now = self._clock.now()
        self._rate.observe(now, self._spool.accepted_bytes)
        if self._synchronised():  # a clock that was never set must not make everything old
            self._spool.expire(round((now - self._settings.spool.max_age_h * 3600) * 1000))
        if self._uplink.connected:  # else the notes add up, and one message will tell of all
            self.tell_losses(round(now * 1000))

    def tell_losses(self, now_ms: int) -> None:
        """Spool a Loss message for what was dropped, each note at most once."""
        spool = self._spool
        spool.note_refused()
        dropped = [one for one in spool.ledgers.dropped() if one.device != NO_DEVICE]
        if not dropped:
            return
        for one in tellable(dropped, spool.find(Kind.LOSS)):
            with spool.transaction():
                spool.ledgers.forget_dropped(one)
                spool.put([loss_draft(one, now_ms)], now_ms)
        self._uplink.wake()

    def heartbeat(self) -> Heartbeat:
        """The gateway's health now."""
        spool, bound = self._spool, self._spool.bound_bytes
        rate = self._rate.bytes_per_hour
        return Heartbeat(
            at=round(self._clock.now() * 1000),
            boot=spool.boot,
            spool=SpoolDepth(
                messages=spool.depth.messages,
                bytes=spool.depth.bytes,
                bound_bytes=bound,
                oldest_at=spool.oldest_ms(),
                hours_of_cover=hours_of_cover(bound, spool.depth.bytes, rate),
                dropped_telemetry=spool.dropped_telemetry,
                dropped_faults=spool.dropped_faults,
                set_aside=spool.set_aside,
            ),
            clock_synchronised=self._synchronised(),
            cpu_percent=self._cpu_percent(),
            rss_bytes=resident_bytes(),
            in_flight=self._dispatch.in_flight,
        )

    def _keep_rate(self) -> None:
        if self._rate.bytes_per_hour is not None:
            with self._spool.transaction():
                self._spool.ledgers.remember(RATE_FACT, self._rate.bytes_per_hour)

    def _cpu_percent(self) -> float:
        """Of one core, of this process, since the last heartbeat."""
        before, self._cpu = self._cpu, (time.monotonic(), time.process_time())
        elapsed = self._cpu[0] - before[0]
        return round(100 * (self._cpu[1] - before[1]) / elapsed, 2) if elapsed > 0 else 0.0


def resident_bytes() -> int | None:
    """Resident memory of this process; None where it cannot be had cheaply."""
    if sys.platform != "linux":
        return None
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
