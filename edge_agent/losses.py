"""The gaps that a bound made, told upstream: from the spool's note of what was dropped to Loss messages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge_agent.draft import Draft, Rank
from edge_agent.spool.ledgers import Dropped
from edge_agent.spool.store import Spooled
from protocols.messages import Loss, Window
from protocols.topics import Kind


def tellable(dropped: Iterable[Dropped], untold: Sequence[Spooled]) -> list[Dropped]:
    """What may be told now: one Loss a device and kind at a time, so that their number is bounded.

    untold: the Loss messages that still wait for their receipt. What cannot be told now goes on adding up.
    """
    waiting = {(message.device, Loss.decode(message.payload).kind) for message in untold}
    return [one for one in dropped if (one.device, one.kind) not in waiting]


def loss_draft(dropped: Dropped, at_ms: int) -> Draft:
    """The Loss message for what was dropped of one device and kind."""

    def compose(boot: int, seq: int) -> bytes:
        return Loss(
            at=at_ms,
            boot=boot,
            seq=seq,
            kind=dropped.kind,
            messages=dropped.messages,
            bytes=dropped.bytes,
            window=Window(started_at=dropped.first_ms, ended_at=dropped.last_ms),
        ).encode()

    return Draft(dropped.device, Kind.LOSS, Rank.EVENT, at_ms, compose)
