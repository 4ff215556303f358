"""The device of each row of a block, held as a column: distinct names once, and a number a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cloud.detection.records import Ints


class DeviceColumn(Sequence[str]):
    """Row ``i`` is of ``names[place[i]]``; the ``names`` are distinct, in the order in which they first occur.

    Frames hold many samples of few devices: what is done once a device need not be done once a row.

    >>> list(DeviceColumn(["a", "b"], np.array([0, 1, 0])))
    ['a', 'b', 'a']
    """

    def __init__(self, names: Sequence[str], place: Ints) -> None:
        self.names = names
        self.place = place

    @classmethod
    def of(cls, devices: Sequence[str]) -> DeviceColumn:
        """The column that says the same as ``devices``, which may be one already."""
        if isinstance(devices, cls):
            return devices
        numbers: dict[str, int] = {}
        place = [numbers.setdefault(device, len(numbers)) for device in devices]
        return cls(list(numbers), np.array(place, np.int64))

    def taken(self, rows: Ints) -> DeviceColumn:
        """The column of these rows, among which each device occurs."""
        place = self.place[rows]
        first = np.zeros(len(self.names), np.int64)
        first[place[::-1]] = np.arange(len(place))[::-1]
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        return DeviceColumn([self.names[i] for i in order.tolist()], rank[place])

    def last_rows(self) -> list[int]:
        """The last row of each of ``names``."""
        last = np.zeros(len(self.names), np.int64)
        last[self.place] = np.arange(len(self.place))  # of several rows of one device the last one stays
        return last.tolist()

    def __len__(self) -> int:
        return len(self.place)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self.names[place] for place in self.place[row].tolist()]
        return self.names[int(self.place[row])]

    def __iter__(self) -> Iterator[str]:
        return map(self.names.__getitem__, self.place.tolist())


def looked_up(devices: Sequence[str], numbers: Mapping[str, int]) -> Ints:
    """The number of each row's device; KeyError when one has none."""
    names = devices.names if isinstance(devices, DeviceColumn) else devices
    found = np.fromiter(map(numbers.__getitem__, names), np.int64, len(names))
    return found[devices.place] if isinstance(devices, DeviceColumn) else found
