"""From reports and predictions to tickets, on the real database: what becomes one, what does not, what is undone."""

from __future__ import annotations

import pytest

from cloud.desk import tickets
from cloud.desk.errors import FormerOwner
from cloud.desk.settings import DeskSettings
from cloud.registry import ownership
from tests.desk.stage import UNIT, Stage


async def test_a_reported_fault_becomes_a_ticket_with_its_four_codes(stage_on_both: Stage) -> None:
    stage = stage_on_both
    await stage.report(1)
    await stage.turn()
    (card,) = await tickets.list_open(stage.connection)
    assert (card.user_id, card.device, card.gtin, card.serial, card.problem) == ("ann", "chip", *_unit(), "5E")
    assert (card.model, card.family, card.lot, card.severity) == ("WM-90", "washer", "L7", "medium")
    assert card.customer_words["en"] == "Your washer reports that it cannot drain its water."
    assert card.likely_part == "drain_filter"
    assert card.detected_at == card.failed_at == stage.ago(1)
    (seen,) = await tickets.evidence(stage.connection, card.ticket_no)
    assert (seen.kind, seen.first_seen_at, seen.times, seen.probability) == ("reported", stage.ago(1), 1, 1.0)
    (step,) = await tickets.steps(stage.connection, card.ticket_no)
    assert (step.from_state, step.to_state, step.person) == (None, "proposed", "desk")


async def test_further_alarms_and_a_prediction_of_the_same_problem_gather_in_one_ticket(stage: Stage) -> None:
    await stage.predict(30, probability=0.6)
    await stage.hear(0.1)
    await stage.turn()
    (card,) = await tickets.list_open(stage.connection)
    assert card.probability == pytest.approx(0.6)
    assert card.failed_at is None
    assert "still works" in card.customer_words["en"]
    await stage.report(3)
    await stage.report(2.9, raised=False)
    await stage.report(1)
    await stage.turn()
    (card,) = await tickets.list_open(stage.connection)
    assert (card.probability, card.detected_at, card.failed_at) == (1.0, stage.ago(30), stage.ago(3))
    seen = await tickets.evidence(stage.connection, card.ticket_no)
    assert [(e.kind, e.first_seen_at) for e in seen] == [
        ("predicted", stage.ago(30)),
        ("reported", stage.ago(3)),
        ("cleared", stage.ago(2.9)),
        ("reported", stage.ago(1)),
    ]
    assert len(await stage.tickets()) == 1


async def test_an_anomaly_needs_no_dictionary_and_gets_words_all_the_same(stage: Stage) -> None:
    await stage.predict(1, problem="anomaly")
    await stage.turn()
    (card,) = await tickets.list_open(stage.connection)
    assert (card.definition_no, card.severity) == (None, "medium")
    assert card.customer_words["en"].startswith("Your washer has lately behaved differently")
    assert "洗衣机" in card.customer_words["zh"]


async def test_a_case_names_what_is_missing_and_is_completed_when_it_comes(stage: Stage) -> None:
    row = await stage.rows("INSERT INTO device (device) VALUES ('late') RETURNING device_no")
    await stage.report(5, code="E9", device_no=row[0][0])
    await stage.turn()
    seen = [(await stage.cases())[0][2]]
    await ownership.register_device(stage.connection, "late", "test")
    await stage.turn()
    seen.append((await stage.cases())[0][2])
    await ownership.register_product(stage.connection, type(UNIT)("09520012345674", "T1"))
    await ownership.fit(stage.connection, "late", type(UNIT)("09520012345674", "T1"), "test")
    await stage.turn()
    seen.append((await stage.cases())[0][2])
    await stage.rows("INSERT INTO trade_item VALUES ('09520012345674', 'DW-14') RETURNING gtin")
    await stage.turn()
    seen.append((await stage.cases())[0][2])
    await stage.rows(
        "INSERT INTO fault_definition (model, code, version, known, meaning, severity, safety, stops, self_help, "
        "likely_parts, customer_words, confirmation_rule, source) SELECT model, 'E9', 1, known, meaning, severity, "
        "safety, stops, self_help, likely_parts, customer_words, confirmation_rule, source FROM fault_definition "
        "WHERE model = 'DW-14' AND code = 'E24' RETURNING code"
    )
    await stage.turn()
    seen.append((await stage.cases())[0][2])
    assert await stage.tickets() == []
    await ownership.bind(stage.connection, "late", "bo", stage.ago(48), "test")
    await stage.turn()
    seen.append((await stage.cases())[0][2])
    assert seen == [
        ["device", "user", "product"],
        ["user", "product"],
        ["user", "model"],
        ["user", "code"],
        ["user"],
        [],
    ]
    assert await stage.tickets() == [("E9", "bo", "proposed", None)]


