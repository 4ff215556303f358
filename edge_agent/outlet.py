"""What a device loop and the commands need of the agent: a place for their messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from edge_agent.draft import Draft
from edge_agent.spool.ledgers import Ledgers


class Outlet(Protocol):
    """Takes messages, and tells the inventory."""

    def accept(self, drafts: Sequence[Draft], also: Callable[[Ledgers], None] | None = None) -> None:
        """Spool messages, and remember what `also` writes, in one transaction."""
        ...

    def announce(self) -> None:
        """The inventory has changed: spool a birth."""
        ...
