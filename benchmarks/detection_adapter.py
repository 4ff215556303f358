"""The engine behind the contract of the recorded data's scoring code.

``score_stream``, ``feedback``, ``reset`` and ``THRESHOLD``: one engine with its default settings for every
set.  Records of one timestamp are judged together; a verdict or failure is learnt after the records that
came before it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cloud.detection.engine import TICKET_SCORE, Engine
from cloud.detection.records import Outcome, RecordBlock, Verdict

THRESHOLD = TICKET_SCORE

Record = tuple[str, datetime, dict[str, float]]


class Adapter:
    """One engine, fed record by record."""

    THRESHOLD = TICKET_SCORE

    def __init__(self) -> None:
        self.engine = Engine()
        self._waiting: list[Outcome] = []

    def reset(self) -> None:
        """Forget everything: a new fleet."""
        self.__init__()  # type: ignore[misc]

    def feedback(self, message: dict[str, Any]) -> None:
        """A failure or a verdict, in time order between records."""
        at = message["timestamp"].timestamp()
        if message["type"] == "failure":
            outcome = Outcome(message["device_id"], at, at, Verdict.FAILURE, message["kind"])
        else:
            verdict = Verdict.FAULT_CONFIRMED if message["confirmed"] else Verdict.NO_FAULT_FOUND
            ticket = message["ticket_timestamp"].timestamp()
            outcome = Outcome(message["device_id"], ticket, at, verdict, message["kind"])
        self._waiting.append(outcome)

    def score_stream(self, records: Iterable[Record]) -> Iterator[tuple[str, datetime, float]]:
        """One score a record, in order."""
        held: list[Record] = []
        for record in records:
            if held and record[1] != held[0][1]:
                yield from self._judge(held)
                held = []
            held.append(record)
        if held:
            yield from self._judge(held)

    def _judge(self, held: list[Record]) -> Iterator[tuple[str, datetime, float]]:
        at = held[0][1].timestamp()
        scores = [0.0] * len(held)
        groups: dict[tuple[str, ...], list[int]] = {}
        for i, (_, _, channels) in enumerate(held):
            groups.setdefault(tuple(channels), []).append(i)
        for channels, rows in groups.items():
            values = np.array([list(held[i][2].values()) for i in rows], np.float64)
            block = RecordBlock([held[i][0] for i in rows], np.array([at] * len(rows)), channels, values)
            for i, score in zip(rows, self.engine.observe(block).scores.tolist(), strict=True):
                scores[i] = score
        for outcome in self._waiting:
            self.engine.learn(outcome)
        self._waiting.clear()
        for (device, when, _), score in zip(held, scores, strict=True):
            yield device, when, score


_shared = Adapter()


def reset() -> None:
    """See :class:`Adapter`."""
    _shared.reset()


def feedback(message: dict[str, Any]) -> None:
    """See :class:`Adapter`."""
    _shared.feedback(message)


def score_stream(records: Iterable[Record]) -> Iterator[tuple[str, datetime, float]]:
    """See :class:`Adapter`."""
    return _shared.score_stream(records)
