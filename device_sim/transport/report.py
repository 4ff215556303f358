"""Sent against committed against detected: what the spools accepted, what the database holds, what it made of it.

The database is read by plain SQL, never written. A message counts as

    committed   its (device, boot, seq) is in the table of its kind, once
    waiting     it is still in a spool: owed, not lost
    dropped     a full spool dropped it and said so (loss ledger)
    dead        it lies among the dead letters of its device
    lost        none of these

A ticket's time is `detected_at`, the event time of the first evidence on which it stands: in accelerated time the
wall clock says nothing about lead.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import psycopg

from device_sim.fleet.truth import read_truth, seconds
from device_sim.transport.fleet_run import LEDGER, TRUTH
from device_sim.transport.ledger import Run, read_ledger

TABLES: Final = {"telemetry": "frame", "fault": "fault_report", "loss": "loss_ledger", "reply": "reply"}
"""Where each kind of message leaves a row; births leave none of their own."""

DAY_S: Final = 86_400.0
HORIZON_DAYS: Final = 7.0
"""A ticket so long before a recorded failure, whose onset nobody knows, is held to have foreseen it."""


@dataclass(slots=True)
class Delivery:
    """Messages by fate; every accepted message is in exactly one of them."""

    accepted: int = 0
    committed: int = 0
    waiting: int = 0
    dropped: int = 0
    dead: int = 0
    lost: int = 0
    twice: int = 0
    unaccounted: int = 0
    """Rows of the fleet's boots that no ledger lists (a killed process writes its ledger late)."""


