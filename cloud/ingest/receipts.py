"""Receipts to send: what was committed or filed, merged to ranges by device and boot. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from protocols.messages import Committed, Receipt, Rejected
from protocols.topics import Kind, Topic

PIECES = 500
"""Devices, ranges or rejections in one receipt at most: it stays far below the bound of a message."""


def ranges(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Distinct numbers as ascending ranges, both ends included: {1, 2, 3, 7} is ((1, 3), (7, 7))."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return tuple((first, last) for first, last in found)


@dataclass(slots=True)
class ReceiptBook:
    """Gathers what gateways are to be told, until `take`.

    A receipt that is lost costs a repetition, nothing else: the gateway sends again and is told again.
    """

    _committed: dict[str, dict[tuple[str, int], list[int]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    _rejected: dict[str, list[Rejected]] = field(default_factory=lambda: defaultdict(list))

    def __bool__(self) -> bool:
        return bool(self._committed or self._rejected)

    def commit(self, gateway: str, device: str, boot: int, seq: int) -> None:
        """A message of `device` ('-' for the gateway itself) is in the database."""
        self._committed[gateway][device, boot].append(seq)

    def reject(self, gateway: str, rejected: Rejected) -> None:
        """A payload lies among the dead letters."""
        self._rejected[gateway].append(rejected)

    def take(self, now_ms: int) -> list[tuple[str, bytes]]:
        """The receipts as (topic, payload), and an empty book."""
        out: list[tuple[str, bytes]] = []
        for gateway in self._committed.keys() | self._rejected.keys():
            topic = Topic(gateway, Kind.RECEIPT).build()
            pieces: list[Committed | Rejected] = list(self._rejected.get(gateway, ()))
            for (device, boot), numbers in self._committed.get(gateway, {}).items():
                merged = ranges(numbers)
                pieces += [
                    Committed(device=device, boot=boot, ranges=merged[start : start + PIECES])
                    for start in range(0, len(merged), PIECES)
                ]
            out += [(topic, _receipt(chunk, now_ms).encode()) for chunk in _chunks(pieces)]
        self._committed.clear()
        self._rejected.clear()
        return out


def _chunks(pieces: list[Committed | Rejected]) -> Iterable[list[Committed | Rejected]]:
    chunk: list[Committed | Rejected] = []
    weight = 0
    for piece in pieces:
        heavy = len(piece.ranges) if isinstance(piece, Committed) else 1
        if chunk and weight + heavy > PIECES:
            yield chunk
            chunk, weight = [], 0
        chunk.append(piece)
        weight += heavy
    if chunk:
        yield chunk


def _receipt(pieces: list[Committed | Rejected], now_ms: int) -> Receipt:
    return Receipt(
        at=now_ms,
        committed=tuple(piece for piece in pieces if isinstance(piece, Committed)),
        rejected=tuple(piece for piece in pieces if isinstance(piece, Rejected)),
    )
