"""The literals of a device: what holds of it now, in words that outcomes can confirm.

Sorts of literal, each followed by its subject: ``code`` a fault code came within the last
``code_window_s``; ``drift`` a channel's EWMA at the third span is more than ``drift_sigmas`` of its normal
standard deviation from normal, with its sign (let go at three quarters of that; the
furthest few of a device), and with the level that it has reached; ``anomaly`` the device
as a whole is far from normal; ``longer`` the cycles of a channel have grown; ``old`` a part has been in
for longer than half of those of its kind that were replaced.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from cloud.detection.code_memory import CodeMemory
from cloud.detection.compiled import Bools2, Floats1, Floats2, Given1, Ints1, Signs2, Singles2, compiled
from cloud.detection.conjunctions import Levels
from cloud.detection.growing import grow
from cloud.detection.records import DeviceEvent, EventKind, Floats, Ints

ANOMALY_ON, ANOMALY_OFF = 2.0, 1.0
LONGER_ON, LONGER_OFF = 2.0, 1.0
MOST_DRIFTS = 6  # of a device at once: the furthest
LEVELS = np.array([1.5, 3.0])  # of a drift, in drift_sigmas


@dataclass(slots=True)
class DeviceEvidence:
    """What is remembered of one device: codes with the time they last came, parts with the time they were last
    replaced, and the literals that hold."""

    codes: dict[str, float] = field(default_factory=dict)
    parts: dict[str, float] = field(default_factory=dict)
    literals: frozenset[str] = frozenset()
    levels: Levels = ()  # of the drifts among them, how many of LEVELS each has reached
    changes_at: float = math.inf  # when a literal will begin or lapse by time alone


class Evidence:
    """Literals of all devices of a family."""

    def __init__(self, channels: tuple[str, ...], codes: CodeMemory, code_window_s: float, drift_sigmas: float) -> None:
        self.channels = channels
        self.codes = codes  # the family's: what is told of codes is told here, and passed on
        self.code_window_s = code_window_s
        self.drift_sigmas = drift_sigmas
        self.devices: list[DeviceEvidence] = []
        self.drifts = np.zeros((0, len(channels)), np.int8)
        self.sizes = np.zeros((0, len(channels)), np.float32)
        self.levels = np.zeros((0, len(channels)), np.int8)
        self.flags = np.zeros((0, 2), np.bool_)  # anomaly, longer
        self.changes_at = np.zeros(0)
        self.lives: defaultdict[str, list[float]] = defaultdict(list)

    def grow(self, devices: int) -> None:
        """Room for at least ``devices`` rows."""
        while len(self.devices) < devices:
            self.devices.append(DeviceEvidence())
        grow(self, ("drifts", "sizes", "levels", "flags"), devices)
        grow(self, ("changes_at",), devices, math.inf)

    def happened(self, row: int, event: DeviceEvent) -> None:
        """A code came or went, or a part was replaced."""
        found = self.devices[row]
        if event.kind is EventKind.CODE_RAISED:
            found.codes[event.name] = event.at
            self.codes.raised(row, event.name, event.at)
        elif event.kind is EventKind.CODE_CLEARED:
            self.codes.cleared(row, event.name)
            found.codes[event.name] = max(event.at, found.codes.get(event.name, event.at))
        else:
            if event.name in found.parts:
                self.lives[event.name] = [*self.lives[event.name][-199:], event.at - found.parts[event.name]]
            found.parts[event.name] = event.at
        self.changes_at[row] = -math.inf

    def code_seen(self, row: int, name: str, at: float) -> None:
        """A sample said that a code came; such codes are instants and never stand."""
        self.devices[row].codes[name] = at
        self.codes.seen(row, name, at)
        self.changes_at[row] = -math.inf

    def changed(self, rows: Ints, at: Floats, strength: Floats, surprise: Floats, longer: Floats) -> Ints:
        """Positions among ``rows`` whose literals may have changed.  ``strength`` (n, C) in sigmas."""
        return _changed(
            rows,
            at,
            strength,
            surprise,
            longer,
            self.drift_sigmas,
            self.drifts,
            self.sizes,
            self.levels,
            self.flags,
            self.changes_at,
        )

    def renew(self, row: int, at: float) -> None:
        """Work out the literals of one device at ``at`` with their levels, and when they change next by time alone."""
        found = self.devices[row]
        literals: set[str] = set()
        levels: Levels = ()
        if np.count_nonzero(self.drifts[row]):
            drifted = np.flatnonzero(self.drifts[row])
            furthest = drifted[np.argsort(-self.sizes[row, drifted], kind="stable")[:MOST_DRIFTS]]
            named = [f"drift:{self.channels[c]}{'+' if self.drifts[row, c] > 0 else '-'}" for c in furthest]
            literals.update(named)
            levels = tuple(sorted(zip(named, self.levels[row, furthest].tolist(), strict=True)))
        if self.flags[row, 0] and not literals:  # where channels are named, that says it better
            literals.add("anomaly")
        if self.flags[row, 1]:
            literals.add("longer")
        next_change = math.inf
        standing = self.codes.standing.get(row, {})
        for code, came in list(found.codes.items()):
            if code in standing or at < came + self.code_window_s:
                literals.add(f"code:{code}")
                if code not in standing:
                    next_change = min(next_change, came + self.code_window_s)
            else:
                del found.codes[code]
        for part, since in found.parts.items():
            lives = self.lives.get(part, ())
            if len(lives) < 5:
                continue
            due = since + float(np.median(lives))
            if at >= due:
                literals.add(f"old:{part}")
            else:
                next_change = min(next_change, due)
        found.literals, found.levels, found.changes_at = frozenset(literals), levels, next_change
        self.changes_at[row] = next_change

    def forget(self, row: int) -> None:
        """After a repair: drifts and codes of before say nothing of the device as it is now."""
        self.drifts[row] = self.levels[row] = 0
        self.flags[row] = False
        standing = self.codes.standing.get(row, {})
        self.devices[row].codes = {c: t for c, t in self.devices[row].codes.items() if c in standing}
        self.changes_at[row] = -math.inf


@compiled
def _changed(  # noqa: PLR0917 - the evidence's arrays
    rows: Ints1,
    at: Floats1,
    strength: Floats2,
    surprise: Given1,
    longer: Given1,
    sigmas: float,
    drifts: Signs2,
    sizes: Singles2,
    levels: Signs2,
    flags: Bools2,
    changes_at: Floats1,
) -> Ints:
    """See :meth:`Evidence.changed`."""
    found = np.empty(len(rows), np.int64)
    count = 0
    for i in range(len(rows)):
        row = rows[i]
        moved = changes_at[row] <= at[i]
        for c in range(strength.shape[1]):
            size = abs(strength[i, c])
            sign = 1 if strength[i, c] > 0 else -1
            held = drifts[row, c] == sign
            now = sign if size >= (0.75 * sigmas if held else sigmas) else 0
            level = 0
            if now != 0:
                while level < len(LEVELS) and size >= LEVELS[level] * sigmas:
                    level += 1
                if held:  # the furthest that it has been
                    level = max(level, levels[row, c])
            moved |= now != drifts[row, c] or level != levels[row, c]
            drifts[row, c] = now
            levels[row, c] = level
        anomaly = surprise[i] > (ANOMALY_OFF if flags[row, 0] else ANOMALY_ON)
        grown = longer[i] > (LONGER_OFF if flags[row, 1] else LONGER_ON)
        moved |= anomaly != flags[row, 0] or grown != flags[row, 1]
        flags[row, 0], flags[row, 1] = anomaly, grown
        if moved:
            for c in range(strength.shape[1]):
                sizes[row, c] = abs(strength[i, c])
            found[count] = i
            count += 1
    return found[:count]
