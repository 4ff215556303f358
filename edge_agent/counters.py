"""What the agent has done and what it had to leave undone: plain counters, read by heartbeat, tests and reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counters:
    """Counts since the agent started. Nothing is dropped without one of these growing."""

    readings: int = 0
    missed_samples: int = 0
    driver_errors: int = 0
    frames: int = 0
    freeze_frames: int = 0
    faults: int = 0
    infinite_readings: int = 0
    clock_steps: int = 0
    connections: int = 0
    connect_failures: int = 0
    connections_lost: int = 0
    published: int = 0
    republished: int = 0
    receipts: int = 0
    freed: int = 0
    rejected: int = 0
    downlink_malformed: int = 0
    commands_done: int = 0
    commands_refused: int = 0
    commands_expired: int = 0
    commands_repeated: int = 0

    def as_dict(self) -> dict[str, int]:
        """All counters by name."""
        return asdict(self)
