"""What ingest counts: plain numbers, shown in program_health."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counters:
    """Since the start of the process, unless said otherwise. Nothing is dropped without being counted here."""

    messages_received: int = 0
    bytes_received: int = 0
    messages_committed: int = 0
    batches_committed: int = 0
    frames_stored: int = 0
    points_stored: int = 0
    fault_reports_stored: int = 0
    births: int = 0
    deaths: int = 0
    heartbeats: int = 0
    losses_reported: int = 0
    replies: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    other_partitions: int = 0
    receipts_sent: int = 0
    commands_sent: int = 0
    commands_unreadable: int = 0
    """Their instruction is none that the contract knows: whoever wrote the row is at fault."""
    retries: int = 0
    in_flight: int = 0
    """Now: received and not yet committed."""
    last_commit_at: float | None = None
    """Unix seconds."""
    last_lag_s: float | None = None
    """Receive to commit of the newest batch's oldest message, seconds."""
    last_error: str | None = None
    """Why the newest retry was needed; None once a commit succeeds."""

    def snapshot(self) -> dict[str, int | float | str | None]:
        """The counters as they stand, by name."""
        return asdict(self)
