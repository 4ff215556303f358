"""The fast part: running statistics of all devices of a family at once, every sample.

Notation for one device and channel: reading x, baseline mean m and variance v, standardised reading
z = (x - m) / sqrt(v), smoothed at span s by e_s <- e_s + a_s (z - e_s), a_s = 2 / (s + 1) (EWMA; Roberts
1959).  With P_s the inverse of the pooled covariance of e_s over the family's normal samples, and C
channels, the distance at scale s is Hotelling's (1947) t_s = e_s' P_s e_s / C, taken as
q_s = log(t_s + 0.05) and calibrated against the device's own normal values of q_s, shrunk towards the
family's: g_s = (q_s - mean) / sd.  ``surprise`` is the mean of g_s over the scales.

(P_s e_s)_c / sqrt(P_cc) is, but for scale, the residual of channel c against what the device's other
channels predict by linear regression; it names the channels that are to blame.

A channel that seldom moves (a counter, a flag) has events and no noise: how many of its standard deviations one is
away says nothing, its rarity does.  With a share r of readings unlike the one before, z is bounded by sqrt(2 log 1/r),
beyond which a normal variable lies about as rarely; what lasts adds up in e_s all the same.

Baselines are shrunk towards the cohort (empirical Bayes): with within-device variance w and
between-device variance b, the cohort's mean counts as w / b samples of the device.  What was flagged is
not learnt: a sample counts as normal while ``surprise`` is below ``gate``, or while the device is young.
"""

from __future__ import annotations

import numpy as np

from cloud.detection.compiled import Bools1, Bools2, Floats1, Floats2, Floats3, Ints1, compiled
from cloud.detection.growing import grow
from cloud.detection.records import Bools, Floats, Ints

FLOOR = 0.05
FAR = 15.0  # standard deviations beyond which a reading counts no more
SELDOM = 0.1  # share of readings unlike the one before, below which a channel has events and no noise
FEW = 8  # rows at once
HARDLY = 0.05  # of the variance of white noise
MOST_POOLED = 5000.0  # samples that count in the family's mean and variance of q


