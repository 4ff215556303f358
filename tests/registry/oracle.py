"""The four-code join once more, as naively as can be: a list of hours, each with who and what, copied at every change.

Shares nothing with the database's way (ranges, exclusion constraints, joins): a span is a loop over hours, what was
known when is a list of whole copies, an episode of a fault is a walk over its reports.
"""

from __future__ import annotations

from dataclasses import dataclass, field

HOURS = 24
"""Hours 0 to 23 and one more that stands for all time after."""

Slot = tuple[int, str] | None
"""A row's token and its user (or product); None: nobody."""


class Refused(Exception):
    """The operation is not possible."""


@dataclass
class Timeline:
    """Who had the device in each hour, as held now, and copies of what was held before."""

    hours: list[Slot] = field(default_factory=lambda: [None] * (HOURS + 1))
    copies: list[list[Slot]] = field(default_factory=list)
    tokens: int = 0

    def remember(self) -> None:
        self.copies.append(list(self.hours))

    def put(self, who: str, since: int, until: int | None) -> None:
        self.tokens += 1
        for hour in range(since, HOURS + 1 if until is None else until):
            self.hours[hour] = (self.tokens, who)

    def bind(self, who: str, since: int, until: int | None) -> None:
        if until is not None and until <= since:
            raise Refused
        if any(self.hours[since : HOURS + 1 if until is None else until]):
            raise Refused
        self.put(who, since, until)

    def transfer(self, who: str, at: int) -> None:
        held = self.hours[at]
        if held is None or held[1] == who:
            raise Refused
        self.tokens += 1
        for hour in range(at, HOURS + 1):
            if self.hours[hour] == held:
                self.hours[hour] = (self.tokens, who)

    def revoke(self, who: str, at: int) -> None:
        held = self.hours[at]
        if held is None or held[1] != who:
            raise Refused
        for hour in range(at, HOURS + 1):
            if self.hours[hour] == held:
                self.hours[hour] = None

    def correct(self, at: int, who: str, since: int, until: int | None) -> None:
        held = self.hours[at]
        if held is None:
            raise Refused
        before = list(self.hours)
        self.hours = [None if slot == held else slot for slot in self.hours]
        try:
            self.bind(who, since, until)
        except Refused:
            self.hours = before
            raise

    def replace(self, what: str | None, since: int, until: int | None) -> None:
        """A fitting: whatever was held in the span gives way."""
        if until is not None and until <= since:
            raise Refused
        for hour in range(since, HOURS + 1 if until is None else until):
            self.hours[hour] = None
        if what is not None:
            self.put(what, since, until)


def holder(hours: list[Slot], minute: int) -> str | None:
    slot = hours[min(minute // 60, HOURS)]
    return None if slot is None else slot[1]


@dataclass(frozen=True)
class Fault:
    """A report: minutes since the beginning, code, raised or cleared."""

    minute: int
    code: str
    raised: bool


@dataclass(frozen=True)
class Expected:
    """A case as it ought to be."""

    code: str
    occurred: int
    cleared: int | None
    raises: int
    user: str | None
    product: str | None
    model: str | None
    missing: frozenset[str]


def episodes_of(faults: list[Fault], gap: int) -> list[tuple[int, int | None, int]]:
    """Walk over one code's reports in order: (occurred, cleared, raises) each."""
    found: list[list[int | None]] = []
    for fault in sorted(set(faults), key=lambda f: (f.minute, f.raised)):
        last = found[-1] if found else None
        if fault.raised and (last is None or (last[1] is not None and fault.minute - last[1] > gap)):
            found.append([fault.minute, None, 1])
        elif fault.raised and last is not None:
            last[1], last[2] = None, int(last[2] or 0) + 1
        elif last is not None and last[1] is None:
            last[1] = fault.minute
    return [(int(a or 0), b, int(c or 0)) for a, b, c in found]


def missing_of(
    registered: bool, user: str | None, product: str | None, model: str | None, defined: bool
) -> frozenset[str]:
    missing = set()
    if not registered:
        missing.add("device")
    if user is None:
        missing.add("user")
    if product is None:
        missing.add("product")
    elif model is None:
        missing.add("model")
    elif not defined:
        missing.add("code")
    return frozenset(missing)
