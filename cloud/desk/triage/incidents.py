"""Storms within the desk's turn: cases of one region that report the same become one incident, and nobody is sent.
Customers are told by outreach (purpose `storm`), to which it is owed in the same transaction.

All within the caller's transaction, before cases are decided: a case of an open storm gets no ticket.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from cloud.db import queries
from cloud.desk.errors import DeskError
from cloud.desk.proposals import dismiss_and_release
from cloud.desk.triage.evidence import Connection
from cloud.desk.triage.settings import TriageSettings
from cloud.desk.triage.storms import Change, HeldIncident, Report, Storm, causes_of, devices_needed, reconcile, storms

_SQL = queries.load("storms")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where and when to look: one cause in one region, with the codes that it shows as."""

    region: str
    cause: str
    codes: tuple[tuple[str, str], ...]
    since: datetime
    until: datetime


@cache
def named_causes() -> dict[str, dict[str, Any]]:
    """The causes that ship (storms.toml): codes, and the words for customers."""
    return tomllib.loads((files("cloud.desk.triage") / "storms.toml").read_text(encoding="utf-8"))


async def fold(
    connection: Connection, cases: Collection[int], now: datetime, settings: TriageSettings, sweep: bool
) -> set[int]:
    """Fold cases that changed into incidents, end those that are over; returns cases to be decided anew."""
    joined: set[int] = set()
    incidents: set[int] = set()
    for place in await _places(connection, cases):
        some, touched = await _fold_place(connection, place, now, settings)
        joined |= some
        incidents |= touched
    if incidents or sweep:
        over_after = timedelta(hours=settings.storm_over_hours)
        await connection.execute(_SQL["settle"], {"now": now, "over_after": over_after, "incidents": list(incidents)})
    cursor = await connection.execute(_SQL["tickets_of_storm"], {"cases": list(joined)})
    for (ticket_no,) in await cursor.fetchall():
        joined |= await dismiss_and_release(connection, ticket_no, now, "storm")
    if incidents:
        await connection.execute(_SQL["owe_notices"], {"incidents": list(incidents)})
    if sweep:
        joined |= {case_no for (case_no,) in await (await connection.execute(_SQL["released"])).fetchall()}
    return joined


async def _places(connection: Connection, cases: Collection[int]) -> list[_Place]:
    if not cases:
        return []
    rows = await (await connection.execute(_SQL["regional_cases"], {"cases": list(cases)})).fetchall()
    if not rows:
        return []
    dictionary = await (await connection.execute(_SQL["meanings"])).fetchall()
    named = {cause: entry["codes"] for cause, entry in named_causes().items()}
    cause_of = causes_of(named, dictionary)
    codes: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair, cause in cause_of.items():
        codes[cause].append(pair)
    spans: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for region, model, problem, first, last in rows:
        if (model, problem) in cause_of:
            spans[region, cause_of[model, problem]] += [first, last]
    return [
        _Place(region, cause, tuple(codes[cause]), min(times), max(times))
        for (region, cause), times in sorted(spans.items())
    ]


async def _fold_place(
    connection: Connection, place: _Place, now: datetime, settings: TriageSettings
) -> tuple[set[int], set[int]]:
    """One cause in one region; returns the cases that joined and the incidents concerned."""
    await connection.execute(_SQL["lock_place"], {"region": place.region, "cause": place.cause})
    window = settings.storm_window
    held = await _held(connection, place, place.since - window, place.until + window)
    # Whatever belongs to an incident nearby is read too, so that it is found again as a whole.
    since = min([place.since, *(h.began_at for h in held)]) - window
    until = max([place.until, *(h.last_at for h in held)]) + window
    reports = await _reports(connection, place, since, until)
    if len({report.device_no for report in reports}) < settings.storm_least:
        return set(), set()
    row = await (await connection.execute(_SQL["region_devices"], {"region": place.region, "now": now})).fetchone()
    devices = int(row[0]) if row else 0
    needed = devices_needed(devices, settings.storm_usual_per_year, window, settings.storm_odds, settings.storm_least)
    joined: set[int] = set()
    incidents: set[int] = set()
    for change in reconcile(held, storms(reports, window, needed)):
        incident_no = await _write(connection, place, change, needed, devices)
        cursor = await connection.execute(
            _SQL["join_incident"], {"incident_no": incident_no, "cases": list(change.storm.cases)}
        )
        joined |= {case_no for (case_no,) in await cursor.fetchall()}
        incidents.add(incident_no)
    return joined, incidents