@dataclass(slots=True)
class Foresight:
    """Faults, failures and tickets. Lead times are hours of event time from the ticket to the failure."""

    faults: int = 0
    failures: int = 0
    failures_with_ticket_before: int = 0
    failures_with_ticket_a_day_before: int = 0
    called_before_noticed: int = 0
    noticed: int = 0
    median_lead_h: float | None = None
    tickets: int = 0
    false_tickets: int = 0
    device_months: float = 0.0
    by_kind: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """All figures of one run."""

    frames: Delivery = field(default_factory=Delivery)
    faults: Delivery = field(default_factory=Delivery)
    foresight: Foresight = field(default_factory=Foresight)
    predicted: Foresight = field(default_factory=Foresight)
    """The same, counting only tickets that a prediction stands behind, not the appliance's own codes alone."""

    def as_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        return asdict(self)

    @property
    def nothing_lost(self) -> bool:
        """Whether every accepted message is accounted for and none stands twice."""
        both = (self.frames, self.faults)
        return all(one.lost == 0 and one.twice == 0 for one in both)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as the report sees it: its device and the event time of its first evidence, s.

    predicted: a case of the detector's is among its evidence.
    """

    device: str
    at: float
    problem: str
    predicted: bool = True


def report(folder: Path, database: str, horizon_days: float = HORIZON_DAYS) -> Report:
    """Make the report of a run's folder.

    Raises:
        OSError, ValueError: truth or ledger cannot be read. psycopg.Error: the database cannot.
    """
    runs = list(read_ledger(folder / LEDGER))
    truth = list(read_truth(folder / TRUTH))
    waiting = spooled(folder / "spools")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = on")
        found = Report(
            frames=delivery(connection, runs, "telemetry", waiting),
            faults=delivery(connection, runs, "fault", waiting),
        )
        devices = [line["device"] for line in truth if line["record"] == "device"]
        raised = tickets(connection, devices)
        found.foresight = foresight(truth, raised, horizon_days * DAY_S)
        found.predicted = foresight(truth, [one for one in raised if one.predicted], horizon_days * DAY_S)
    return found


def spooled(folder: Path) -> set[tuple[str, int, int]]:
    """(device, boot, seq) of every message that still waits in the spools of a folder."""
    found: set[tuple[str, int, int]] = set()
    for path in sorted(folder.glob("*.db")) if folder.is_dir() else []:
        spool = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            found.update(spool.execute("SELECT device, boot, seq FROM message"))
        finally:
            spool.close()
    return found


def delivery(
    connection: psycopg.Connection[Any], runs: Iterable[Run], kind: str, waiting: set[tuple[str, int, int]]
) -> Delivery:
    """The fate of every accepted message of one kind."""
    sent: dict[tuple[str, int], set[int]] = defaultdict(set)
    for run in runs:
        if run.kind == kind:
            sent[run.device, run.boot].update(range(run.first, run.last + 1))
    fate = Delivery(accepted=sum(map(len, sent.values())))
    dropped = _dropped(connection, {device for device, _boot in sent}, kind)
    dead = _dead(connection, {device for device, _boot in sent}, kind)
    for (device, boot), seqs in sent.items():
        stored = _stored(connection, TABLES[kind], device, boot)
        there = set(stored)
        fate.twice += len(stored) - len(there)
        fate.committed += len(seqs & there)
        fate.unaccounted += len(there - seqs)
        missing = seqs - there
        owed = {seq for seq in missing if (device, boot, seq) in waiting}
        left = len(missing) - len(owed)
        fate.waiting += len(owed)
        by_drop = min(left, dropped.get(device, 0))
        dropped[device] = dropped.get(device, 0) - by_drop
        by_death = min(left - by_drop, dead.get(device, 0))
        dead[device] = dead.get(device, 0) - by_death
        fate.dropped += by_drop
        fate.dead += by_death
        fate.lost += left - by_drop - by_death
    return fate


def _stored(connection: psycopg.Connection[Any], table: str, device: str, boot: int) -> list[int]:
    inferred = " AND NOT inferred" if table == "fault_report" else ""
    query = (
        f"SELECT seq FROM {table} JOIN device USING (device_no) WHERE device = %s AND boot = %s"  # noqa: S608 - a name from TABLES
        + inferred
    )
    return [int(row[0]) for row in connection.execute(query, (device, boot))]


def _dropped(connection: psycopg.Connection[Any], devices: set[str], kind: str) -> dict[str, int]:
    rows = connection.execute(
        "SELECT device, sum(dropped)::bigint FROM loss_ledger JOIN device USING (device_no)"
        " WHERE device = ANY(%s) AND kind = %s GROUP BY device",
        (list(devices), kind),
    )
    return {device: int(count) for device, count in rows}


def _dead(connection: psycopg.Connection[Any], devices: set[str], kind: str) -> dict[str, int]:
    rows = connection.execute(
        "SELECT split_part(topic, '/', 5), count(*) FROM dead_letter"
        " WHERE split_part(topic, '/', 5) = ANY(%s) AND split_part(topic, '/', 6) = %s GROUP BY 1",
        (list(devices), kind),
    )
    return {device: int(count) for device, count in rows}


def tickets(connection: psycopg.Connection[Any], devices: Sequence[str]) -> list[Ticket]:
    """Every ticket of these devices, whatever became of it."""
    rows = connection.execute(
        "SELECT device, extract(epoch FROM detected_at)::float8, problem, EXISTS (SELECT FROM fault_case c"
        " WHERE c.ticket_no = ticket.ticket_no AND c.source = 'predicted') FROM ticket JOIN device USING (device_no)"
        " WHERE device = ANY(%s) ORDER BY detected_at, device",
        (list(devices),),
    )
    return [Ticket(*row) for row in rows]


def foresight(truth: Sequence[dict[str, Any]], raised: Sequence[Ticket], horizon_s: float) -> Foresight:
    """Compare tickets with the ground truth. Pure.

    A ticket belongs to a fault of its device when it comes between the fault's onset and its end; a recorded
    failure without a known onset is owned from `horizon_s` before it until a day after. A ticket without a fault
    is false. Sensor faults and cured ones own tickets too, but are no failures.
    """
    result = Foresight(tickets=len(raised))
    by_device: dict[str, list[tuple[int, Ticket]]] = defaultdict(list)
    for number, ticket in enumerate(raised):
        by_device[ticket.device].append((number, ticket))
    true: set[int] = set()
    leads: list[float] = []
    for line in truth:
        if line["record"] == "device":
            length = (seconds(line["to"]) or 0.0) - (seconds(line["from"]) or 0.0)
            result.device_months += length / (30.44 * DAY_S)
            continue
        begins, ends = _ownership(line, horizon_s)
        owned = [(number, one) for number, one in by_device[line["device"]] if begins <= one.at <= ends]
        true.update(number for number, _ticket in owned)
        first = min((ticket.at for _number, ticket in owned), default=None)
        lead = _count_fault(result, line, first)
        if lead is not None:
            leads.append(lead)
    result.false_tickets = len(raised) - len(true)
    result.median_lead_h = round(median(leads) / 3600.0, 2) if leads else None
    return result


def _ownership(line: dict[str, Any], horizon_s: float) -> tuple[float, float]:
    onset, failure, ended = seconds(line["onset"]), seconds(line["failure"]), seconds(line["ended"])
    if onset is None:
        at = failure or 0.0
        return at - horizon_s, at + DAY_S
    return onset, float("inf") if ended is None else ended + DAY_S


def _count_fault(result: Foresight, line: dict[str, Any], first: float | None) -> float | None:
    """Count one fault; its lead in s when a ticket came before its failure."""
    failure, noticed = seconds(line["failure"]), seconds(line["noticed"])
    kind = result.by_kind.setdefault(f"{line['family']}/{line['kind']}", {"faults": 0, "tickets": 0, "before": 0})
    result.faults += 1
    kind["faults"] += 1
    kind["tickets"] += first is not None
    if noticed is not None:
        result.noticed += 1
        result.called_before_noticed += first is not None and first < noticed
    if failure is None:
        return None
    result.failures += 1
    if first is None or first >= failure:
        return None
    kind["before"] += 1
    result.failures_with_ticket_before += 1
    result.failures_with_ticket_a_day_before += failure - first >= DAY_S
    return failure - first
