"""Pure: whether self-help has helped. The physics has the last word, not the customer's tap.

    waiting ── all normal ──► settling ── normal for `settle` ──► healed ── raised within `relapse` ──► relapsed
       ▲                         │  not normal                      (the ticket is closed)
       └─────────────────────────┘
    waiting or settling ── not normal `patience` after it began ──► came_back (the ticket goes on)

Silence is not health: nothing settles on a device that was not heard of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

WatchState = Literal["waiting", "settling", "healed", "came_back", "relapsed"]


@dataclass(frozen=True, slots=True)
class WatchRules:
    """Limits of a watch; [K], see docs/outreach.md."""

    settle: timedelta
    patience: timedelta
    relapse: timedelta


@dataclass(frozen=True, slots=True)
class Watch:
    """A watch and where it stands. All times are the desk's."""

    began_at: datetime
    state: WatchState = "waiting"
    normal_since: datetime | None = None
    decided_at: datetime | None = None

    @property
    def running(self) -> bool:
        """Whether looking again can change anything."""
        return self.state in ("waiting", "settling", "healed")


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen of the device now.

    `fault_stands`: a fault of the ticket has not cleared. `normal_since`: since when neither a fault stands nor a
    watched channel lies outside its normal band, as far as it was heard; None: it does not. `heard_until`: the last it
    said of itself. `raised_at`: when the fault was last raised.
    """

    at: datetime
    fault_stands: bool
    channels_normal: bool
    normal_since: datetime | None
    heard_until: datetime | None
    raised_at: datetime | None = None

    @property
    def normal(self) -> bool:
        """Whether nothing is wrong as far as can be seen."""
        return not self.fault_stands and self.channels_normal and self.normal_since is not None


def look(watch: Watch, seen: Look, rules: WatchRules) -> Watch:
    """Where the watch stands after a look."""
    if not watch.running:
        return watch
    if watch.state == "healed":
        return _after_healing(watch, seen, rules)
    if not seen.normal or seen.normal_since is None:
        gave_up = seen.at - watch.began_at >= rules.patience
        return (
            _decided(watch, seen, "came_back", None) if gave_up else replace(watch, state="waiting", normal_since=None)
        )
    return _settle(watch, seen, max(seen.normal_since, watch.began_at), rules)


def _settle(watch: Watch, seen: Look, since: datetime, rules: WatchRules) -> Watch:
    heard_for = (seen.heard_until or since) - since
    if heard_for >= rules.settle:
        return _decided(watch, seen, "healed", since)
    if seen.at - watch.began_at < rules.patience + rules.settle:
        return replace(watch, state="settling", normal_since=since)
    return _decided(watch, seen, "came_back", since)  # normal when last heard, but unheard for too long to say so


def _decided(watch: Watch, seen: Look, state: WatchState, since: datetime | None) -> Watch:
    return replace(watch, state=state, normal_since=since, decided_at=seen.at)


def _after_healing(watch: Watch, seen: Look, rules: WatchRules) -> Watch:
    healed_at = watch.decided_at or seen.at
    if seen.raised_at is not None and healed_at < seen.raised_at <= healed_at + rules.relapse:
        return replace(watch, state="relapsed", decided_at=seen.raised_at)
    return watch
