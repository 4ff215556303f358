"""What the agent needs from the outside: a driver for each appliance, and a clock.

A driver is found by name (entry-point group `firstcall.drivers`, or registered in-process), so that a Modbus
driver is one more class and nothing else changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from protocols.messages import ChannelSet


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample of all channels of a device, and the fault codes that it shows at that instant.

    at: event time in s since the epoch (UTC). values: one float a channel, in the order of the channel set;
    NaN where there is no reading.
    """

    at: float
    values: tuple[float, ...]
    fault_codes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Description:
    """What a driver says of its device once it is open."""

    channel_set: ChannelSet
    firmware: str = ""


@dataclass(frozen=True, slots=True)
class SelfTestOutcome:
    """What a device answers to a self-test: whether it passed, and named results."""

    passed: bool
    detail: str = ""
    results: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Driver(Protocol):
    """One appliance as the agent sees it. A constructor does nothing; `open` connects.

    The agent calls `read` once a sampling period. A driver that plays a recording returns None at its end.
    Errors are raised as OSError or DriverError; the agent counts them, backs off and opens the driver again.
    """

    async def open(self) -> Description:
        """Connect and describe the device."""
        ...

    async def read(self, at: float) -> Reading | None:
        """The device's channels now; `at` is the clock's time, which a live driver stamps on its reading.

        None says that there will be no more.
        """
        ...

    async def self_test(self) -> SelfTestOutcome:
        """Run the device's self-test."""
        ...

    async def close(self) -> None:
        """Let go; harmless when called twice or before `open`."""
        ...


@runtime_checkable
class GentleDriver(Protocol):
    """What a driver may offer besides: to make its appliance take it easy."""

    async def run_gently(self, until: float | None) -> None:
        """Run gently until event time `until` (s), or normally again if None; harmless when it does so already.

        The agent ends it in time, and asks anew after `open`. ValueError says why this device cannot run gently, in
        words for a person; running normally is never refused.
        """
        ...


class DriverError(Exception):
    """A device did not answer as it should; the text says which device, what was asked, what came."""


@runtime_checkable
class Clock(Protocol):
    """Event time and waiting, so that a simulated year takes minutes."""

    def now(self) -> float:
        """Event time in s since the epoch (UTC)."""
        ...

    async def sleep_until(self, at: float) -> None:
        """Return when `now()` is at least `at`."""
        ...
