"""Clocks for simulated time: accelerated against the real one, or moved on as fast as everybody can follow."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from itertools import count


class AcceleratedClock:
    """Event time that starts at `start` (s since the epoch) and runs `speed` times as fast as real time.

    It stands still until `release()`, so that a fleet can be set up before its time begins.
    """

    def __init__(self, start: float, speed: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        if speed <= 0.0:
            raise ValueError(f"speed {speed}: expected more than 0 (1 is real time, 1440 a day a minute)")
        self.start = start
        self.speed = speed
        self._monotonic = monotonic
        self._begun: float | None = None
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let time run; later calls change nothing."""
        if self._begun is None:
            self._begun = self._monotonic()
            self._released.set()

    def now(self) -> float:
        """Event time, s."""
        if self._begun is None:
            return self.start
        return self.start + (self._monotonic() - self._begun) * self.speed

    async def sleep_until(self, at: float) -> None:
        """Return when event time is at least `at`."""
        await self._released.wait()
        while (left := at - self.now()) > 0.0:  # noqa: ASYNC110 - time passes by itself, nobody sets an event
            await asyncio.sleep(left / self.speed)


class LockstepClock:
    """Event time that jumps to the next wake-up when all `sleepers` wait, and waits itself while `busy()`.

    So recorded data plays as fast as the receipts come, and no device runs ahead of another. A sleeper that
    will not wait again says `leave()`. speed: at most so many seconds of event time a real second, 0: no bound.
    """

    def __init__(
        self, start: float, sleepers: int, busy: Callable[[], bool], *, poll_s: float = 0.005, speed: float = 0.0
    ) -> None:
        self._now = self._start = start
        self._speed = speed
        self._begun: float | None = None
        self._sleepers = sleepers
        self._busy = busy
        self._poll_s = poll_s
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()
        self._moving: asyncio.Task[None] | None = None

    def now(self) -> float:
        """Event time, s."""
        return self._now

    async def sleep_until(self, at: float) -> None:
        """Return when event time is at least `at`; at once if it is already."""
        if at <= self._now:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (at, next(self._order), woken)
        heapq.heappush(self._waiting, entry)
        self._move_if_all_wait()
        try:
            await woken
        except asyncio.CancelledError:
            if entry in self._waiting:  # it no longer waits, so it must not count as waiting
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
            raise

    def leave(self) -> None:
        """One sleeper fewer."""
        self._sleepers -= 1
        self._move_if_all_wait()

    def _move_if_all_wait(self) -> None:
        idle = self._moving is None or self._moving.done()
        if self._waiting and len(self._waiting) >= self._sleepers and idle:
            self._moving = asyncio.get_running_loop().create_task(self._move(), name="replay clock")

    async def _keep_pace(self, at: float) -> None:
        if self._begun is None:
            self._begun = time.monotonic() - (self._now - self._start) / self._speed
        await asyncio.sleep(max(0.0, self._begun + (at - self._start) / self._speed - time.monotonic()))

    async def _move(self) -> None:
        await asyncio.sleep(0)
        while self._busy():  # noqa: ASYNC110 - spools empty without telling us
            await asyncio.sleep(self._poll_s)
        if self._speed and self._waiting:
            await self._keep_pace(self._waiting[0][0])
        if not self._waiting or len(self._waiting) < self._sleepers:
            return
        self._now = max(self._now, self._waiting[0][0])
        while self._waiting and self._waiting[0][0] <= self._now:
            woken = heapq.heappop(self._waiting)[2]
            if not woken.done():
                woken.set_result(None)
