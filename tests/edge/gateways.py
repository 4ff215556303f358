"""Agents and drivers for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import nan
from pathlib import Path
from typing import Any

from edge_agent.ports import Description, DriverError, Reading, SelfTestOutcome
from edge_agent.settings import EdgeSettings
from protocols.messages import Channel, ChannelSet

CHANNELS = ChannelSet.of(
    (Channel(name="temperature", unit="°C", resolution=0.1), Channel(name="power", unit="W")), period_ms=20
)
FAST = {"receipt_timeout_s": 0.5, "receipt_timeout_max_s": 1, "reconnect_s": 0.05, "reconnect_max_s": 0.2}


def settings(port: int, folder: Path | None = None, /, gateway: str = "gw-1", **sections: Any) -> EdgeSettings:
    """Settings for a broker on this machine, with short times; sections are laid over them."""
    base: dict[str, Any] = {
        "gateway": gateway,
        "broker": {"url": f"mqtt://127.0.0.1:{port}"},
        "uplink": FAST,
        "spool": {"path": str(folder / "spool.db") if folder else ":memory:", "synchronous": "normal"},
    }
    for name, section in sections.items():
        base[name] = {**base[name], **section} if isinstance(base.get(name), dict) else section
    return EdgeSettings.model_validate(base)


def device(name: str = "dev-1", **changes: Any) -> dict[str, Any]:
    """A device's settings: frames of 5 samples at 20 ms."""
    sampling = {"frame_samples": 5, **changes.pop("sampling", {})}
    return {"id": name, "driver": "in-process", "sampling": sampling, **changes}


class Counting:
    """A driver whose reading number n is (n, 2n), with fault codes and failures as told."""

    def __init__(
        self,
        *,
        total: int | None = None,
        faults: Callable[[int], Sequence[str]] = lambda _n: (),
        fail_at: Sequence[int] = (),
        channel_set: ChannelSet = CHANNELS,
    ) -> None:
        self._total = total
        self._faults = faults
        self._fail_at = list(fail_at)
        self._channel_set = channel_set
        self.count = 0
        self.opened = 0
        self.tests = 0
        self.is_open = False

    async def open(self) -> Description:
        self.opened += 1
        self.is_open = True
        return Description(self._channel_set, "1.2.3")

    async def read(self, at: float) -> Reading | None:
        assert self.is_open
        if self._fail_at and self.count == self._fail_at[0]:
            self._fail_at.pop(0)
            raise DriverError("no answer to read holding registers at 40001")
        if self._total is not None and self.count >= self._total:
            return None
        self.count += 1
        return Reading(
            at,
            (float(self.count), nan if self.count % 7 == 0 else 2.0 * self.count),
            frozenset(self._faults(self.count)),
        )

    async def self_test(self) -> SelfTestOutcome:
        self.tests += 1
        return SelfTestOutcome(True, "all relays clicked", {"relays": 4})

    async def close(self) -> None:
        self.is_open = False


class SimulatedClock:
    """A clock that jumps to where it is waited for."""

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self._at = at

    def now(self) -> float:
        return self._at

    async def sleep_until(self, at: float) -> None:
        import asyncio

        self._at = max(self._at, at)
        await asyncio.sleep(0)
