"""A simulated appliance behind the agent's driver port."""

from __future__ import annotations

import math

import numpy as np

from device_sim.fleet.observation import ContinuousView, CyclicTrace
from device_sim.fleet.population import Appliance
from device_sim.physics.catalogue import CONTINUOUS, FAMILIES
from device_sim.randomness import Floats
from edge_agent.ports import Description, DriverError, Reading, SelfTestOutcome
from protocols.messages import ChannelSet

BLOCK = 256
"""Samples that the physics computes at once: one by one they would cost a hundred times as much."""

KEEPS_COLD = frozenset({"fridge"})
"""Families that cannot take it easy."""

FIRMWARE, REVISED_FIRMWARE = "1.4.2", "1.5.0"


class SimulatedDriver:
    """One appliance of a simulated world.

    seed: of the world. period_s: the sampling period, whose grid starts at the epoch. ends_at: event time in s
    from which there will be no more readings. A silent device (Wi-Fi, power, unbound) gives NaN and no codes.
    """

    def __init__(self, seed: int, appliance: Appliance, period_s: float, ends_at: float = math.inf) -> None:
        self._seed = seed
        self._appliance = appliance
        self._period_s = period_s
        self._ends_at = ends_at
        self._view: ContinuousView | CyclicTrace | None = None
        self._first = 0
        self._block: list[list[float]] = []
        self._revised = False
        self._gentle_until: float | None = None

    async def open(self) -> Description:
        """Describe the device."""
        channels = FAMILIES[self._appliance.model.family].channels
        channel_set = ChannelSet.of(channels, round(self._period_s * 1000))
        return Description(channel_set, REVISED_FIRMWARE if self._revised else FIRMWARE)

    async def read(self, at: float) -> Reading | None:
        """The readings of the sampling instant that `at` (event time, s) falls in.

        Raises:
            DriverError: the device restarts because a revised firmware came.
        """
        if at >= self._ends_at:
            return None
        if not self._revised and at >= self._appliance.revised_at:
            self._revised = True
            raise DriverError(f"device {self._appliance.device} restarts with firmware {REVISED_FIRMWARE}")
        place = math.floor(at / self._period_s + 1e-6)
        if not self._first <= place < self._first + len(self._block):
            self._compute(place)
        silent = self._appliance.silent_at(at)
        codes = frozenset[str]() if silent else self._appliance.life.active_codes(at)
        return Reading(at, tuple(self._block[place - self._first]), codes)

    async def self_test(self) -> SelfTestOutcome:
        """Pass, unless a fault has grown past half its way; what the machine itself can tell, no more."""
        at = self._first * self._period_s
        codes = sorted(self._appliance.life.active_codes(at))
        grown = any(episode.severity_at(at) > 0.5 for episode in self._appliance.life.episodes)
        detail = f"codes shown: {', '.join(codes)}" if codes else "out of range" if grown else "all within range"
        gentle = {} if self._gentle_until is None else {"gentle_until": self._gentle_until}
        return SelfTestOutcome(passed=not codes and not grown, detail=detail, results={"codes": codes, **gentle})

    async def run_gently(self, until: float | None) -> None:
        """Note it as the appliance's state. The world goes on as planned: no fault grows slower, no reading differs.

        Raises:
            ValueError: a fridge must keep cold.
        """
        family = self._appliance.model.family
        if until is not None and family in KEEPS_COLD:
            raise ValueError(f"unsupported: a {family} cannot run gently, it must keep cold")
        self._gentle_until = until

    async def close(self) -> None:
        """Nothing to let go."""

    def _compute(self, place: int) -> None:
        if self._view is None:
            continuous = self._appliance.model.family in CONTINUOUS
            self._view = (
                ContinuousView(self._seed, (self._appliance,), averaged=False)
                if continuous
                else CyclicTrace(self._seed, self._appliance)
            )
        at: Floats = (np.arange(place, place + BLOCK, dtype=np.float64) * self._period_s).reshape(-1, 1)
        self._first = place
        self._block = self._view.readings(at)[:, 0].tolist()
