"""What ingest asks of a broker: deliveries in, acknowledgements and downward messages out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol


class Arrival(NamedTuple):
    """One message as it came. `token` is the subscriber's own: it acknowledges by it."""

    topic: str
    payload: bytes
    token: Any = None


class BrokerLost(ConnectionError):
    """The broker cannot be reached, and the subscriber was told to give up."""


class Publisher(Protocol):
    """Sends messages down to gateways."""

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Hand (topic, payload) pairs to the broker, at most once: the other side asks again if one is lost."""
        ...


class Subscriber(Publisher, Protocol):
    """Receives everything under fc/1/up, each message at least once until it is acknowledged.

    The contract, kept by every implementation (tests/ingest/test_subscriber_contract.py):

    - What is neither acknowledged nor released is kept by the broker, and comes again after a restart of either
      side. Messages may come twice, and out of order after a redelivery.
    - At most `max_in_flight` messages are out and unacknowledged: whoever does not acknowledge is not sent more.
    - A lost connection is restored with back-off, quietly; `connected` says how it stands. Tokens of before may
      be acknowledged afterwards: that is harmless and has no effect.
    - `open` and `close` bracket use; reusable but not re-entrant.
    """

    @property
    def connected(self) -> bool:
        """Whether the broker answers now."""
        ...

    async def open(self) -> None:
        """Connect, make the session or the stream, and begin to receive; waits for a broker that is away."""
        ...

    async def receive(self, at_most: int, timeout_s: float) -> list[Arrival]:
        """What has arrived, at once if anything has; else the first to arrive, or nothing after `timeout_s`."""
        ...

    async def ack(self, arrivals: Sequence[Arrival]) -> None:
        """Tell the broker that these are safe."""
        ...

    async def close(self) -> None:
        """Give back what was not acknowledged and disconnect; the session stays at the broker."""
        ...