class ChannelBank:
    """Running statistics of ``width`` channels for a growing number of devices.

    ``gate``: surprise above which a sample is not learnt from.  ``young``: effectively independent
    samples until a device has a baseline of its own.  ``memory``: samples over which a baseline forgets.
    """

    DEVICE_ARRAYS = ("count", "mean", "var", "calm", "seen")
    SCALE_ARRAYS = ("smooth", "q_mean", "q_var")  # the scale comes first: one scale's values lie side by side

    def __init__(self, width: int, spans: tuple[int, ...], gate: float, young: int, memory: int) -> None:
        scales = len(spans)
        self.width, self.spans, self.gate, self.young_samples, self.memory = width, spans, gate, young, memory
        alpha = np.array([2.0 / (s + 1.0) for s in spans])
        self.alpha = alpha[:, None, None]
        self.white = alpha / (2.0 - alpha)  # variance of e_s when readings are independent
        self.has_priors = False
        self.calls = 0
        self.count = np.zeros((0, width))
        self.mean = np.zeros((0, width))
        self.var = np.zeros((0, width))
        self.smooth = np.zeros((scales, 0, width))
        self.calm = np.zeros(0)  # samples that went into q_mean, q_var
        self.q_mean = np.zeros((scales, 0))
        self.q_var = np.zeros((scales, 0))
        self.seen = np.zeros(0)
        self.pool_afresh()
        self.cohort_mean = np.zeros((1, width))
        self.cohort_var = np.zeros((1, width))
        self.cohort_weight = np.zeros((1, width))

    def pool_afresh(self) -> None:
        """Nothing is pooled over the family's devices as yet, or any more."""
        scales, width = len(self.spans), self.width
        self.scatter = np.zeros((scales, width, width))
        self.weight = 0.0
        self.precision = np.eye(width) / self.white[:, None, None]
        self.spread = np.sqrt(self.white)[:, None] * np.ones((scales, width))  # sd of e_s, normal
        self.inflation = 1.0  # how many readings make one independent reading
        self.invert_at = 6.0
        self.family_q = np.zeros((2, scales, 1))  # mean and variance of q over the family
        self.family_q[1] = 1.0
        self.family_n = 0.0

    def grow(self, devices: int) -> None:
        """Room for at least ``devices`` rows."""
        grow(self, self.DEVICE_ARRAYS, devices)
        grow(self, self.SCALE_ARRAYS, devices, axis=1)

    def add_cohorts(self, cohorts: int) -> None:
        """Room for ``cohorts`` lines of priors; a new cohort has none as yet."""
        grow(self, ("cohort_mean", "cohort_var", "cohort_weight"), cohorts)

    def forget(self, row: int) -> None:
        """The device's baseline starts afresh: after a repair, or when it has changed for good."""
        for name in self.DEVICE_ARRAYS:
            getattr(self, name)[row] = 0.0
        for name in self.SCALE_ARRAYS:
            getattr(self, name)[:, row] = 0.0

    def settle(self, row: int) -> None:
        """The device is as it was: its smoothed readings start again at normal."""
        self.smooth[:, row] = 0.0

    def observe(  # noqa: PLR0917 - one array each
        self,
        rows: Ints,
        values: Floats,
        seen: Bools,
        cohort: Ints,
        samples: Floats,
        moves: Floats,
        least_sd: float = 0.0,
    ) -> tuple[Floats, Bools]:
        """One sample of each of the devices ``rows`` (distinct): ``surprise`` of each, and which are *young*.
        ``values`` (n, C) are finite where ``seen``; ``cohort`` is by row the line of the cohort arrays;
        ``samples`` and ``moves`` (devices, C) are how many readings each channel had and how many were unlike the one
        before.  A device's standard deviation is taken to be at least ``least_sd``, in the readings' unit."""
        self.calls += 1
        surprise, young, pooled = _observe(
            rows,
            values,
            seen,
            cohort,
            samples,
            moves,
            least_sd,
            self.has_priors,
            self.gate,
            self.young_samples * max(0.75, min(self.inflation, 8.0)),
            1.0 / self.memory,
            len(rows) >= FEW or not self.calls % 3,  # a few devices are pooled at every third sample only
            self.family_n,
            self.count,
            self.mean,
            self.var,
            self.seen,
            self.smooth,
            self.calm,
            self.q_mean,
            self.q_var,
            self.cohort_mean,
            self.cohort_var,
            self.cohort_weight,
            self.alpha,
            self.precision,
            self.scatter,
            self.family_q,
        )
        if pooled:
            self._pooled(pooled)
        return surprise, young

    def residuals(self, row: int, scale: int) -> Floats:
        """Each channel of the device against what its other channels predict, in standard deviations."""
        precision = self.precision[scale]
        found: Floats = precision @ self.smooth[scale, row] / np.sqrt(np.diag(precision))
        return found

    def _pooled(self, samples: int) -> None:
        """So many samples went into the pooled covariance: forget, and invert it anew, when it is time."""
        self.family_n = min(self.family_n + samples, MOST_POOLED)
        self.weight += samples
        if self.weight > 20000:
            self.scatter *= 0.5
            self.weight *= 0.5
            self.invert_at *= 0.5
        if self.weight >= self.invert_at:
            self._invert()

    def _invert(self) -> None:
        pooled: Floats = self.scatter / self.weight
        on_diagonal = np.arange(self.width)
        spread2 = pooled[:, on_diagonal, on_diagonal]
        shrink = min(1.0, 2.0 * self.width / self.weight) + 0.02
        pooled = pooled * (1.0 - shrink)
        floor = self.white[:, None]
        pooled[:, on_diagonal, on_diagonal] = np.maximum(spread2, 0.5 * floor) + 1e-3 * floor
        self.precision = np.ascontiguousarray(np.linalg.inv(pooled))
        self.spread = np.ascontiguousarray(np.sqrt(np.maximum(spread2, 0.25 * floor)))
        self.inflation = self._effective(spread2)
        self.invert_at = max(self.weight * 1.15, self.weight + 10)

    def _effective(self, spread2: Floats) -> float:
        """How many readings make one independent reading, (1 + f) / (1 - f) for an AR(1) process whose
        f follows from how much more the EWMA at the second span varies than that of white noise."""
        if len(self.spans) < 2 or not self.width:
            return 1.0
        ratio = spread2[1] / np.maximum(spread2[0], 1e-6) * (self.white[0] / self.white[1])
        damped = np.maximum((ratio - 1.0) / (ratio + 1.0), 0.0) / (1.0 - self.alpha[1].item())
        damped[spread2[0] < HARDLY * self.white[0]] = 0.0  # what is all but constant has no rhythm of its own
        f = np.minimum(damped, 0.95)
        return float(np.mean((1.0 + f) / (1.0 - f)))

    def learn_cohorts(self, cohort_of: Ints, cohorts: int) -> None:
        """Empirical-Bayes priors from the devices that have a baseline (module docstring)."""
        for name in ("cohort_mean", "cohort_var", "cohort_weight"):
            setattr(self, name, np.zeros((max(cohorts, 1), self.width)))
        grown = self.count[: len(cohort_of)] >= 0.5 * self.young_samples
        family = self._prior(np.flatnonzero(grown.all(axis=1)))
        for cohort in range(cohorts):
            members = np.flatnonzero(grown.all(axis=1) & (cohort_of == cohort))
            prior = self._prior(members) or family
            if prior:
                self.cohort_mean[cohort], self.cohort_var[cohort], self.cohort_weight[cohort] = prior
        self.has_priors = bool(self.cohort_weight.any())

    def _prior(self, members: Ints) -> tuple[Floats, Floats, Floats] | None:
        if len(members) < 3:
            return None
        mean, var, count = self.mean[members], self.var[members], self.count[members]
        centre = np.median(mean, axis=0)
        within = np.median(var, axis=0)
        between = ((mean - centre) ** 2).mean(axis=0) - (var / count).mean(axis=0)
        between = np.maximum(between, 1e-3 * within + 1e-12)
        return centre, within, np.minimum(within / between, 1000.0)


