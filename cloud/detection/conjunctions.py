"""What means something *together*: conjunctions of literals, learnt from the outcomes that come back.

A *literal* is a plain statement about a device now: a code came lately, a channel has drifted this far,
a part is old.  An *episode* is a stretch of time during which a literal, or a pair of them, holds.  Each
episode ends as positive (the device failed, or a fault was confirmed, within the horizon after it began)
or negative, and each key counts its episodes.  A literal that has a strength has a *level*, and an episode
teaches every level that it has reached.  The stated probability is a hierarchical Beta-binomial posterior
mean::

    sort of key (say code x drift):  m_T = (s_0 m_0 + positives_T) / (s_0 + positives_T + negatives_T)
    the same at level l:             m_l = (w m_T + positives_l)   / (w + positives_l + negatives_l)
    the key itself:                  p   = (k m + positives)       / (k + positives + negatives)

with m the greatest of m_T and of m_l at the levels reached: one or two confirmed failures suffice for the key
that they share, and a pair never seen before is judged by how pairs of its sort that were as strong have
done (empirical Bayes; Gelman et al., *Bayesian Data Analysis*, ch. 5).  Episodes without an outcome yet
count by the share of the horizon that they have outlived.  Pairs are found, not written down: only those
that occur are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations

Key = tuple[str, ...]
Levels = tuple[tuple[str, int], ...]  # of the literals that have one, in order


@dataclass(slots=True)
class Count:
    """Episodes: weighted positives and negatives, and how many have no outcome yet."""

    positives: float = 0.0
    negatives: float = 0.0
    pending: int = 0
    pending_began: float = 0.0

    def awaits(self, began: float) -> None:
        """An episode that began then has no outcome yet."""
        self.pending += 1
        self.pending_began += began

    def has_outcome(self, began: float) -> None:
        """An episode that began then waits no longer."""
        self.pending -= 1
        self.pending_began -= began


@dataclass(slots=True)
class Tally(Count):
    """Episodes of one key, and what the positives turned out to be."""

    kinds: Counter[str] = field(default_factory=Counter)
    company: Counter[str] = field(default_factory=Counter)  # literals that held when it was right
    usual: tuple[tuple[str, float], ...] = ()  # those of them that belong to it, each with how surely

    def right(self, kind: str, company: Iterable[str], weight: float) -> None:
        """An episode was right, with these literals beside it.  What stood there in six of ten belongs to the key, by
        the share of times that it was there, with one time more in which it was not: after one nobody knows."""
        self.positives += weight
        self.kinds[kind] += weight  # type: ignore[assignment]
        for literal in company:
            self.company[literal] += weight  # type: ignore[assignment]
        self.usual = tuple(
            (literal, times / (self.positives + 1.0))
            for literal, times in self.company.items()
            if times >= 0.6 * self.positives
        )

    def lessened(self, p: float, literals: frozenset[str]) -> float:
        """``p`` less what belongs to the key and is missing among ``literals``."""
        missing = sum([surely for literal, surely in self.usual if literal not in literals])
        return p * (1.0 - missing / len(self.usual)) if missing else p


@dataclass(slots=True)
class Episode:
    """One stretch during which ``key`` held for a device.  ``ended`` is None while it holds."""

    key: Key
    began: float
    ended: float | None = None
    level: int = -1  # the greatest that it has reached


@dataclass(frozen=True, slots=True)
class Evidence:
    """The strongest key that holds for a device, and what is known of it."""

    probability: float
    key: Key
    positives: float
    negatives: float
    kind: str


SUSPICIONS = frozenset({"anomaly", "longer"})
NOTHING = Evidence(0.0, (), 0.0, 0.0, "")


def sort_of(literal: str) -> str:
    """The sort of a literal is what stands before its colon: ``code:E1`` is a ``code``."""
    return literal.partition(":")[0]


def subject_of(literal: str) -> str:
    """What the literal speaks of, without sign: pairs about one subject add nothing."""
    sort, _, rest = literal.partition(":")
    return rest.rstrip("+-") if sort.startswith("drift") else literal


class Conjunctions:
    """Tallies of a family's keys and the open episodes of its devices."""

    def __init__(
        self,
        horizon_s: float,
        *,
        prior_mean: float = 0.05,
        prior_weight: tuple[float, float] = (10.0, 6.0),
        key_weight: tuple[float, float] = (4.0, 1.0),
        lead_s: float = 6 * 3600.0,
        level_weight: float = 3.0,
    ) -> None:
        self.horizon_s = horizon_s
        self.prior_mean = prior_mean
        self.prior_weight = prior_weight
        self.key_weight = key_weight
        self.lead_s = lead_s
        self.level_weight = level_weight
        self.tallies: dict[Key, Tally] = {}
        self.sorts: dict[Key, list[Count]] = {}  # a count for each level: those that have reached it
        self.episodes: dict[str, list[Episode]] = {}

    def update(self, device: str, at: float, literals: frozenset[str], levels: Levels = ()) -> None:
        """The literals that hold for ``device`` from ``at`` on, and the levels that some of them have reached; call
        when they change."""
        held = self.episodes.setdefault(device, [])
        keys = {key: level for key, _, level in graded(literals, levels)}
        for episode in held:
            level = keys.get(episode.key)
            if level is None:
                if episode.ended is None:
                    episode.ended = at
            elif episode.ended is None or at - episode.ended < self.lead_s:
                episode.ended = None
                del keys[episode.key]
                if level > episode.level:
                    self._reached(episode, level)
        for key in sorted(keys):
            episode = Episode(key, at)
            held.append(episode)
            if key not in self.tallies:
                self.tallies[key] = Tally()
            self.tallies[key].awaits(at)
            self._reached(episode, keys[key])

    def settle(self, device: str, at: float, silence_is_health: float) -> None:
        """Episodes older than the horizon without a failure become negatives, weighed by how sure
        silence is to mean health (1 where failures are always reported, 0 where nobody looks)."""
        held = self.episodes.get(device)
        if not held:
            return
        due = at - self.horizon_s - self.lead_s
        old = [e for e in held if e.began < due]
        if old:
            self.episodes[device] = [e for e in held if e.began >= due]
            self._refute(old, silence_is_health)

    def failed(self, device: str, at: float, kind: str, weight: float = 1.0) -> bool:
        """The device failed at ``at``: what held within the horizon before it, with enough lead, was
        right; what began just before or is left over from it says nothing and is dropped.  Returns
        whether a key that was likely already explains the failure."""
        held = self.episodes.pop(device, [])  # what began since was seen of a device that was broken
        self._drop(held)
        first = at - self.horizon_s
        right = [e for e in held if e.began <= at - self.lead_s and (e.ended is None or e.ended >= first)]
        return self._credit(right, at, kind, weight)

    def confirmed(self, device: str, at: float, kind: str, weight: float = 1.0) -> None:
        """A ticket of ``at`` was right: so was what held then; what began since says nothing more.  After a failure
        that came in the meantime nothing of it is left, and the same fault is not counted twice."""
        held = self.episodes.get(device, [])
        self.episodes[device] = [e for e in held if e.ended is not None and e.ended < at]
        later = [e for e in held if e.ended is None or e.ended >= at]
        self._drop(later)
        self._credit([e for e in later if e.began <= at], at, kind, weight)

    def _credit(self, right: list[Episode], at: float, kind: str, weight: float) -> bool:
        levels: dict[Key, int] = {}
        for episode in right:
            levels[episode.key] = max(levels.get(episode.key, 0), episode.level)
        keys = sorted(levels)
        # A failure that a confirmed key explains tells nothing of how unknown keys of a sort do.
        explained = any(self.tallies[k].positives >= 1 and self.posterior(k, at).probability >= 0.5 for k in keys)
        # and little for a key that merely stood beside the one that explains it.
        share = {k: 0.5 * weight if explained and self.posterior(k, at).probability < 0.3 else weight for k in keys}
        company = {literal for key in keys for literal in key}
        for key in keys:
            self.tallies[key].right(kind, company, share[key])
        if not explained:
            for sort, level in {(sorts_of(key), level) for key, most in levels.items() for level in range(most + 1)}:
                self.sorts[sort][level].positives += weight
        return explained

    def refuted(self, device: str, at: float, weight: float = 1.0) -> None:
        """Nothing was found of what held at ``at``."""
        held = self.episodes.get(device, [])
        wrong = [e for e in held if e.began <= at and (e.ended is None or e.ended >= at)]
        self.episodes[device] = [e for e in held if e not in wrong]
        self._refute(wrong, weight)

    def evidence(self, literals: frozenset[str], at: float, levels: Levels = ()) -> Evidence:
        """The strongest key among those that hold, the first of several."""
        means: dict[tuple[Key, int], float] = {}
        weighed = []
        for place, (key, sort, level) in enumerate(graded(literals, levels)):
            p = means.get((sort, level))
            if p is None:
                p = means[sort, level] = self._mean_of(sort, at, level)
            tally = self.tallies.get(key)
            if tally is not None:
                p = self._drawn(p, self.key_weight[len(key) - 1], tally, at)
            weighed.append((-p, place, key, tally))
        weighed.sort()
        best, greatest, first = None, 0.0, 0
        for negative, place, key, tally in weighed:
            p = -negative
            if p < greatest:  # what is missing beside a key only lessens it
                break
            if tally is not None:
                p = tally.lessened(p, literals)
            if p > greatest or (p == greatest and place < first):
                best, greatest, first = key, p, place
        return NOTHING if best is None else _stated(best, self.tallies.get(best), greatest)

    def posterior(self, key: Key, at: float) -> Evidence:
        """What the tallies say of one key of level 0 at event time ``at``, whatever stands beside it."""
        p, tally = self._mean_of(sorts_of(key), at), self.tallies.get(key)
        if tally is not None:
            p = self._drawn(p, self.key_weight[len(key) - 1], tally, at)
        return _stated(key, tally, p)

    def _reached(self, episode: Episode, level: int) -> None:
        """The episode has come to this level for the first time."""
        counts = self.sorts.setdefault(sorts_of(episode.key), [])
        while len(counts) <= level:
            counts.append(Count())
        for count in counts[episode.level + 1 : level + 1]:
            count.awaits(episode.began)
        episode.level = level

    def _mean_of(self, sort: Key, at: float, level: int = 0) -> float:
        """m of the module's docstring: what an unknown key of this sort is worth that has reached this level."""
        first, *further = self.sorts.get(sort, ())[: level + 1] or (Count(),)
        mean = self._drawn(self.prior_mean, self.prior_weight[len(sort) - 1], first, at)
        return max((self._drawn(mean, self.level_weight, count, at) for count in further), default=mean)

    def _drawn(self, mean: float, weight: float, found: Count, at: float) -> float:
        """Posterior mean of a Beta prior of this mean and weight, with what was found by event time ``at``."""
        n = found.positives + found.negatives
        undecided_s = found.pending * at - found.pending_began
        if undecided_s > 0.0:
            n += undecided_s / self.horizon_s
        return (weight * mean + found.positives) / (weight + n)

    def _refute(self, episodes: list[Episode], weight: float) -> None:
        self._drop(episodes)
        if weight <= 0:
            return
        for episode in episodes:
            tally = self.tallies[episode.key]
            if tally.positives < 1:  # a pair as yet unknown: it tells how unknown pairs of its sort do
                for count in self._counts(episode):
                    count.negatives += weight
            tally.negatives += weight

    def _drop(self, episodes: list[Episode]) -> None:
        for episode in episodes:
            self.tallies[episode.key].has_outcome(episode.began)
            for count in self._counts(episode):
                count.has_outcome(episode.began)

    def _counts(self, episode: Episode) -> list[Count]:
        """Those of its sort, for each level that the episode has reached."""
        return self.sorts[sorts_of(episode.key)][: episode.level + 1]


