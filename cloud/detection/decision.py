"""When a call is worth making.

With probability p of being right, a call is worth  p * saved - (1 - p) * cost  of a false one, so it pays
above  p* = cost / (saved + cost)  (Elkan 2001).  Under a capacity, the calls of greatest worth come first.

Instead of costs a budget of false calls may be set, a device-month.  It is held online, without looking
ahead: devices earn allowance as they are watched, each ticket spends its expected falsehood 1 - p, and
when the outcome is known the expectation is replaced by what it was.  A ticket that the allowance does not
cover is not raised, and none may spend more than ``SHARE`` of it: while little is left only the surest calls
are made, and the account settles where the calls of a probability above some p* use up what is earned.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files

MONTH_S = 30 * 86400.0
SHARE = 0.1  # of what is left, which one ticket may spend at most [K]


@dataclass(frozen=True, slots=True)
class Costs:
    """See ``costs.toml`` for what each is."""

    saved_by_call: float = 120.0
    false_call: float = 60.0
    visits_a_day: float = 0.0

    def worth(self, probability: float) -> float:
        """Expected worth of a call."""
        return probability * self.saved_by_call - (1.0 - probability) * self.false_call

    def least_probability(self) -> float:
        """The probability at which a call begins to pay."""
        return self.false_call / (self.saved_by_call + self.false_call)


def costs_by_family(text: str | None = None) -> dict[str, Costs]:
    """Costs by family from TOML ``text`` (by default the file that ships), each on top of ``default``."""
    table = tomllib.loads(text if text is not None else (files("cloud.detection") / "costs.toml").read_text())
    default = table.get("default", {})
    known = set(Costs.__dataclass_fields__)
    for family, entries in table.items():
        if unknown := set(entries) - known:
            raise ValueError(f"costs of {family!r}: unknown {sorted(unknown)}; expected some of {sorted(known)}")
    return {family: Costs(**(default | entries)) for family, entries in table.items()}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A call that could be made today."""

    device: str
    probability: float
    costs: Costs


def worth_calling(candidates: Sequence[Candidate], capacity: int | None = None) -> list[Candidate]:
    """Calls that pay, of greatest worth first, at most ``capacity``; ties by device."""
    paying = [c for c in candidates if c.costs.worth(c.probability) > 0]
    ranked = sorted(paying, key=lambda c: (-c.costs.worth(c.probability), c.device))
    return ranked if capacity is None else ranked[: max(capacity, 0)]


@dataclass
class FalseCallBudget:
    """``rate`` false calls a device-month at most, on the watched exposure so far."""

    rate: float
    earned: float = 1.0  # the first call is everybody's
    spent: float = 0.0
    refused: int = 0
    open: dict[tuple[str, float], float] = field(default_factory=dict)

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
        key = (device, at)
        if key not in self.open:
            mine = [k for k in self.open if k[0] == device and k[1] <= at]
            if not mine:
                return
            key = max(mine)
        self.spent += (0.0 if right else 1.0) - self.open.pop(key)


def checked_at_random(seed: int, device: str, day: int, share: float) -> bool:
    """Whether a device is looked at on a day though nothing speaks against it: the sample that shows what
    the detector does not see.  A hash decides, so that a replay chooses the same; a label that comes of it
    carries ``asked_with=share`` and is weighed by its inverse."""
    digest = hashlib.blake2b(f"{seed}/{device}/{day}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64
