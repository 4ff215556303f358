"""The fast part: running statistics of all devices of a family at once, every sample.

For each device and channel: a baseline (mean and variance, learnt from samples that were not flagged),
and exponentially weighted means of the standardised reading at several spans.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cloud.detection.records import Floats, Ints


@dataclass
class BankReading:
    """What the bank found for ``n`` rows: standardised readings ``z`` (n, C), NaN read as 0; smoothed
    ``smooth`` (n, S, C); ``distance`` (n,), how many standard deviations from normal in all."""

    z: Floats
    smooth: Floats
    distance: Floats


class ChannelBank:
    """Running statistics of ``width`` channels for a growing number of devices."""

    def __init__(self, width: int, spans: tuple[int, ...], memory: int) -> None:
        self.width = width
        self.alpha = np.array([2.0 / (s + 1.0) for s in spans])[None, :, None]
        self.memory = memory
        self.count = np.zeros((0, width))
        self.mean = np.zeros((0, width))
        self.var = np.zeros((0, width))
        self.smooth = np.zeros((0, len(spans), width))

    def grow(self, devices: int) -> None:
        """Room for at least ``devices`` rows."""
        have = len(self.count)
        if devices <= have:
            return
        more = max(devices, 2 * have) - have
        for name in ("count", "mean", "var", "smooth"):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros((more, *old.shape[1:]))]))

    def observe(self, rows: Ints, values: Floats) -> BankReading:
        """Take one sample of each of the devices ``rows`` (distinct); NaN and infinities are no reading."""
        seen = np.isfinite(values)
        x = np.where(seen, np.clip(np.nan_to_num(values), -1e30, 1e30), self.mean[rows])
        count, mean, var = self.count[rows], self.mean[rows], self.var[rows]
        sd = np.sqrt(var) + 1e-12 + 1e-9 * np.abs(mean)
        z = np.where(count >= 2, np.clip((x - mean) / sd, -12, 12), 0.0)
        smooth = self.smooth[rows] + self.alpha * (z[:, None, :] - self.smooth[rows])
        scaled = np.abs(smooth) / np.sqrt(self.alpha / (2 - self.alpha))
        distance = scaled.max(axis=(1, 2)) if self.width else np.zeros(len(rows))
        learn = seen & (distance < 6)[:, None] | seen & (count < 30)
        rate = np.where(learn, np.maximum(1.0 / (count + 1), 1.0 / self.memory), 0.0)
        step = x - mean
        self.mean[rows] = mean + rate * step
        self.var[rows] = (1 - rate) * (var + rate * step**2)
        self.count[rows] = count + learn
        self.smooth[rows] = smooth
        return BankReading(z, smooth, distance)