def _stated(key: Key, tally: Tally | None, p: float) -> Evidence:
    if tally is None:
        return Evidence(p, key, 0.0, 0.0, "")
    kind = min(tally.kinds.items(), key=lambda k: (-k[1], k[0]))[0] if tally.kinds else ""
    return Evidence(p, key, tally.positives, tally.negatives, kind)


@lru_cache(maxsize=65536)
def sorts_of(key: Key) -> Key:
    """The sorts of a key's literals: what an unknown key is judged by."""
    return tuple(sort_of(literal) for literal in key)


@lru_cache(maxsize=65536)
def keys_of(literals: frozenset[str]) -> tuple[Key, ...]:
    """Single literals, and pairs about different subjects, in a fixed order; not those made of suspicions
    alone, which have a calibration of their own (:mod:`cloud.detection.suspicion`)."""
    ordered = sorted(literals)
    keys: list[Key] = [(a,) for a in ordered if a not in SUSPICIONS]
    for a, b in combinations(ordered, 2):
        if subject_of(a) != subject_of(b) and not {a, b} <= SUSPICIONS:
            keys.append((a, b))
    return tuple(keys)


@lru_cache(maxsize=65536)
def graded(literals: frozenset[str], levels: Levels) -> tuple[tuple[Key, Key, int], ...]:
    """Each of :func:`keys_of` with its sorts and its level: the least of its literals' that have one, else 0."""
    of, found = dict(levels), []
    for key in keys_of(literals):
        first, last = of.get(key[0]), of.get(key[-1])
        level = first if last is None else last if first is None else min(first, last)
        found.append((key, sorts_of(key), level or 0))
    return tuple(found)
