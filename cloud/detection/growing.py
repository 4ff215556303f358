"""Arrays with a place a device, which grow as devices come."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def grow(part: object, names: Iterable[str], places: int, fill: float = 0.0, axis: int = 0) -> None:
    """Room for at least ``places`` in these arrays of ``part`` along ``axis``; what is new holds ``fill``.  They
    double at least, so that a fleet that comes device by device is not copied once a device."""
    for name in names:
        old = getattr(part, name)
        have = old.shape[axis]
        if places > have:
            shape = (*old.shape[:axis], max(places, 2 * have) - have, *old.shape[axis + 1 :])
            setattr(part, name, np.concatenate([old, np.full(shape, fill, old.dtype)], axis))
