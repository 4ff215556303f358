"""Which fault codes are active, with on-delay and off-delay a code. Pure.

Words and behaviour after ISA-18.2 / IEC 62682: a code must be shown for its on-delay before it is raised, and be
absent for its off-delay before it is cleared, so that a code that flickers does not chatter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ANY_CODE = "*"
"""The key in a mapping of delays that stands for every code not named."""


@dataclass(frozen=True, slots=True)
class FaultChange:
    """A code was raised or cleared.

    at: when it was first shown, or first absent (s): the event, not the end of its delay.
    """

    code: str
    raised: bool
    at: float


class FaultMonitor:
    """The active fault codes of one device.

    on_delays, off_delays: seconds by code, "*" for all others; `active`: code -> since (s), what was active when the
    agent stopped, so that a code which went away meanwhile is still reported as cleared.
    """

    def __init__(
        self,
        on_delays: Mapping[str, float] | None = None,
        off_delays: Mapping[str, float] | None = None,
        active: Mapping[str, float] | None = None,
    ) -> None:
        self._on_delays = on_delays or {}
        self._off_delays = off_delays or {}
        self._active: dict[str, float] = dict(active or {})
        self._pending: dict[str, float] = {}  # code -> since when it has differed from its state

    @property
    def active(self) -> dict[str, float]:
        """Active codes and since when (s)."""
        return dict(self._active)

    def observe(self, at: float, codes: frozenset[str]) -> list[FaultChange]:
        """Take the codes shown at `at` (s); return what changed by it, in order of the codes."""
        if not codes and not self._active and not self._pending:
            return []
        for code in [code for code in self._pending if (code in codes) == (code in self._active)]:
            del self._pending[code]  # it went back before its delay was over
        changes = [self._consider(at, code, code in codes) for code in sorted(codes ^ self._active.keys())]
        return [change for change in changes if change is not None]

    def _consider(self, at: float, code: str, shown: bool) -> FaultChange | None:
        since = self._pending.setdefault(code, at)
        if since > at:  # the clock was set back: the delay begins anew
            since = self._pending[code] = at
        if at - since < self._delay(code, shown):
            return None
        del self._pending[code]
        if shown:
            self._active[code] = since
        else:
            del self._active[code]
        return FaultChange(code, shown, since)

    def _delay(self, code: str, shown: bool) -> float:
        delays = self._on_delays if shown else self._off_delays
        return delays.get(code, delays.get(ANY_CODE, 0.0))
