"""What a fault code that stands is worth, by how long it has: counted from outcomes.

A *spell* is a stretch of time during which a device shows a code.  On its way it passes ``LEVELS_S``, and at each
level that it passed it is one outcome: of the spells that lasted so long, how many came with a fault.  What ended
sooner says nothing of a level that it did not reach.  At level l the worth of a code is a hierarchical
Beta-binomial posterior mean (Gelman et al., *Bayesian Data Analysis*, ch. 5)::

    all codes of the family:  m_l = (K prior_l + right_l) / (K + right_l + wrong_l)
    the code itself:          p   = (k m_l + right)       / (k + right + wrong)

so that what one code has shown serves another that is as yet unknown.  A slope over time fitted to how spells
*ended* would not do: nearly all end at a repair, days later, whatever they were worth after an hour.

A finding teaches at once, either way.  Where nobody called, a spell is learnt when it is ``settle_s`` old: right if
the device failed within ``soon_s`` of its end, wrong otherwise; failures and health at one age, or the first
failures would teach that every code is one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from cloud.detection.records import Floats

LEVELS_S = (0.0, 600.0, 1800.0, 3600.0, 7200.0, 6 * 3600.0, 24 * 3600.0)
PRIOR = (0.04, 0.1, 0.25, 0.5, 0.8, 0.95, 0.97)  # the dictionary's own confirmation rules ask for 10 to 60 minutes [K]
FAMILY_WEIGHT = 4.0  # outcomes that the prior counts as [K]
CODE_WEIGHT = 4.0  # and what all codes of the family are worth, for one of them [K]
FORGOTTEN = 400.0  # outcomes of a level beyond which older ones fade


@dataclass(slots=True)
class Spell:
    """A device's row shows a code of its cohort from ``began`` until ``ended`` (+inf: it still stands), event time."""

    row: int
    key: tuple[int, str]
    began: float
    ended: float = np.inf
    fault_weight: float = 0.0  # of a failure that came with it, 0 if none is known
    learnt: bool = False


class StandingCodes:
    """Spells and what was learnt of them, of one family."""

    def __init__(self, soon_s: float, settle_s: float) -> None:
        self.soon_s, self.settle_s = soon_s, settle_s
        self.open: deque[Spell] = deque()  # in order of their beginning, to be learnt at their age
        self.of_row: dict[int, list[Spell]] = {}
        self.all_codes = np.zeros((len(LEVELS_S), 2))  # right and wrong
        self.by_code: dict[tuple[int, str], Floats] = {}

    def raised(self, row: int, cohort: int, code: str, at: float) -> None:
        """A code began to show at event time ``at``."""
        mine = self.of_row.setdefault(row, [])
        if not any(spell.key[1] == code and spell.ended == np.inf for spell in mine):
            spell = Spell(row, (cohort, code), at)
            mine.append(spell)
            self.open.append(spell)

    def cleared(self, row: int, code: str, at: float) -> None:
        """It ceased to show."""
        for spell in self.of_row.get(row, ()):
            if spell.key[1] == code and spell.ended == np.inf:
                spell.ended = max(at, spell.began)

    def worth(self, cohort: int, standing: dict[str, float], at: float) -> float:
        """Probability of a fault at ``at``, of a device whose codes stand since the given times: the greatest."""
        return max((self._posterior((cohort, code), _level(at - since)) for code, since in standing.items()), default=0)

    def _posterior(self, key: tuple[int, str], level: int) -> float:
        right, wrong = (float(count) for count in self.all_codes[level])
        mean = (FAMILY_WEIGHT * PRIOR[level] + right) / (FAMILY_WEIGHT + right + wrong)
        own = self.by_code.get(key)
        if own is None:
            return mean
        right, wrong = (float(count) for count in own[level])
        return (CODE_WEIGHT * mean + right) / (CODE_WEIGHT + right + wrong)

    # -- outcomes ------------------------------------------------------------------------------------
    def failed(self, row: int, at: float, known_at: float, weight: float) -> None:
        """The device failed at ``at``: spells of then, and until that was known, were right, as is learnt later."""
        for spell in self._of(row, at, known_at):
            spell.fault_weight = spell.fault_weight or weight

    def judged(self, row: int, at: float, right: bool, weight: float) -> None:
        """A finding on what was said of the device at ``at``."""
        for spell in self._of(row, at, at):
            self._learn(spell, right, weight, at)

    def learn_due(self, now: float) -> None:
        """Learn the spells that are old enough at event time ``now``."""
        while self.open and self.open[0].began <= now - self.settle_s:
            spell = self.open.popleft()
            if not spell.learnt:
                right = spell.fault_weight > 0.0
                self._learn(spell, right, spell.fault_weight if right else 1.0, now)
            mine = self.of_row[spell.row]
            mine.remove(spell)
            if not mine:
                del self.of_row[spell.row]

    def _of(self, row: int, at: float, until: float) -> list[Spell]:
        mine = self.of_row.get(row, ())
        return [s for s in mine if not s.learnt and s.began <= until and at <= s.ended + self.soon_s]

    def _learn(self, spell: Spell, right: bool, weight: float, now: float) -> None:
        spell.learnt = True
        column = 0 if right else 1
        passed = _level(min(spell.ended, now) - spell.began) + 1
        for counts in (self.all_codes, self.by_code.setdefault(spell.key, np.zeros((len(LEVELS_S), 2)))):
            counts[:passed, column] += weight
            full = counts.sum(axis=1) > FORGOTTEN
            counts[full] *= 0.5


def _level(stood_s: float) -> int:
    """The highest of ``LEVELS_S`` that a spell of so many seconds has passed."""
    return int(np.searchsorted(LEVELS_S, max(stood_s, 0.0), side="right")) - 1