@compiled
def _pool(  # noqa: PLR0917 - the bank's arrays
    rows: Ints1,
    mature: Bools1,
    q: Floats2,
    family_n: float,
    smooth: Floats3,
    calm: Floats1,
    q_mean: Floats2,
    q_var: Floats2,
    scatter: Floats3,
    family_q: Floats3,
) -> int:
    """Take the samples of the ``mature`` rows into the pooled covariance and into the calibration of q: how many."""
    scales, _, width = smooth.shape
    n = int(np.sum(mature))
    if not n:
        return 0
    share = min(1.0, n / min(family_n + n, MOST_POOLED))
    bounded = np.empty(width)
    for s in range(scales):
        off, off2 = 0.0, 0.0
        for i in range(len(rows)):
            if not mature[i]:
                continue
            row = rows[i]
            for c in range(width):
                bounded[c] = min(max(smooth[s, row, c], -6.0), 6.0)
            for c in range(width):
                for d in range(width):
                    scatter[s, c, d] += bounded[c] * bounded[d]
            rate = 1.0 / min(calm[row] + 1.0, 500.0)
            reach = 4.0 * np.sqrt(q_var[s, row] + 0.02) + (100.0 if calm[row] < 10 else 0.0)
            step = min(max(q[s, i] - q_mean[s, row], -reach), reach)
            q_mean[s, row] += rate * step
            q_var[s, row] = (1.0 - rate) * (q_var[s, row] + rate * step * step)
            away = q[s, i] - family_q[0, s, 0]
            off += away
            off2 += away * away
        family_q[0, s, 0] += share * off / n
        family_q[1, s, 0] += share * (off2 / n - family_q[1, s, 0])
    for i in range(len(rows)):
        calm[rows[i]] += mature[i]
    return n


