"""`firstcall evaluate --challenger`: champion and challenger side by side on the stored stream, and what it is worth.

Both judge the same records from the first to the last, each learning from the same findings at their own time. The
difference is told in failures foreseen, false tickets and money, before anybody rolls the challenger out.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cloud.db import queries
from cloud.detection.evaluation import Failure, Money, Scored, Ticket, TicketDiff, score, ticket_diff
from cloud.detection.replay import replay
from cloud.detection.service import DetectSettings
from cloud.detection.tail import Connection
from cloud.registry.costs import Costs

LEAST_LEAD_S = 12 * 3600.0
GRACE_S = 86_400.0


class BadChallenger(ValueError):
    """A challenger's file is not TOML, or has a key or value that the detector does not know; the text says which."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How two detectors compare on one family's devices; `failures` is how many there were to foresee."""

    family: str
    failures: int
    champion: Scored
    challenger: Scored
    diff: TicketDiff

    @property
    def lines(self) -> list[str]:
        """The comparison in plain words."""
        found = f"{len(self.champion.foreseen)} / {len(self.challenger.foreseen)} of {self.failures}"
        return [f"{self.family}: failures foreseen by champion / challenger: {found}", *self.diff.sentences()]


def read_challenger(path: Path, champion: DetectSettings) -> DetectSettings:
    """The champion's settings with what the TOML file changes: tables `engine` and `alarms`, keys as in settings.md.

    Raises:
        BadChallenger: see there. OSError: the file cannot be read.
    """
    try:
        changes = tomllib.loads(path.read_text(encoding="utf-8"))
        held = champion.model_dump()
        for table, entries in changes.items():
            held[table] = {**held[table], **entries} if isinstance(held.get(table), dict) else entries
        return DetectSettings.model_validate(held | {"detector": "challenger"})
    except (tomllib.TOMLDecodeError, ValidationError, TypeError) as error:
        raise BadChallenger(f"{path}: {error}") from None


async def challenge(
    connection: Connection, champion: DetectSettings, challenger: DetectSettings, costs: Costs | None = None
) -> list[Verdict]:
    """Judge everything that is stored with both, and compare family by family."""
    costs = costs or Costs.load(champion.costs_file)
    failures, family_of = await _failures(connection)
    horizon = champion.engine.horizon_s
    tickets = [await _tickets(connection, settings) for settings in (champion, challenger)]
    verdicts = []
    for family in sorted(set(family_of.values())):
        mine = [failure for failure in failures if family_of.get(failure.device) == family]
        before, after = (
            score([t for t in raised if family_of.get(t.device) == family], mine, horizon, LEAST_LEAD_S, GRACE_S)
            for raised in tickets
        )
        price = costs.of(family)
        money = Money(price.saved(), price.needless())
        verdicts.append(Verdict(family, len(mine), before, after, ticket_diff(before, after, money)))
    return verdicts


async def _tickets(connection: Connection, settings: DetectSettings) -> list[Ticket]:
    result = await replay(connection, settings)
    return [Ticket(device, at, problem) for device, problem, at, _cleared, _probability in result.decisions]


async def _failures(connection: Connection) -> tuple[list[Failure], dict[str, str]]:
    sql = queries.load("detection")
    rows: list[Any] = await (await connection.execute(sql["recorded_failures"])).fetchall()
    families: list[Any] = await (await connection.execute(sql["families"])).fetchall()
    return [Failure(device, at) for device, at in rows], dict(families)
