"""The fast part: running statistics of all devices of a family at once, every sample.

Notation for one device and channel: reading x, baseline mean m and variance v, standardised reading
z = (x - m) / sqrt(v), smoothed at span s by e_s <- e_s + a_s (z - e_s), a_s = 2 / (s + 1) (EWMA; Roberts
1959).  With P_s the inverse of the pooled covariance of e_s over the family's normal samples, and C
channels, the distance at scale s is Hotelling's (1947) t_s = e_s' P_s e_s / C, taken as
q_s = log(t_s + 0.05) and calibrated against the device's own normal values of q_s, shrunk towards the
family's: g_s = (q_s - mean) / sd.  ``surprise`` is the mean of g_s over the scales.

(P_s e_s)_c / sqrt(P_cc) is, but for scale, the residual of channel c against what the device's other
channels predict by linear regression; it names the channels that are to blame.

Baselines are shrunk towards the cohort (empirical Bayes): with within-device variance w and
between-device variance b, the cohort's mean counts as w / b samples of the device.  What was flagged is
not learnt: a sample counts as normal while ``surprise`` is below ``gate``, or while the device is young.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cloud.detection.records import Bools, Floats, Ints

Rows = Ints | slice
FLOOR = 0.05


@dataclass(slots=True)
class BankReading:
    """What the bank found for ``n`` rows: standardised readings ``z`` (n, C), smoothed ``smooth``
    (S, n, C), ``g`` (S, n) and ``surprise`` (n,), and which rows are ``young``."""

    z: Floats
    smooth: Floats
    g: Floats
    surprise: Floats
    young: Bools


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
        self.capacity = 0
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
        self.scatter = np.zeros((scales, width, width))
        self.weight = 0.0
        self.precision = np.eye(width) / self.white[:, None, None]
        self.spread = np.sqrt(self.white)[:, None] * np.ones((scales, width))  # sd of e_s, normal
        self.inflation = 1.0  # how many readings make one independent reading
        self.invert_at = 6.0
        self.family_q = np.zeros((2, scales, 1))  # mean and variance of q over the family
        self.family_q[1] = 1.0
        self.family_n = 0.0
        self.cohort_mean = np.zeros((1, width))
        self.cohort_var = np.zeros((1, width))
        self.cohort_weight = np.zeros((1, width))

    def grow(self, devices: int) -> None:
        """Room for at least ``devices`` rows."""
        if devices <= self.capacity:
            return
        more = max(devices, 2 * self.capacity, 1) - self.capacity
        for name in self.DEVICE_ARRAYS:
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros((more, *old.shape[1:]))]))
        for name in self.SCALE_ARRAYS:
            old = getattr(self, name)
            room = np.zeros((len(self.spans), more, *old.shape[2:]))
            setattr(self, name, np.concatenate([old, room], axis=1))
        self.capacity += more

    def add_cohorts(self, cohorts: int) -> None:
        """Room for ``cohorts`` lines of priors; a new cohort has none as yet."""
        more = cohorts - len(self.cohort_mean)
        if more > 0:
            for name in ("cohort_mean", "cohort_var", "cohort_weight"):
                setattr(self, name, np.concatenate([getattr(self, name), np.zeros((more, self.width))]))

    def forget(self, row: int) -> None:
        """The device's baseline starts afresh: after a repair, or when it has changed for good."""
        for name in self.DEVICE_ARRAYS:
            getattr(self, name)[row] = 0.0
        for name in self.SCALE_ARRAYS:
            getattr(self, name)[:, row] = 0.0

    def settle(self, row: int) -> None:
        """The device is as it was: its smoothed readings start again at normal."""
        self.smooth[:, row] = 0.0

    def observe(self, rows: Rows, values: Floats, seen: Bools, cohort: Ints | int) -> BankReading:
        """One sample of each of the devices ``rows`` (distinct).  ``values`` (n, C) are finite where
        ``seen``; ``cohort`` says which line of the cohort arrays each row belongs to."""
        count, mean, var = self.count[rows], self.mean[rows], self.var[rows]
        centre, scale2, have = self._shrunk(count, mean, var, cohort) if self.has_priors else (mean, var, count)
        scale = np.sqrt(scale2)
        scale += 1e-9 * np.abs(centre)
        scale += 1e-9
        z = values - centre
        z /= scale
        np.maximum(z, -15.0, out=z)
        np.minimum(z, 15.0, out=z)
        told = seen & (have >= 3.0)
        if np.count_nonzero(told) < told.size:
            z *= told
        before = self.smooth[:, rows]
        smooth = z - before
        smooth *= self.alpha
        smooth += before
        self.smooth[:, rows] = smooth
        across = np.matmul(smooth, self.precision)
        across *= smooth
        q = np.add.reduce(across, axis=2)
        q /= max(self.width, 1)
        q += FLOOR
        np.log(q, out=q)
        g, surprise = self._calibrate(rows, q)
        lived = self.seen[rows]
        young = lived < self.young_samples * max(0.75, min(self.inflation, 8.0))
        normal = (surprise < self.gate) | young
        self.seen[rows] = lived + 1
        self._learn(rows, values - mean, seen & normal[:, None], count, mean, var)
        self.calls += 1
        if len(lived) >= 8 or not self.calls % 3:  # a few devices are pooled at every third sample only
            mature = normal & (lived >= 10)
            if np.count_nonzero(mature):
                self._pool(rows, smooth, q, mature)
        return BankReading(z, smooth, g, surprise, young)

    def _shrunk(self, count: Floats, mean: Floats, var: Floats, cohort: Ints | int) -> tuple[Floats, Floats, Floats]:
        """Baseline mean and variance shrunk towards the cohort, and the weight behind them."""
        pull = self.cohort_weight[cohort]
        have = count + pull
        centre = (count * mean + pull * self.cohort_mean[cohort]) / (have + 1e-12)
        var_pull = np.minimum(pull, 30.0)
        scale2 = (count * var + var_pull * self.cohort_var[cohort]) / (count + var_pull + 1e-12)
        return centre, scale2, have

    def residuals(self, row: int, scale: int) -> Floats:
        """Each channel of the device against what its other channels predict, in standard deviations."""
        precision = self.precision[scale]
        found: Floats = precision @ self.smooth[scale, row] / np.sqrt(np.diag(precision))
        return found

    def _calibrate(self, rows: Rows, q: Floats) -> tuple[Floats, Floats]:
        calm = self.calm[rows]
        own, pooled = calm / (calm + 20.0), 20.0 / (calm + 20.0)
        centre = own * self.q_mean[:, rows]
        centre += pooled * self.family_q[0]
        spread = own * self.q_var[:, rows]
        spread += pooled * self.family_q[1]
        spread += 0.02
        np.sqrt(spread, out=spread)
        np.subtract(q, centre, out=centre)
        centre /= spread
        return centre, np.add.reduce(centre, axis=0) / len(self.spans)

    def _learn(  # noqa: PLR0917 - one row of the table each
        self, rows: Rows, step: Floats, learn: Bools, count: Floats, mean: Floats, var: Floats
    ) -> None:
        sd5 = np.sqrt(var)
        sd5 *= 5.0
        free = (count <= 10) | (var <= 0)
        if np.count_nonzero(free):
            sd5[free] = np.inf
        np.minimum(step, sd5, out=step)
        np.negative(sd5, out=sd5)
        np.maximum(step, sd5, out=step)
        rate = count + 1.0
        np.divide(1.0, rate, out=rate)
        np.maximum(rate, 1.0 / self.memory, out=rate)
        if np.count_nonzero(learn) < learn.size:
            rate *= learn
            step *= learn
        moved = rate * step
        self.mean[rows] = mean + moved
        moved *= step
        moved += var
        np.subtract(1.0, rate, out=rate)
        rate *= moved
        self.var[rows] = rate
        self.count[rows] = count + learn

    def _pool(self, rows: Rows, smooth: Floats, q: Floats, mature: Bools) -> None:
        n = int(np.count_nonzero(mature))
        bounded = np.maximum(smooth, -6.0) if n == len(mature) else smooth[:, mature]
        np.maximum(bounded, -6.0, out=bounded)
        np.minimum(bounded, 6.0, out=bounded)
        self.scatter += np.matmul(bounded.transpose(0, 2, 1), bounded)
        self.weight += n
        if self.weight > 20000:
            self.scatter *= 0.5
            self.weight *= 0.5
            self.invert_at *= 0.5
        if self.weight >= self.invert_at:
            self._invert()
        calm, q_mean, q_var = self.calm[rows], self.q_mean[:, rows], self.q_var[:, rows]
        rate = mature / np.minimum(calm + 1.0, 500.0)
        reach = 4.0 * np.sqrt(q_var + 0.02) + 100.0 * (calm < 10)
        step = np.minimum(np.maximum(q - q_mean, -reach), reach)
        self.q_mean[:, rows] = q_mean + rate * step
        self.q_var[:, rows] = (1.0 - rate) * (q_var + rate * step * step)
        self.calm[rows] = calm + mature
        self.family_n = min(self.family_n + n, 5000.0)
        share = min(1.0, n / self.family_n)
        off = (q if n == len(mature) else q[:, mature]) - self.family_q[0]
        self.family_q[0] += share * off.sum(axis=1, keepdims=True) / n
        self.family_q[1] += share * ((off * off).sum(axis=1, keepdims=True) / n - self.family_q[1])

    def _invert(self) -> None:
        pooled: Floats = self.scatter / self.weight
        on_diagonal = np.arange(self.width)
        spread2 = pooled[:, on_diagonal, on_diagonal]
        shrink = min(1.0, 2.0 * self.width / self.weight) + 0.02
        pooled = pooled * (1.0 - shrink)
        floor = self.white[:, None]
        pooled[:, on_diagonal, on_diagonal] = np.maximum(spread2, 0.5 * floor) + 1e-3 * floor
        self.precision = np.asarray(np.linalg.inv(pooled), np.float64)
        self.spread = np.asarray(np.sqrt(np.maximum(spread2, 0.25 * floor)), np.float64)
        self.inflation = self._effective(spread2)
        self.invert_at = max(self.weight * 1.15, self.weight + 10)

    def _effective(self, spread2: Floats) -> float:
        """How many readings make one independent reading, (1 + f) / (1 - f) for an AR(1) process whose
        f follows from how much more the EWMA at the second span varies than that of white noise."""
        if len(self.spans) < 2 or not self.width:
            return 1.0
        ratio = spread2[1] / np.maximum(spread2[0], 1e-6) * (self.white[0] / self.white[1])
        damped = np.maximum((ratio - 1.0) / (ratio + 1.0), 0.0) / (1.0 - self.alpha[1].item())
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
