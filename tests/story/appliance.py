"""The washer of the story: simulated physics behind the driver port, and a display that the test writes on."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

from device_sim.failure.life import Life, Span
from device_sim.failure.modes import Episode
from device_sim.fleet.population import Appliance, World, with_life
from device_sim.physics.catalogue import FAMILIES
from device_sim.transport.driver import SimulatedDriver
from edge_agent.agent import Agent
from edge_agent.ports import Description, Reading, SelfTestOutcome
from edge_agent.settings import EdgeSettings

SEED = 6
DAY = 86_400.0
PHYSICS_AT = 1_760_000_000.0
"""The physics' clock at the start: always the same, so that the machine has run lately whatever the day of the test."""

CODE = "5E"  # no drain; the dictionary confirms it by readings: draining takes more than 80 s


def clogged_washer() -> Appliance:
    """A washer whose drain pump is almost blocked: its last run took 109 s to drain, where 35 are usual."""
    span = Span(PHYSICS_AT - 40 * DAY, PHYSICS_AT + DAY)
    world = World(SEED, span, appliances=1, mix={"washer": 1.0}, failure_scale=0.0, wifi_a_year=0.0, power_a_year=0.0)
    [washer] = world.populate()
    mode = next(mode for mode in FAMILIES["washer"].modes if mode.kind == "drain_pump")
    growth = 40 * DAY
    onset = PHYSICS_AT - 0.99 * growth
    return with_life(washer, Life((Episode(mode, onset, onset, None, None, None, growth, ()),), ()))


class DisplayedDriver:
    """The simulated appliance at the present time, showing the codes that are in `display`."""

    def __init__(self, appliance: Appliance) -> None:
        self.display: set[str] = set()
        self._began = time.time()
        self._simulated = SimulatedDriver(SEED, appliance, period_s=1.0)

    async def open(self) -> Description:
        return await self._simulated.open()

    async def read(self, at: float) -> Reading | None:
        reading = await self._simulated.read(PHYSICS_AT + at - self._began)
        return None if reading is None else replace(reading, at=at, fault_codes=frozenset(self.display))

    async def self_test(self) -> SelfTestOutcome:
        return await self._simulated.self_test()

    async def close(self) -> None:
        await self._simulated.close()


def gateway(appliance: Appliance, driver: DisplayedDriver, broker: str, folder: Path) -> Agent:
    """The gateway in that home: the real agent, which sends a frame every two seconds."""
    settings = EdgeSettings.model_validate(
        {
            "gateway": appliance.gateway,
            "broker": {"url": broker},
            "spool": {"path": str(folder / "spool.db")},
            "devices": [
                {
                    "id": appliance.device,
                    "driver": "in-process",
                    "sampling": {"frame_seconds": 2},
                    "faults": {"freeze_before_s": 5, "freeze_after_s": 2},
                }
            ],
        }
    )
    return Agent(settings, drivers={appliance.device: driver})


def write_device_file(appliance: Appliance, folder: Path) -> Path:
    """What the factory tells the registry: this device is in this product. Nobody has it yet."""
    path = folder / "devices.story.json"
    row = {
        "device": appliance.device,
        "gateway": appliance.gateway,
        "product": f"(01){appliance.model.gtin}(21){appliance.serial}",
        "lot": appliance.lot,
        "fitted_since": "2025-01-01T00:00:00Z",
    }
    path.write_text(json.dumps([row]), encoding="utf-8")
    return path