async def _held(connection: Connection, place: _Place, since: datetime, until: datetime) -> list[HeldIncident]:
    cursor = await connection.execute(
        _SQL["held"], {"region": place.region, "cause": place.cause, "since": since, "until": until}
    )
    return [HeldIncident(*row) for row in await cursor.fetchall()]


async def _reports(connection: Connection, place: _Place, since: datetime, until: datetime) -> list[Report]:
    cursor = await connection.execute(
        _SQL["reports"],
        {
            "models": [model for model, _ in place.codes],
            "codes": [code for _, code in place.codes],
            "region": place.region,
            "since": since,
            "until": until,
        },
    )
    return [Report(*row) for row in await cursor.fetchall()]


async def _write(connection: Connection, place: _Place, change: Change, needed: int, devices: int) -> int:
    storm = change.storm
    columns = {
        "began_at": storm.began_at,
        "last_at": storm.last_at,
        "devices": storm.devices,
        "sentence": Jsonb(_sentence(place, storm, needed, devices)),
    }
    if change.incident_no is None:
        cursor = await connection.execute(
            _SQL["open_incident"],
            {
                **columns,
                "region": place.region,
                "cause": place.cause,
                "needed": needed,
                "region_devices": devices,
                "words": Jsonb(words_for(place.cause)),
            },
        )
        row = await cursor.fetchone()
        if row is None:
            raise RuntimeError("the incident was not written")
        return int(row[0])
    await connection.execute(_SQL["update_incident"], {**columns, "incident_no": change.incident_no})
    if change.absorbs:
        absorbed = {"into": change.incident_no, "absorbed": list(change.absorbs)}
        await connection.execute(_SQL["absorb_incidents"], absorbed)
    return change.incident_no


def words_for(cause: str) -> dict[str, str]:
    """What customers are told about a cause."""
    entry = named_causes().get(cause)
    if entry is not None:
        return {"en": entry["en"], "zh": entry["zh"]}
    return {
        "en": "Several homes in your area report the same trouble at the same time. We are looking into its common "
        "cause.",
        "zh": "您所在区域多户同时报告相同问题。我们正在查找共同原因。",
    }


def _sentence(place: _Place, storm: Storm, needed: int, devices: int) -> dict[str, str]:
    return {
        "en": f"{storm.devices} devices of region {place.region} ({devices:,} in all) report the same "
        f"({place.cause.replace('_', ' ')}) at one time; {needed} could not be chance.",
        "zh": f"{place.region} 区域共 {devices:,} 台设备，其中 {storm.devices} 台同时报告相同问题"
        f"（{place.cause}）；达到 {needed} 台即不可能是偶然。",
    }


# --- for screens ---


async def list_incidents(
    connection: Connection, *, state: str | None = None, before: int | None = None, at_most: int = 50
) -> list[dict[str, Any]]:
    """Incidents, newest first; the columns of view incident_card. `before` is the last number that was read."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["incidents"], {"state": state, "before": before, "at_most": at_most})
        return await cursor.fetchall()


async def members(connection: Connection, incident_no: int, at_most: int = 1000) -> list[dict[str, Any]]:
    """The cases of an incident, oldest first; the columns of view case_card."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["members"], {"incident_no": incident_no, "at_most": at_most})
        return await cursor.fetchall()


async def close_incident(connection: Connection, incident_no: int, person: str, note: str) -> None:
    """A person says that it is over, or was none: what still stands gets its own ticket at the desk's next sweep."""
    if not person.strip() or not note.strip():
        raise DeskError("closing an incident needs a person and a note")
    cursor = await connection.execute(_SQL["close"], {"incident_no": incident_no, "person": person, "note": note})
    if await cursor.fetchone() is None:
        raise DeskError(f"there is no incident {incident_no}")


async def notices(connection: Connection, incident_no: int, at_most: int = 1000) -> list[dict[str, Any]]:
    """How each customer's notice of an incident fares: outreach_no, user_id, state (open, told, exhausted: nothing
    reaches them, cancelled: no more concerned before it was sent), reason, owed_at, and once sent channel, told_at.
    """
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["notices"], {"incident_no": incident_no, "at_most": at_most})
        return await cursor.fetchall()
