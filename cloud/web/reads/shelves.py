"""Faults on the shelf: hidden from the live list by a person, for a reason, until a time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import Field

from cloud.db.pool import Pool
from cloud.web.reads.faults import Fault
from cloud.web.reads.rows import Shape, many


class Shelf(Shape):
    """One fault on the shelf: of one device, or of all devices of a model."""

    shelf_no: int
    problem: str
    device: str | None
    model: str | None
    reason: str
    person: str
    shelved_at: datetime
    until: datetime = Field(description="Desk time at which it comes back by itself.")

    def holds(self, fault: Fault) -> bool:
        """Whether this fault is hidden by it."""
        if fault.problem != self.problem:
            return False
        return fault.device == self.device if self.device else fault.model == self.model


async def standing(pool: Pool) -> list[Shelf]:
    """What is on the shelf now, what comes back first at the head."""
    return await many(pool, Shelf, "shelves")


def holding(shelves: Iterable[Shelf], fault: Fault) -> Shelf | None:
    """What hides a fault; None when nothing does."""
    return next((shelf for shelf in shelves if shelf.holds(fault)), None)
