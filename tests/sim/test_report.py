"""The report: every accepted message has one fate, and tickets are held against the ground truth."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest

from device_sim.fleet.truth import iso, read_truth
from device_sim.transport.report import Ticket, foresight, report
from device_sim.transport.report_table import table
from tests.sim.worlds import DAY, START

# --- foresight, pure ---


def _fault(device: str, onset: float | None, failure: float | None, ended: float | None = None) -> dict[str, Any]:
    return {
        "record": "fault", "device": device, "family": "fridge", "kind": "fan", "onset": iso(onset),
        "failure": iso(failure), "noticed": iso(failure and failure + 3600), "ended": iso(ended),
    }  # fmt: skip


def _device(device: str, days: float = 30.44) -> dict[str, Any]:
    return {"record": "device", "device": device, "from": iso(START), "to": iso(START + days * DAY)}


def test_a_ticket_between_onset_and_end_foresaw_the_failure() -> None:
    truth = [_fault("a", START, START + 5 * DAY, START + 8 * DAY), _device("a"), _device("b")]
    tickets = [Ticket("a", START + 2 * DAY, "Er FF"), Ticket("b", START + 2 * DAY, "anomaly")]
    found = foresight(truth, tickets, 7 * DAY)
    assert (found.failures, found.failures_with_ticket_before, found.failures_with_ticket_a_day_before) == (1, 1, 1)
    assert found.median_lead_h == 72.0
    assert (found.called_before_noticed, found.noticed) == (1, 1)
    assert (found.tickets, found.false_tickets) == (2, 1)
    assert found.device_months == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("at", "before", "a_day_before", "false"),
    [(-0.5, 0, 0, 1), (4.5, 1, 0, 0), (5.5, 0, 0, 0), (20.0, 0, 0, 1)],
    ids=["before the onset", "half a day before", "after the failure", "long after the repair"],
)
def test_a_ticket_counts_by_its_time(at: float, before: int, a_day_before: int, false: int) -> None:
    truth = [_fault("a", START, START + 5 * DAY, START + 8 * DAY), _device("a")]
    found = foresight(truth, [Ticket("a", START + at * DAY, "x")], 7 * DAY)
    counted = (found.failures_with_ticket_before, found.failures_with_ticket_a_day_before, found.false_tickets)
    assert counted == (before, a_day_before, false)


def test_a_recorded_failure_owns_the_tickets_of_its_horizon() -> None:
    truth = [_fault("a", None, START + 10 * DAY, START + 10 * DAY), _device("a")]
    tickets = [Ticket("a", START + day * DAY, "x") for day in (1.0, 6.0, 9.5)]
    found = foresight(truth, tickets, 7 * DAY)
    assert (found.failures_with_ticket_a_day_before, found.false_tickets) == (1, 1)
    assert found.median_lead_h == 96.0


def test_a_fault_that_has_not_failed_yet_owns_its_tickets_and_is_no_failure() -> None:
    truth = [_fault("a", START, None), _device("a")]
    found = foresight(truth, [Ticket("a", START + DAY, "x")], 7 * DAY)
    assert (found.faults, found.failures, found.false_tickets, found.median_lead_h) == (1, 0, 0, None)


# --- delivery, on a real database ---


def _run_folder(folder: Path) -> Path:
    sent = [
        {"gateway": "gw", "device": "d1", "boot": 5, "kind": "telemetry", "first": 1, "last": 6},
        {"gateway": "gw", "device": "d1", "boot": 5, "kind": "fault", "first": 7, "last": 7},
        {"gateway": "gw", "device": "d1", "boot": 6, "kind": "telemetry", "first": 1, "last": 2},
    ]
    (folder / "sent.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sent))
    truth = [_fault("d1", START, START + 2 * DAY, START + 3 * DAY), _device("d1")]
    (folder / "truth.jsonl").write_text("".join(json.dumps(row) + "\n" for row in truth))
    (folder / "spools").mkdir()
    spool = sqlite3.connect(folder / "spools" / "gw.db")
    spool.execute("CREATE TABLE message (device text, boot int, seq int)")
    spool.execute("INSERT INTO message VALUES ('d1', 6, 2)")
    spool.commit()
    spool.close()
    return folder


def _store(connection: psycopg.Connection[Any], frames: list[tuple[int, int]]) -> None:
    connection.execute("INSERT INTO device (device) VALUES ('d1')")
    for boot, seq in frames:
        _frame(connection, boot, seq, START + seq)


def _frame(connection: psycopg.Connection[Any], boot: int, seq: int, at: float) -> None:
    connection.execute(
        "INSERT INTO frame (device_no, started_at, boot, seq, gateway_no, channel_set, period_ms, samples, channels,"
        " flags, readings, batch_no, ingested_at)"
        " SELECT device_no, to_timestamp(%s), %s, %s, 1, 1, 1000, 1, 1, 0, '{1}', 1, now() FROM device",
        (at, boot, seq),
    )


def _fault_report(connection: psycopg.Connection[Any], seq: int) -> None:
    connection.execute(
        "INSERT INTO fault_report (device_no, occurred_at, boot, seq, code, raised, gateway_no, batch_no, ingested_at)"
        " SELECT device_no, to_timestamp(%s), 5, %s, 'Er FF', true, 1, 1, now() FROM device",
        (START, seq),
    )


def test_every_message_has_one_fate(database: str, tmp_path: Path) -> None:
    folder = _run_folder(tmp_path)
    with psycopg.connect(database, autocommit=True) as connection:
        _partitions(connection)
        _store(connection, [(5, 1), (5, 2), (5, 3), (6, 1)])
        _fault_report(connection, 7)
        connection.execute(
            "INSERT INTO dead_letter (topic, payload, reason, detail, digest)"
            " VALUES ('fc/1/up/gw/d1/telemetry', '\\x00', 'malformed', 'cut short', '0123456789abcdef')"
        )
        connection.execute("INSERT INTO gateway (gateway, partition) VALUES ('gw', 0)")
        connection.execute(
            "INSERT INTO loss_ledger SELECT 1, device_no, 5, 99, 'telemetry', 1, 10, now(), now(), now() FROM device"
        )
    found = report(folder, database)
    frames = found.frames
    # of 8 frames: 4 stored, 1 in the spool, 1 dropped and told, 1 dead, and the last one is lost
    fates = (frames.accepted, frames.committed, frames.waiting, frames.dropped, frames.dead, frames.lost)
    assert fates == (8, 4, 1, 1, 1, 1)
    assert (found.faults.accepted, found.faults.committed, found.faults.lost) == (1, 1, 0)
    assert not found.nothing_lost
    assert "lost" in table(found)
    assert json.loads(json.dumps(found.as_dict()))["frames"]["lost"] == 1


def test_a_frame_that_stands_twice_is_seen(database: str, tmp_path: Path) -> None:
    folder = _run_folder(tmp_path)
    with psycopg.connect(database, autocommit=True) as connection:
        _partitions(connection)
        _store(connection, [(5, seq) for seq in range(1, 7)] + [(6, 1)])
        _fault_report(connection, 7)
        found = report(folder, database)
        assert found.nothing_lost
        assert (found.frames.committed, found.frames.waiting) == (7, 1)
        _frame(connection, 5, 3, START + 3.5)  # the same boot and seq at another time is another row
    found = report(folder, database)
    assert found.frames.twice == 1
    assert not found.nothing_lost


def test_tickets_with_a_prediction_behind_them_are_counted_apart(database: str, tmp_path: Path) -> None:
    folder = _run_folder(tmp_path)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO device (device) VALUES ('d1')")
        connection.execute("INSERT INTO appliance_family VALUES ('fridge', '{}')")
        connection.execute("INSERT INTO model VALUES ('M', 'fridge', 'M', 'middle', 12)")
        connection.execute("INSERT INTO app_user (user_id) VALUES ('u')")
        connection.execute(
            "INSERT INTO registered_device (device_no, registered_by) SELECT device_no, 'test' FROM device"
        )
        _ticket(connection, "Er FF", START + 1 * DAY)
        foreseen = _ticket(connection, "anomaly", START + 1.5 * DAY)
        connection.execute(
            "INSERT INTO fault_case (device_no, source, problem, prediction_no, occurred_at, last_raised_at, last_at,"
            " missing, judged_at, ticket_no)"
            " SELECT device_no, 'predicted', 'anomaly', 1, now(), now(), now(), '{}', now(), %s FROM device",
            (foreseen,),
        )
    found = report(folder, database)
    assert (found.foresight.tickets, found.predicted.tickets) == (2, 1)
    assert (found.foresight.median_lead_h, found.predicted.median_lead_h) == (24.0, 12.0)
    assert "12.0 h" in table(found)


def _ticket(connection: psycopg.Connection[Any], problem: str, at: float) -> int:
    with connection.transaction():
        row = connection.execute(
            "INSERT INTO ticket (device_no, problem, user_id, gtin, serial, model, severity, safety, probability,"
            " expected_value, rank_reason, customer_words, detected_at, raised_at)"
            " SELECT device_no, %s, 'u', '09520004800013', '1', 'M', 'medium', 'none', 1, 1, '{}', '{}',"
            " to_timestamp(%s), now() FROM device RETURNING ticket_no",
            (problem, at),
        ).fetchone()
        assert row
        connection.execute(
            "INSERT INTO ticket_step (ticket_no, to_state, person, at) VALUES (%s, 'proposed', 'desk', now())", row
        )
    return int(row[0])


def test_a_broken_truth_file_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    path.write_text('{"record": "device", "device": "a"}\n{"record": 1}\n')
    with pytest.raises(ValueError, match="line 2"):
        list(read_truth(path))


def _partitions(connection: psycopg.Connection[Any]) -> None:
    """Make the partition of the test's frames where the database has native ones."""
    kind = connection.execute("SELECT relkind FROM pg_class WHERE relname = 'frame'").fetchone()
    if kind and kind[0] == "p":
        connection.execute("CREATE TABLE frame_of_test PARTITION OF frame DEFAULT")
