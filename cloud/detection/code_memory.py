"""What a family remembers of its devices' fault codes: which stand since when, and what was reported lately.

A code says more by standing or coming again than by having come once.  How much more, outcomes teach: this
module only counts.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from cloud.detection.growing import grow
from cloud.detection.records import Floats, Ints

REMEMBERED_S = 14 * 86400.0
MOST_CODES = 24  # codes of a family that have features of their own: the first so many to be seen
SIGNS = ("stands", "lately", "again")  # of a device: hours a code stands, reports in a day, reports of one code


class CodeMemory:
    """Standing codes and reports of the last fortnight, by row; codes are told apart by cohort, because one
    code means different things on different models."""

    def __init__(self) -> None:
        self.standing: dict[int, dict[str, float]] = {}
        self.reports: dict[int, deque[tuple[float, str]]] = {}
        self.columns: dict[tuple[int, str], int] = {}
        self.since = np.zeros(0)  # when the first of a device's standing codes came, +inf where none stands

    def grow(self, devices: int) -> None:
        """Room for at least ``devices`` rows."""
        grow(self, ("since",), devices, np.inf)

    def raised(self, row: int, code: str, at: float) -> None:
        """A code began to show at event time ``at``."""
        self.standing.setdefault(row, {}).setdefault(code, at)
        self.since[row] = min(self.since[row], at)
        self.seen(row, code, at)

    def cleared(self, row: int, code: str) -> None:
        """A code ceased to show."""
        standing = self.standing.get(row)
        if standing and standing.pop(code, None) is not None:
            self.since[row] = min(standing.values(), default=np.inf)
            if not standing:
                del self.standing[row]

    def seen(self, row: int, code: str, at: float) -> None:
        """A code was reported at an instant."""
        self.reports.setdefault(row, deque()).append((at, code))

    def forget(self, row: int) -> None:
        """After a repair: reports of before say nothing any more; what stands still stands."""
        self.reports.pop(row, None)

    def spoken(self, rows: Ints) -> list[int]:
        """Positions among ``rows`` of devices of which a code is remembered."""
        if not self.standing and not self.reports:
            return []
        return [i for i, row in enumerate(rows.tolist()) if row in self.standing or row in self.reports]

    def signs(self, row: int, cohort: int, at: float) -> tuple[Floats, dict[int, float]]:
        """The three ``SIGNS`` of a device at ``at``, each log(1 + count), and by column the same sum for each code."""
        standing = self.standing.get(row, {})
        reports = self.reports.get(row)
        while reports and reports[0][0] < at - REMEMBERED_S:
            reports.popleft()
        if reports is not None and not reports:
            del self.reports[row]
            reports = None
        hours = {code: max(at - since, 0.0) / 3600.0 for code, since in standing.items()}
        counts: dict[str, int] = {}
        lately = 0
        for when, code in reports or ():
            counts[code] = counts.get(code, 0) + 1
            lately += when > at - 86400.0
        found = np.log1p([max(hours.values(), default=0.0), lately, max(max(counts.values(), default=0) - 1, 0)])
        own: dict[int, float] = {}
        for code in hours.keys() | counts.keys():
            column = self._column(cohort, code)
            if column is not None:
                own[column] = float(np.log1p(hours.get(code, 0.0)) + np.log1p(counts.get(code, 0)))
        return found, own

    def _column(self, cohort: int, code: str) -> int | None:
        known = self.columns.get((cohort, code))
        if known is None and len(self.columns) < MOST_CODES:
            known = self.columns[cohort, code] = len(self.columns)
        return known
