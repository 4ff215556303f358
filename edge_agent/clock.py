"""The system's clock as the agent's `Clock`, and whether the kernel holds it to be synchronised."""

from __future__ import annotations

import asyncio
import ctypes
import sys
import time

TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronised to a reliable server."""


class SystemClock:
    """Event time from the wall clock; waiting on the monotonic one."""

    def now(self) -> float:
        """Seconds since the epoch (UTC)."""
        return time.time()

    async def sleep_until(self, at: float) -> None:
        """Wait as long as `at` is away now: a wall clock set back meanwhile does not prolong the wait."""
        await asyncio.sleep(max(0.0, at - time.time()))


def kernel_clock_synchronised() -> bool:
    """What the kernel says of its clock (Linux: adjtimex(2)); True where it cannot be asked."""
    if sys.platform != "linux":
        return True
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        # struct timex with modes = 0 only reads; 512 bytes is more than any architecture's
        state: int = libc.adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return True
    return state not in (TIME_ERROR, -1)