async def test_after_a_resale_the_new_owner_is_called_and_the_former_never(stage: Stage) -> None:
    await stage.report(5)
    await stage.turn()
    (card,) = await tickets.list_open(stage.connection)
    await tickets.confirm(stage.connection, card.ticket_no, "eva")
    await ownership.transfer(stage.connection, "chip", "bo", stage.ago(2), "test")
    with pytest.raises(FormerOwner):  # before the desk had its turn
        await tickets.contact(stage.connection, card.ticket_no, "eva")
    await stage.turn()
    assert await stage.tickets() == [
        ("5E", "ann", "dismissed", "former_owner"),
        ("5E", "bo", "proposed", None),
    ]
    assert (await stage.cases())[0][1] == "ann", "the case stays with whom it happened to"


async def test_a_backdated_contact_does_not_get_round_the_rule(stage: Stage) -> None:
    await stage.report(5)
    await stage.turn()
    (card,) = await tickets.list_open(stage.connection)
    await tickets.confirm(stage.connection, card.ticket_no, "eva")
    await ownership.transfer(stage.connection, "chip", "bo", stage.ago(2), "test")
    with pytest.raises(FormerOwner):
        await tickets.contact(stage.connection, card.ticket_no, "eva", at=stage.ago(3))


async def test_a_correction_that_the_user_never_had_it_retracts_the_ticket(stage: Stage) -> None:
    await stage.report(5)
    await stage.turn()
    held = await ownership.owner(stage.connection, "chip")
    assert held is not None
    await ownership.correct(stage.connection, held.binding_no, "test", user_id="bo")
    await stage.turn()
    assert await stage.tickets() == [("5E", "ann", "dismissed", "wrong_owner"), ("5E", "bo", "proposed", None)]
    assert (await stage.cases())[0][1] == "bo"


async def test_a_resold_device_whose_fault_was_over_before_calls_nobody(stage: Stage) -> None:
    await ownership.transfer(stage.connection, "chip", "bo", stage.ago(2), "test")
    for minute in range(5):
        await stage.report(4 - minute / 60)
        await stage.report(4 - minute / 60 - 0.005, raised=False)
    stage.settings = DeskSettings(over_after_hours=10)
    await stage.turn()
    assert await stage.tickets() == []
    assert [case[3] for case in await stage.cases()] == ["former_owner"]


async def test_a_transfer_dated_ahead_takes_effect_when_its_time_has_come(stage: Stage) -> None:
    await stage.report(5)
    await stage.turn()
    await stage.rows(
        "SELECT registry_transfer(device_no, 'bo', clock_timestamp() + interval '50 ms', clock_timestamp(), 'test') "
        "FROM binding WHERE upper_inf(known)"
    )
    await stage.turn()
    assert [t[1:3] for t in await stage.tickets()] == [("ann", "proposed")]
    await stage.rows("SELECT pg_sleep(0.06)")
    await stage.turn()
    assert [t[1:3] for t in await stage.tickets()] == [("ann", "dismissed"), ("bo", "proposed")]


async def test_no_ticket_about_a_fault_that_is_over(stage: Stage) -> None:
    await stage.report(9)
    await stage.report(8, raised=False)
    await stage.turn()
    assert await stage.tickets() == []
    assert [case[3] for case in await stage.cases()] == ["over"]


async def test_a_backlog_of_days_ago_waits_until_the_device_is_heard_of(stage: Stage) -> None:
    await stage.report(100)
    await stage.turn()
    assert [case[3] for case in await stage.cases()] == ["stale"]
    await stage.hear(90)
    await stage.turn()
    assert await stage.tickets() == [], "old telemetry of the backlog is no news"
    await stage.hear(0.1)
    await stage.turn()
    assert [t[2] for t in await stage.tickets()] == ["proposed"]


async def test_a_backlog_whose_fault_cleared_long_ago_never_calls(stage: Stage) -> None:
    await stage.report(100)
    await stage.turn()
    await stage.report(80, raised=False)
    await stage.hear(0.1)
    await stage.turn()
    assert await stage.tickets() == []
    assert [case[3] for case in await stage.cases()] == ["over"]


