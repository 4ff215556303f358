"""When a call is worth making.

With probability p of being right, a call is worth  p * saved - (1 - p) * cost  of a false one, so it pays
above  p* = cost / (saved + cost)  (Elkan 2001): ``cloud.registry.costs``, by family.  Which of the calls that pay
are made under a day's capacity is the desk's to say, whose queue holds reported faults too.

Beside costs a budget of false calls may be set, a device-month.  It is held online, without looking
ahead: devices earn allowance as they are watched, each ticket is charged, and when the outcome is known the
charge is replaced by what it was.  Where a fault shows on a device within ``RECONSIDERED_S`` of a visit that
found none, the visit was wrong and not the call: it is given back.

A ticket's expected falsehood is 1 - p by what was stated.  None may exceed ``SHARE`` of what is left: while
little is left only the surest calls are made, and the account settles where the calls of a probability above some
p* use up what is earned.  Who states may be mistaken, and then in many calls at once, days before the first visit
tells; so a ticket is charged what calls of the same *source* have shown to be false, if that is more (Beta-binomial
posterior mean), and is not raised when what is left does not cover it, nor when more calls of its source are
without an outcome than its right ones of late: a source that is new calls a few, and more when those were right.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

MONTH_S = 30 * 86400.0
RECONSIDERED_S = 30 * 86400.0  # [K]
AWAITED_S = 30 * 86400.0  # an outcome that has not come by then will not, and what was charged stays charged [K]
SHARE = 0.1  # of what is left, which one ticket may spend at most [K]
UNPROVEN = (1.0, 2.0)  # false and right calls that a source begins with [K]
FORGOTTEN = 0.98  # of what a source has shown, at each further outcome [K]


@dataclass(slots=True)
class Ticket:
    """What was charged for a ticket, and whose it was."""

    charged: float
    source: str


@dataclass
class FalseCallBudget:
    """``rate`` false calls a device-month at most, on the watched exposure so far."""

    rate: float
    earned: float = 1.0  # the first call is everybody's
    spent: float = 0.0
    refused: int = 0
    open: dict[tuple[str, float], Ticket] = field(default_factory=dict)
    shown: dict[str, tuple[float, float]] = field(default_factory=dict)  # false and right calls of each source
    refuted: dict[str, float] = field(default_factory=dict)  # when the ticket was raised that came to nothing

    def watched(self, device_seconds: float) -> None:
        """Devices were watched, for so long in all."""
        self.earned += self.rate * device_seconds / MONTH_S

    def falsehood(self, source: str) -> float:
        """Share of the calls of a source that are false, by what it has shown."""
        false, right = self.shown.get(source, UNPROVEN)
        return false / (false + right)

    def _awaits_too_many(self, source: str) -> bool:
        _, right = self.shown.get(source, UNPROVEN)
        return sum(ticket.source == source for ticket in self.open.values()) > right

    def take(self, device: str, at: float, probability: float, source: str) -> bool:
        """Whether a ticket may be raised that a ``source`` asks for with this probability; if so, it is charged."""
        while self.open and at - next(iter(self.open))[1] > AWAITED_S:
            del self.open[next(iter(self.open))]
        falsehood, left = 1.0 - probability, self.earned - self.spent
        charge = max(falsehood, self.falsehood(source))
        if falsehood > SHARE * left or charge > left or self._awaits_too_many(source):
            self.refused += 1
            return False
        self.spent += charge
        self.open[device, at] = Ticket(charge, source)
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
        ticket = self.open.pop(key)
        self.spent += (0.0 if right else 1.0) - ticket.charged
        were_false, were_right = self.shown.get(ticket.source, UNPROVEN)
        self.shown[ticket.source] = (FORGOTTEN * were_false + (not right), FORGOTTEN * were_right + right)
        if not right:
            self.refuted[device] = key[1]


def checked_at_random(seed: int, device: str, day: int, share: float) -> bool:
    """Whether a device is looked at on a day though nothing speaks against it: the sample that shows what
    the detector does not see.  A hash decides, so that a replay chooses the same; a label that comes of it
    carries ``asked_with=share`` and is weighed by its inverse."""
    digest = hashlib.blake2b(f"{seed}/{device}/{day}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64
