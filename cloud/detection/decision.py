"""When a call is worth making.

With probability p of being right, a call is worth  p * saved - (1 - p) * cost  of a false one, so it pays
above  p* = cost / (saved + cost)  (Elkan 2001): ``cloud.registry.costs``, by family.  Which of the calls that pay
are made under a day's capacity is the desk's to say, whose queue holds reported faults too.

Beside costs a budget of false calls may be set, a device-month.  It is held online, without looking
ahead: devices earn allowance as they are watched, each ticket spends its expected falsehood 1 - p, and
when the outcome is known the expectation is replaced by what it was.  Where a fault shows on a device within
``RECONSIDERED_S`` of a visit that found none, the visit was wrong and not the call: it is given back.  A ticket
that the allowance does not cover is not raised, and none may spend more than ``SHARE`` of it: while little is
left only the surest calls are made, and the account settles where the calls of a probability above some p* use up
what is earned.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

MONTH_S = 30 * 86400.0
RECONSIDERED_S = 30 * 86400.0  # [K]
SHARE = 0.1  # of what is left, which one ticket may spend at most [K]


@dataclass
class FalseCallBudget:
    """``rate`` false calls a device-month at most, on the watched exposure so far."""

    rate: float
    earned: float = 1.0  # the first call is everybody's
    spent: float = 0.0
    refused: int = 0
    open: dict[tuple[str, float], float] = field(default_factory=dict)
    refuted: dict[str, float] = field(default_factory=dict)  # when the ticket was raised that came to nothing

    def watched(self, device_seconds: float) -> None:
        """Devices were watched, for so long in all."""
        self.earned += self.rate * device_seconds / MONTH_S

    def take(self, device: str, at: float, probability: float) -> bool:
        """Whether a ticket may be raised; if so, its expected falsehood is spent."""
        falsehood = 1.0 - probability
        if falsehood > SHARE * (self.earned - self.spent):
            self.refused += 1
            return False
        self.spent += falsehood
        self.open[device, at] = falsehood
        return True

    def known(self, device: str, at: float, right: bool) -> None:
        """The outcome of the ticket of ``device`` raised at ``at`` or, failing that, of its latest."""
        if right and 0.0 < at - self.refuted.pop(device, -math.inf) <= RECONSIDERED_S:
            self.spent -= 1.0
        key = (device, at)
        if key not in self.open:
            mine = [k for k in self.open if k[0] == device and k[1] <= at]
            if not mine:
                return
            key = max(mine)
        self.spent += (0.0 if right else 1.0) - self.open.pop(key)
        if not right:
            self.refuted[device] = key[1]


def checked_at_random(seed: int, device: str, day: int, share: float) -> bool:
    """Whether a device is looked at on a day though nothing speaks against it: the sample that shows what
    the detector does not see.  A hash decides, so that a replay chooses the same; a label that comes of it
    carries ``asked_with=share`` and is weighed by its inverse."""
    digest = hashlib.blake2b(f"{seed}/{device}/{day}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64
