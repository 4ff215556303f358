"""What is known of a case, gathered from the database into a dossier, and shown as evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from cloud.db import queries
from cloud.desk.triage import words
from cloud.desk.triage.settings import TriageSettings
from cloud.desk.triage.verdict import Dossier, SelfTest
from cloud.desk.triage.words import Sentence
from cloud.registry.rules import ConfirmationRule

Connection = AsyncConnection[Any]
Row = dict[str, Any]

LONGEST_RULE = timedelta(days=32)
"""Raises so long before a case are read for `repeats`; the shipped catalogue's longest span is two weeks."""

_SQL = queries.load("triage")


@dataclass(frozen=True, slots=True)
class Gathered:
    """A case, what its verdict is judged by, and the same for people to look at."""

    row: Row
    dossier: Dossier
    shown: dict[str, Any]


async def gather(
    connection: Connection, cases: Sequence[int], now: datetime, settings: TriageSettings
) -> list[Gathered]:
    """The dossiers of these cases."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["dossiers"], {"cases": list(cases), "now": now, "longest": LONGEST_RULE})
        rows = await cursor.fetchall()
    return [await _complete(connection, row, now, settings) for row in rows]


async def _complete(connection: Connection, row: Row, now: datetime, settings: TriageSettings) -> Gathered:
    since, until = row["occurred_at"] - settings.around, row["occurred_at"] + settings.around
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["readings"], {"device_no": row["device_no"], "since": since, "until": until})
        channels = await cursor.fetchall()
        peers: Row | None = None
        if row["model"] is not None:
            await cursor.execute(
                _SQL["peers"],
                {
                    "model": row["model"],
                    "lot": row["lot"],
                    "problem": row["problem"],
                    "device_no": row["device_no"],
                    "since": now - timedelta(days=settings.peers_days),
                },
            )
            peers = await cursor.fetchone()
    self_test = read_self_test(row["self_test"], row["reply_outcome"], row["reply_result"], row["self_test_until"], now)
    dossier = Dossier(
        source=row["source"],
        probability=row["probability"],
        occurred_at=row["occurred_at"],
        last_raised_at=row["last_raised_at"],
        cleared_at=row["cleared_at"],
        raised=tuple(row["raised"]),
        heard_at=min(row["heard_at"], now),
        rule=None if row["confirmation_rule"] is None else ConfirmationRule.model_validate(row["confirmation_rule"]),
        readings=means(channels),
        complete_at=until + settings.late,
        self_test=self_test,
        self_test_until=row["self_test_until"],
    )
    return Gathered(row, dossier, _shown(row, dossier, channels, peers))


def means(channels: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Each channel's mean around the fault: of its freeze frame, else of its regular samples."""
    found = {c["channel"]: c["around"] if c["frozen"] is None else c["frozen"] for c in channels}
    return {name: float(mean) for name, mean in found.items() if mean is not None}


def read_self_test(
    command_id: str | None,
    outcome: str | None,
    result: Mapping[str, Any] | None,
    until: datetime | None,
    now: datetime,
) -> SelfTest:
    """How a self-test stands, by the command and its reply. A result without `passed` says nothing."""
    if command_id is None:
        return SelfTest.NOT_ASKED
    if outcome is None:
        return SelfTest.ASKED if until is not None and now < until else SelfTest.NO_ANSWER
    passed = (result or {}).get("passed")
    if outcome != "done" or not isinstance(passed, bool):
        return SelfTest.NO_ANSWER
    return SelfTest.PASSED if passed else SelfTest.FAILED


def _shown(row: Row, dossier: Dossier, channels: Sequence[Row], peers: Row | None) -> dict[str, Any]:
    """JSON for screens: what was gathered, whether or not a rule asked for it."""
    return {
        "channels": [
            {name: _rounded(channel[name]) for name in ("channel", "unit", "frozen", "around", "usual", "samples")}
            for channel in channels
        ],
        "raised": len(dossier.raised),
        "raised_at": [at.isoformat() for at in dossier.raised[-20:]],
        "heard_at": dossier.heard_at.isoformat(),
        "self_test": {"state": dossier.self_test.value, "detail": row["reply_detail"], "result": row["reply_result"]},
        "peers": _peers(row, peers),
    }


def _peers(row: Row, peers: Row | None) -> list[dict[str, Any]]:
    if peers is None:
        return []
    groups: list[tuple[str, str, Sentence]] = [
        ("model", row["model"], {"en": f"Model {row['model']}", "zh": f"型号 {row['model']}"})
    ]
    if row["lot"]:
        groups.append(("lot", row["lot"], {"en": f"Lot {row['lot']}", "zh": f"批次 {row['lot']}"}))
    found = []
    for kind, name, who in groups:
        affected, devices = int(peers[f"of_{kind}"]), peers[f"{kind}_devices"]
        size = None if devices is None else int(devices)
        found.append(
            {
                "kind": kind,
                "name": name,
                "affected": affected,
                "devices": size,
                "sentence": words.peers(who, affected, size),
            }
        )
    return found


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
