"""Randomness as a function of (seed, device, stream, index): no generator state, no order of drawing.

Each draw is a hash of its coordinates, so a device's trace is the same alone or among ten thousand, sampled
every second or every hour, from the start or from the middle. Only integer arithmetic and one multiplication
stand between the seed and a draw, so the bytes are the same on every machine.
"""

from __future__ import annotations

import random
import zlib
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_LANE: Final = np.uint64(0xFFFF)
_ROOT_3: Final = 1.7320508075688772


def _mix(words: Keys) -> Keys:
    """The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), element by element."""
    words = (words ^ (words >> np.uint64(30))) * _MIX_1
    words ^= words >> np.uint64(27)
    words *= _MIX_2
    words ^= words >> np.uint64(31)
    return words


@lru_cache(maxsize=4096)
def _stream(name: str) -> Keys:
    return _mix(np.array([zlib.crc32(name.encode()) + 1], np.uint64) * _GOLDEN)


def key(seed: int, name: str) -> int:
    """The 64-bit key of a named thing (a device, a region) in the world of `seed`."""
    text = zlib.crc32(f"{seed}/{name}".encode()) << 32 | zlib.crc32(f"{name}/{seed}/key".encode())
    return int(_mix(np.array([text], np.uint64))[0])


def dice(seed: int, *names: str) -> random.Random:
    """A sequential generator of its own for a plan (fault times, habits), independent of every other."""
    return random.Random("/".join((str(seed), *names)))


def draw(keys: Keys, index: NDArray[np.int64], stream: str) -> Keys:
    """64 random bits for each (key, index); the shapes broadcast."""
    return _mix(_mix(keys ^ _stream(stream)) + index.astype(np.uint64) * _GOLDEN)


def uniform(keys: Keys, index: NDArray[np.int64], stream: str) -> Floats:
    """Uniform in [0, 1)."""
    return (draw(keys, index, stream) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(keys: Keys, index: NDArray[np.int64], stream: str) -> Floats:
    """Nearly normal, mean 0, standard deviation 1, never beyond 3.47.

    The sum of four 16-bit uniforms (Irwin-Hall): no logarithm or cosine, whose last bit differs by machine.
    """
    words = draw(keys, index, stream)
    total = (words & _LANE).astype(np.float64)
    for shift in (16, 32, 48):
        total += (words >> np.uint64(shift)) & _LANE
    total -= 131_070.0
    total *= _ROOT_3 / 65_536.0
    return total


def smooth(keys: Keys, at: Floats, scale_s: float, stream: str) -> Floats:
    """Noise that varies over `scale_s` seconds: normal draws on a grid, joined by a smooth step.

    `at` is event time in s; its shape and that of `keys` broadcast. The standard deviation is 1 on the grid
    and about 0.7 between its points.
    """
    cell = np.floor(at / scale_s)
    blend = at / scale_s - cell
    blend = blend * blend * (3.0 - 2.0 * blend)
    index = cell.astype(np.int64)
    before = normal(keys, index, stream)
    return before + blend * (normal(keys, index + 1, stream) - before)
