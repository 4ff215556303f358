"""The port through which messages leave, and what a provider may answer.

A provider takes a message for delivery or says why not; it is given the same key for the same message however
often, and is expected to deliver one key once. Nothing else in outreach knows how a channel works.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Protocol

from cloud.desk.outreach.ladder import Channel


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message for one person on one channel. `to` is personal: it is in no log and no repr."""

    key: str
    channel: Channel
    to: str = field(repr=False)
    locale: str
    subject: str
    body: str = field(repr=False)  # with its codes and links
    stop_url: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has it. `reference` is its own name for it."""

    reference: str = ""


class Refused(Exception):
    """This message will never be taken: the address is wrong, the content is refused. The next channel is tried."""


class Unavailable(Exception):
    """Not now: the provider is down, busy, or misconfigured. The same message is tried again later."""

    def __init__(self, text: str, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class Provider(Protocol):
    """One way to deliver messages of one channel."""

    @property
    def channel(self) -> Channel:
        """The channel that it serves."""
        ...

    async def send(self, envelope: Envelope) -> Accepted:
        """Hand a message over.

        Raises:
            Refused, Unavailable: see there. Anything else is a mistake of ours, and is treated as Unavailable.
        """
        ...


@dataclass(slots=True)
class BackOff:
    """How a failing provider is spared: nothing is sent until `open_at`; then one message tries first.

    Takes the time, never sleeps. Jitter of a quarter, so that several senders do not return together.
    """

    first: timedelta
    most: timedelta
    random: Random
    failures: int = 0
    open_at: datetime | None = None

    def failed(self, now: datetime, retry_after_s: float | None = None) -> datetime:
        """Note a failure; returns when to try again."""
        self.failures += 1
        pause = min(self.most, self.first * 2 ** min(self.failures - 1, 20))
        if retry_after_s is not None:
            pause = min(max(pause, timedelta(seconds=retry_after_s)), self.most)
        self.open_at = now + pause * self.random.uniform(1.0, 1.25)
        return self.open_at

    def succeeded(self) -> None:
        """Note a success: all is well again."""
        self.failures, self.open_at = 0, None

    def blocked_until(self, now: datetime) -> datetime | None:
        """When the provider may be tried again; None: now. A first try after a pause blocks the others meanwhile."""
        if self.open_at is None:
            return None
        if now < self.open_at:
            return self.open_at
        self.open_at = now + self.first  # the probe has this long to say how it is
        return None