async def test_a_fault_that_clears_takes_its_unconfirmed_ticket_away_after_a_while(stage: Stage) -> None:
    await stage.report(5)
    await stage.turn()
    await stage.report(0.5, raised=False)
    await stage.turn()
    assert [t[2] for t in await stage.tickets()] == ["proposed"], "it may only be chattering"
    stage.settings = DeskSettings(over_after_hours=0.25)
    await stage.turn()
    assert await stage.tickets() == [("5E", "ann", "dismissed", "over")]


async def test_a_fault_that_clears_leaves_a_confirmed_ticket_to_a_person(stage: Stage) -> None:
    await stage.report(5)
    await stage.turn()
    (card,) = await tickets.list_open(stage.connection)
    await tickets.confirm(stage.connection, card.ticket_no, "eva")
    await stage.report(4, raised=False)
    await stage.turn()
    (card,) = await tickets.list_open(stage.connection)
    assert (card.state, card.fault_stands) == ("confirmed", False)


async def test_a_fault_that_chatters_is_one_case_and_one_ticket(stage: Stage) -> None:
    for n in range(12):
        await stage.report(3 - n / 60, raised=n % 2 == 0)
        await stage.turn()
    assert len(await stage.cases()) == 1
    assert (await stage.cases())[0][4] == 6
    assert len(await stage.tickets()) == 1


async def test_a_late_report_joins_two_cases_and_keeps_the_ticket(stage: Stage) -> None:
    await stage.report(5)
    await stage.report(4.9, raised=False)
    await stage.report(4.5)
    await stage.turn()
    assert len(await stage.cases()) == 2
    await stage.report(4.8)
    await stage.report(4.6, raised=False)
    await stage.turn()
    assert [(case[4], case[5]) for case in await stage.cases()] == [(3, True)]
    ((ticket_no, merged),) = await stage.rows(
        "SELECT (SELECT ticket_no FROM fault_case WHERE merged_into IS NULL), "
        "(SELECT count(*) FROM fault_case WHERE merged_into IS NOT NULL)"
    )
    assert (ticket_no, merged) == (1, 1)


async def test_a_prediction_that_is_cleared_ends_its_case(stage: Stage) -> None:
    number = await stage.predict(60)
    await stage.hear(0.1)
    await stage.turn()
    await stage.unpredict(number, 30)
    await stage.turn()
    assert [case[5] for case in await stage.cases()] == [False]
    assert await stage.tickets() == [("5E", "ann", "dismissed", "over")]


async def test_a_dismissed_ticket_is_not_raised_again_by_the_same_episode_but_by_the_next(stage: Stage) -> None:
    await stage.report(5)
    await stage.turn()
    await tickets.dismiss(stage.connection, 1, "eva", "customer abroad")
    await stage.report(4)
    await stage.turn()
    assert len(await stage.tickets()) == 1
    await stage.report(3, raised=False)
    await stage.report(1)
    await stage.turn()
    assert [t[2] for t in await stage.tickets()] == ["dismissed", "proposed"]


async def test_a_replay_dates_tickets_by_their_evidence_whatever_its_speed(stage: Stage) -> None:
    stage.settings = DeskSettings(clock="event")
    await stage.report(2_000 - 1_990, code="UE")
    await stage.report(900)
    await stage.report(890, raised=False)
    await stage.turn()
    rows = await stage.rows("SELECT problem, raised_at, state, closed_at FROM ticket ORDER BY raised_at")
    assert rows == [
        ("5E", stage.ago(900), "dismissed", stage.ago(889)),
        ("UE", stage.ago(10), "proposed", None),
    ]
    assert (await stage.rows("SELECT desk_now()"))[0][0] == stage.ago(10)


async def test_unknown_codes_are_shown_in_quarantine(stage: Stage) -> None:
    await stage.report(3, code="X7")
    await stage.turn()
    assert await stage.rows("SELECT model, code, cases, devices FROM unknown_code") == [("WM-90", "X7", 1, 1)]


async def test_the_same_turn_twice_changes_nothing(stage: Stage) -> None:
    await stage.report(3)
    await stage.predict(2, problem="UE")
    await stage.turn()
    before = await stage.cases(), await stage.tickets(), await stage.rows("SELECT count(*) FROM ticket_step")
    await stage.rows("UPDATE tail_cursor SET xid = '0', batch_no = 0 RETURNING consumer")  # as if nothing had been read
    await stage.turn()
    assert (await stage.cases(), await stage.tickets(), await stage.rows("SELECT count(*) FROM ticket_step")) == before


def _unit() -> tuple[str, str]:
    return UNIT.gtin, UNIT.serial