@compiled
def _observe(  # noqa: PLR0912, PLR0915, PLR0917 - all of a sample in one pass over the bank's arrays
    rows: Ints1,
    values: Floats2,
    seen: Bools2,
    cohort: Ints1,
    samples: Floats2,
    moves: Floats2,
    least_sd: float,
    has_priors: bool,
    gate: float,
    young_below: float,
    least_rate: float,
    pool: bool,
    family_n: float,
    count: Floats2,
    mean: Floats2,
    var: Floats2,
    lived: Floats1,
    smooth: Floats3,
    calm: Floats1,
    q_mean: Floats2,
    q_var: Floats2,
    cohort_mean: Floats2,
    cohort_var: Floats2,
    cohort_weight: Floats2,
    alpha: Floats3,
    precision: Floats3,
    scatter: Floats3,
    family_q: Floats3,
) -> tuple[Floats, Bools, int]:
    """``surprise`` of each row, whether it is young, and how many samples were pooled; see the module's docstring."""
    scales, _, width = smooth.shape
    n = len(rows)
    surprise, young, mature, q = np.empty(n), np.empty(n, np.bool_), np.empty(n, np.bool_), np.empty((scales, n))
    z, across = np.empty(width), np.empty(width)
    for i in range(n):
        row, line = rows[i], cohort[rows[i]]
        for c in range(width):
            z[c] = 0.0
            if not seen[i, c]:
                continue
            have, centre, scale2 = count[row, c], mean[row, c], var[row, c]
            if has_priors:  # shrunk towards the cohort
                pull = cohort_weight[line, c]
                centre = (have * centre + pull * cohort_mean[line, c]) / (have + pull + 1e-12)
                var_pull = min(pull, 30.0)
                scale2 = (have * scale2 + var_pull * cohort_var[line, c]) / (have + var_pull + 1e-12)
                have += pull
            if have >= 3.0:
                off = (values[i, c] - centre) / (max(np.sqrt(scale2), least_sd) + 1e-9 * abs(centre) + 1e-9)
                seldom = (1.0 + moves[row, c]) / (2.0 + samples[row, c])
                reach = np.sqrt(-2.0 * np.log(seldom)) if seldom < SELDOM else FAR
                z[c] = min(max(off, -reach), reach)
        own = calm[row] / (calm[row] + 20.0)
        pooled = 20.0 / (calm[row] + 20.0)
        total = 0.0
        for s in range(scales):
            rate = alpha[s, 0, 0]
            for c in range(width):
                across[c] = 0.0
            for c in range(width):
                e = smooth[s, row, c] + rate * (z[c] - smooth[s, row, c])
                smooth[s, row, c] = e
                for d in range(width):
                    across[d] += e * precision[s, c, d]
            distance = 0.0
            for c in range(width):
                distance += across[c] * smooth[s, row, c]
            q[s, i] = np.log(distance / max(width, 1) + FLOOR)
            centre = own * q_mean[s, row] + pooled * family_q[0, s, 0]
            spread = np.sqrt(own * q_var[s, row] + pooled * family_q[1, s, 0] + 0.02)
            total += (q[s, i] - centre) / spread
        surprise[i] = total / scales
        young[i] = lived[row] < young_below
        normal = surprise[i] < gate or young[i]
        lived[row] += 1.0
        mature[i] = normal and lived[row] >= 10
        if not normal:
            continue
        for c in range(width):
            if seen[i, c]:
                n_before, before = count[row, c], var[row, c]
                step = values[i, c] - mean[row, c]
                if n_before > 10 and before > 0:
                    bound = 5.0 * np.sqrt(before)
                    step = min(max(step, -bound), bound)
                rate = max(1.0 / (n_before + 1.0), least_rate)
                mean[row, c] += rate * step
                var[row, c] = (1.0 - rate) * (before + rate * step * step)
                count[row, c] = n_before + 1.0
    if not pool:
        return surprise, young, 0
    return surprise, young, _pool(rows, mature, q, family_n, smooth, calm, q_mean, q_var, scatter, family_q)
