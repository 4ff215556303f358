"""Pure: reports of one fault code of one device, in any order, to episodes; episodes to changes of the case table.

An episode lasts from a raise to the clear after which the code stays away for longer than the chatter gap. It is a
function of the set of reports in event time: the order in which they came makes no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, order=True)
class Report:
    """A code was raised or cleared at event time `at`; boot and seq order reports of the same instant."""

    at: datetime
    boot: int
    seq: int
    raised: bool


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode; `cleared_at` is None while the fault stands. `last_at`: the last report folded in."""

    occurred_at: datetime
    last_raised_at: datetime
    last_at: datetime
    cleared_at: datetime | None
    raises: int


@dataclass(frozen=True, slots=True)
class HeldCase:
    """A case that the table holds."""

    case_no: int
    occurred_at: datetime
    ticket_no: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What the case table needs: `case_no` None opens a case; `absorbs` are cases that turn out to be part of it."""

    case_no: int | None
    episode: Episode
    absorbs: tuple[int, ...] = ()
    ticket_no: int | None = None


def episodes(reports: Iterable[Report], gap: timedelta, last: Episode | None = None) -> list[Episode]:
    """Fold reports into episodes, oldest first; `last` is an episode that they may continue.

    With `last`, every report must be later than `last.last_at`, and the first episode returned is `last`, continued.
    A clear without a raise before it says nothing. The same happening reported twice counts once.
    """
    found = [] if last is None else [last]
    seen: set[tuple[datetime, bool]] = set()
    for report in sorted(reports):
        if (report.at, report.raised) in seen:
            continue
        seen.add((report.at, report.raised))
        current = found[-1] if found else None
        if report.raised:
            if current is None or (current.cleared_at is not None and report.at - current.cleared_at > gap):
                found.append(Episode(report.at, report.at, report.at, None, 1))
            else:
                found[-1] = replace(
                    current,
                    last_raised_at=report.at,
                    last_at=report.at,
                    cleared_at=None,
                    raises=current.raises + 1,
                )
        elif current is not None:
            found[-1] = replace(current, last_at=report.at, cleared_at=current.cleared_at or report.at)
    return found


def reconcile(held: Sequence[HeldCase], found: Sequence[Episode]) -> list[Change]:
    """Match cases with the episodes that a complete refold gave.

    Each case began with a raise that still exists, so it lies in exactly one episode. An episode without a case
    opens one; of several cases in an episode the oldest stays and absorbs the others, with their ticket if it has none.
    """
    changes = []
    starts = [episode.occurred_at for episode in found]
    for place, episode in enumerate(found):
        until = starts[place + 1] if place + 1 < len(found) else None
        inside = sorted(
            (c for c in held if c.occurred_at >= episode.occurred_at and (until is None or c.occurred_at < until)),
            key=lambda c: (c.occurred_at, c.case_no),
        )
        kept = inside[0].case_no if inside else None
        ticket = next((c.ticket_no for c in inside if c.ticket_no is not None), None)
        changes.append(Change(kept, episode, tuple(c.case_no for c in inside[1:]), ticket))
    return changes
