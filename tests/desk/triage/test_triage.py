"""Triage within the desk's turn, on the real database: evidence gathered, verdicts given, tickets moved, overruled."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from cloud.desk import tickets
from cloud.desk.errors import DeskError, IllegalStep, TicketChanged
from cloud.desk.settings import DeskSettings
from cloud.desk.triage.overrule import overrule, request_self_test, verdict, verdicts
from cloud.desk.triage.settings import TriageSettings
from tests.desk.stage import Stage

MINUTE = 1 / 60


@pytest.fixture
def judging(stage: Stage) -> Stage:
    stage.triage = TriageSettings()
    return stage


async def _drained(stage: Stage, hours_ago: float, drain_time: float, freeze: bool = False) -> None:
    """Two samples of drainTime are committed; the second has no reading."""
    await stage.rows(
        f"INSERT INTO channel_set (device_no, channel_set, names, units, resolutions, roles, period_ms, declared_at) "
        f"VALUES ({stage.device_no}, 7, '{{drainTime}}', '{{s}}', '{{1}}', '{{measurement}}', 1000, now()) "
        "ON CONFLICT (device_no, channel_set) DO UPDATE SET hold_ms = 0 RETURNING 1"
    )
    at = stage.ago(hours_ago)
    await stage.rows(f"SELECT ensure_frame_partitions(ARRAY['{at.isoformat()}'::timestamptz])")
    await stage.connection.execute(
        "INSERT INTO frame VALUES (%s, %s, 2, %s, 1, 7, 1000, 2, 1, %s, ARRAY[%s, 'NaN']::real[], 1, now())",
        [stage.device_no, at, int(hours_ago * 3600), int(freeze), drain_time],
    )


async def _reply(stage: Stage, command_id: str, outcome: str, result: dict[str, Any]) -> None:
    await stage.connection.execute(
        "INSERT INTO reply VALUES (%s, %s, 1, (SELECT count(*) FROM reply), %s, '', %s, now())",
        [stage.device_no, command_id, outcome, Jsonb(result)],
    )


async def _only_verdict(stage: Stage, ticket_no: int = 1) -> str:
    found = await verdict(stage.connection, ticket_no)
    assert found is not None
    return found.verdict


async def test_a_leak_is_confirmed_at_once_and_the_step_says_why(stage_on_both: Stage) -> None:
    stage = stage_on_both
    stage.triage = TriageSettings()
    await stage.report(1, code="LE")
    turn = await stage.turn()
    assert (turn.examined.judged, turn.examined.confirmed) == (1, 1)
    (card,) = await tickets.list_open(stage.connection)
    assert card.state == "confirmed"
    *_, step = await tickets.steps(stage.connection, card.ticket_no)
    assert (step.person, step.reason) == (
        "desk", "The code alone is enough: waiting would cost more than a needless call."
    )  # fmt: skip
    (past,) = await verdicts(stage.connection, card.ticket_no)
    assert (past.verdict, past.person) == ("confirmed", "desk")


async def test_repetition_is_read_from_earlier_episodes(judging: Stage) -> None:
    await judging.report(30)
    await judging.report(29.9, raised=False)
    await judging.turn()
    await judging.report(1)
    await judging.turn()
    found = await verdict(judging.connection, 1)
    assert found is not None
    assert (found.verdict, found.evidence["raised"]) == ("confirmed", 2)


@pytest.mark.parametrize(("freeze", "expected"), [(True, "confirmed"), (False, "confirmed")])
async def test_the_channel_of_the_rule_is_read_around_the_fault(judging: Stage, freeze: bool, expected: str) -> None:
    await _drained(judging, 1 - 2 * MINUTE, 95.0, freeze)
    await _drained(judging, 20, 20.0)  # of another cycle: no evidence
    await judging.report(1)
    await judging.turn()
    found = await verdict(judging.connection, 1)
    assert found is not None
    assert found.verdict == expected
    assert [(c["channel"], c["unit"], c["samples"]) for c in found.evidence["channels"]] == [("drainTime", "s", 1)]


async def test_the_freeze_frame_counts_before_regular_samples(judging: Stage) -> None:
    await _drained(judging, 1, 95.0, freeze=True)
    await _drained(judging, 1 + 5 * MINUTE, 20.0)
    await judging.report(1)
    await judging.turn()
    assert await _only_verdict(judging) == "confirmed"


async def test_without_evidence_a_person_is_needed_and_the_ticket_stays(judging: Stage) -> None:
    await judging.report(1)
    await judging.turn()
    assert await _only_verdict(judging) == "needs_person"
    assert [t[2] for t in await judging.tickets()] == ["proposed"]


async def test_a_fault_that_stands_is_confirmed_when_its_time_has_come(judging: Stage) -> None:
    await judging.report(5 * MINUTE, code="8E")  # persists 30 min
    await judging.turn()
    assert await _only_verdict(judging) == "waiting"
    await judging.rows("UPDATE triage SET look_at = desk_now() RETURNING 1")
    await judging.rows("UPDATE fault_case SET last_raised_at = last_raised_at - interval '26 min', "
                       "occurred_at = occurred_at - interval '26 min' RETURNING 1")  # fmt: skip
    await judging.hear(0.001)
    await judging.turn()
    assert await _only_verdict(judging) == "confirmed"


async def test_a_fault_that_was_too_short_is_refuted_and_dismissed(judging: Stage) -> None:
    judging.settings = DeskSettings(chatter_gap_minutes=1)
    await judging.report(10 * MINUTE, code="8E")
    await judging.turn()
    await judging.report(5 * MINUTE, code="8E", raised=False)
    turn = await judging.turn()
    assert turn.examined.refuted == 1
    assert await judging.tickets() == [("8E", "ann", "dismissed", "refuted")]


async def test_verdicts_that_only_advise_move_nothing(judging: Stage) -> None:
    judging.triage = TriageSettings(acts=False)
    await judging.report(1, code="LE")
    await judging.turn()
    assert await _only_verdict(judging) == "confirmed"
    assert [t[2] for t in await judging.tickets()] == ["proposed"]


async def test_the_device_is_asked_once_and_its_answer_decides(judging: Stage) -> None:
    await judging.report(1, code="3E")  # repeats 2 in 24 h; self_test
    for _ in range(3):
        await judging.turn()
        await judging.rows("UPDATE triage SET look_at = '-infinity' RETURNING 1")
    ((command_id, instruction),) = await judging.rows("SELECT command_id, instruction FROM command")
    assert (command_id, instruction) == ("self-test-1-0", {"action": "self_test"})
    assert await _only_verdict(judging) == "waiting"
    await _reply(judging, command_id, "done", {"passed": False})
    await judging.turn()
    assert await _only_verdict(judging) == "confirmed"
    assert [t[2] for t in await judging.tickets()] == ["confirmed"]


async def test_an_answer_is_looked_at_when_it_comes_and_not_when_it_was_awaited(judging: Stage) -> None:
    await judging.report(1, code="3E")
    await judging.turn()
    await judging.rows("UPDATE triage SET look_at = desk_now() + interval '1 day' RETURNING 1")
    await _reply(judging, "self-test-1-0", "refused", {})
    await judging.turn()
    assert await _only_verdict(judging) == "needs_person"
    assert await request_self_test(judging.connection, 1, "eva", TriageSettings()) == "self-test-1-1"
    await judging.turn()
    assert await _only_verdict(judging) == "waiting"
    await _reply(judging, "self-test-1-1", "done", {"passed": False})
    await judging.turn()
    assert await _only_verdict(judging) == "confirmed"


async def test_same_model_and_lot_are_part_of_the_evidence(judging: Stage) -> None:
    await judging.rows("INSERT INTO cohort_size VALUES ('WM-90', 'L7', 40), ('WM-90', 'L8', 60) RETURNING 1")
    await judging.report(1, code="LE")
    await judging.turn()
    found = await verdict(judging.connection, 1)
    assert found is not None
    assert [(p["kind"], p["name"], p["affected"], p["devices"]) for p in found.evidence["peers"]] == [
        ("model", "WM-90", 0, 100),
        ("lot", "L7", 0, 40),
    ]


async def test_a_backlog_that_comes_days_late_never_leads_to_a_call(judging: Stage) -> None:
    await judging.report(100, code="LE")
    await judging.turn()
    assert await judging.tickets() == []
    await judging.report(99, code="LE", raised=False)
    await judging.hear(0.1)
    await judging.turn()
    assert await judging.tickets() == []


async def test_a_confirmation_on_old_news_is_taken_back_when_the_clear_arrives_late(judging: Stage) -> None:
    await judging.report(20, code="LE")
    await judging.turn()
    assert [t[2] for t in await judging.tickets()] == ["confirmed"]
    await judging.report(19, code="LE", raised=False)
    await judging.turn()
    assert await judging.tickets() == [("LE", "ann", "dismissed", "over")]


async def test_what_a_person_confirmed_is_not_taken_back(judging: Stage) -> None:
    await judging.report(20)
    await judging.turn()
    await overrule(judging.connection, 1, "eva", "confirmed", "the customer wrote")
    await judging.report(19, raised=False)
    await judging.turn()
    assert [t[2] for t in await judging.tickets()] == ["confirmed"]
    assert await _only_verdict(judging) == "confirmed"
    assert [(v.verdict, v.person, v.note) for v in await verdicts(judging.connection, 1)] == [
        ("needs_person", "desk", ""),
        ("confirmed", "eva", "the customer wrote"),
    ]


async def test_a_person_refutes_what_the_desk_confirmed(judging: Stage) -> None:
    await judging.report(1, code="LE")
    await judging.turn()
    await overrule(judging.connection, 1, "eva", "refuted", "a test in the factory")
    await judging.turn()
    assert await judging.tickets() == [("LE", "ann", "dismissed", "refuted: a test in the factory")]
    with pytest.raises(IllegalStep, match="cannot be changed"):
        await overrule(judging.connection, 1, "eva", "confirmed", "after all")


async def test_what_the_desk_refuted_is_opened_anew(judging: Stage) -> None:
    judging.settings = DeskSettings(chatter_gap_minutes=1)
    await judging.report(10 * MINUTE, code="8E")
    await judging.turn()
    await judging.report(5 * MINUTE, code="8E", raised=False)
    await judging.turn()
    assert await overrule(judging.connection, 1, "eva", "confirmed", "the customer heard it too") == 2
    await judging.turn()
    assert [t[2:] for t in await judging.tickets()] == [("dismissed", "refuted"), ("confirmed", None)]
    assert await judging.rows("SELECT ticket_no FROM fault_case") == [(2,)]


async def test_overruling_needs_a_reason_and_the_version_that_was_read(judging: Stage) -> None:
    await judging.report(1)
    await judging.turn()
    with pytest.raises(DeskError, match="reason"):
        await overrule(judging.connection, 1, "eva", "confirmed", " ")
    with pytest.raises(TicketChanged):
        await overrule(judging.connection, 1, "eva", "confirmed", "seen", version=99)
    assert await _only_verdict(judging) == "needs_person"


async def test_the_same_turn_twice_gives_no_second_verdict_and_no_second_command(judging: Stage) -> None:
    await judging.report(1, code="3E")
    await judging.report(1, code="LE")
    await judging.turn()
    counted = (
        "SELECT (SELECT count(*) FROM verdict), (SELECT count(*) FROM command), (SELECT count(*) FROM ticket_step)"
    )
    before = await judging.rows(counted)
    await judging.rows("UPDATE tail_cursor SET xid = '0', batch_no = 0 RETURNING consumer")
    await judging.rows("UPDATE triage SET look_at = '-infinity' RETURNING 1")
    await judging.turn()
    assert await judging.rows(counted) == before
