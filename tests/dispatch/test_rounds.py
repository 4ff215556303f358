"""Rounds, choices and clocks on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection, OperationalError, errors

from cloud.db.settings import DatabaseSettings
from cloud.desk import tickets
from cloud.desk.dispatch.booking import SlotTaken, accept, windows
from cloud.desk.dispatch.calendar import WorkingHours
from cloud.desk.dispatch.clocks import clocks_of, escalate, pause, resume
from cloud.desk.dispatch.people import put_absence
from cloud.desk.dispatch.rounds import hold_round
from cloud.desk.dispatch.service import run
from cloud.desk.dispatch.settings import DispatchSettings
from cloud.desk.dispatch.visits import BadPhoto, NoSuchVisit, VisitReport, add_photo, board, finish
from cloud.desk.tickets import Outcome
from tests.support.service_desk import ServiceDesk

SETTINGS = DispatchSettings()
MORNINGS = [WorkingHours(day, time(8), time(12)) for day in range(1, 8)]


@pytest.fixture
async def desk(migrated_url: str) -> AsyncIterator[ServiceDesk]:
    async with await AsyncConnection.connect(migrated_url, autocommit=True, options="-c timezone=UTC") as connection:
        yield ServiceDesk(connection)


async def advance_clock(desk: ServiceDesk, by: timedelta) -> None:
    await desk.connection.execute("UPDATE desk_clock SET watermark = desk_now() + %s, reads = 'event'", [by])


async def test_a_round_held_again_changes_nothing(desk: ServiceDesk) -> None:
    await desk.catalogue()
    await desk.engineer()
    for _ in range(3):
        await desk.ticket(*await desk.customer())
    first = await hold_round(desk.connection, SETTINGS)
    before = await desk.rows("SELECT * FROM visit_slot ORDER BY slot_no")
    again = await hold_round(desk.connection, SETTINGS)
    assert len(first.proposed) == 3
    assert again.proposed == frozenset()
    assert await desk.rows("SELECT * FROM visit_slot ORDER BY slot_no") == before
    sentence = await desk.value("SELECT explanation FROM visit_slot WHERE state = 'held' ORDER BY slot_no LIMIT 1")
    assert sentence["en"].startswith("Li, ")
    assert "has the drain pump in the van" in sentence["en"]
    assert "车上备有排水泵" in sentence["zh"]


async def test_two_programs_at_once_propose_once(desk: ServiceDesk, migrated_url: str) -> None:
    await desk.catalogue()
    await desk.engineer()
    for _ in range(4):
        await desk.ticket(*await desk.customer())

    async def one() -> int:
        async with await AsyncConnection.connect(migrated_url, autocommit=True) as connection:
            return len((await hold_round(connection, SETTINGS)).proposed)

    assert sum(await asyncio.gather(*(one() for _ in range(4)))) == 4
    assert await desk.value("SELECT count(*) FROM visit_slot WHERE state = 'held'") == 4


async def test_a_round_that_is_cut_off_leaves_nothing(desk: ServiceDesk, migrated_url: str) -> None:
    await desk.catalogue()
    await desk.engineer()
    await desk.ticket(*await desk.customer())
    async with await AsyncConnection.connect(migrated_url, autocommit=True) as doomed:
        await doomed.execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"
        )
        await doomed.execute("CREATE TRIGGER die AFTER INSERT ON visit_slot FOR EACH ROW EXECUTE FUNCTION die()")
        with pytest.raises(OperationalError):
            await hold_round(doomed, SETTINGS)
    await desk.connection.execute("DROP TRIGGER die ON visit_slot")
    assert await desk.value("SELECT count(*) FROM visit_slot") == 0
    assert len((await hold_round(desk.connection, SETTINGS)).proposed) == 1


async def test_the_database_itself_refuses_two_visits_at_a_time(desk: ServiceDesk) -> None:
    await desk.catalogue()
    await desk.engineer()
    await desk.ticket(*await desk.customer())
    await hold_round(desk.connection, SETTINGS)
    with pytest.raises(errors.ExclusionViolation):
        await desk.connection.execute(
            "INSERT INTO visit_slot (work_order_no, engineer, span, state, kept, hold_until, explanation)"
            " SELECT work_order_no, engineer, span, 'held', true, hold_until, '{}' FROM visit_slot WHERE state = 'held'"
        )


async def test_a_hold_that_nobody_answers_is_free_again_and_not_kept_for_ever(desk: ServiceDesk) -> None:
    await desk.catalogue()
    await desk.engineer()
    ticket = await desk.ticket(*await desk.customer())
    since = None
    for kept in (True, True, False):
        await hold_round(desk.connection, SETTINGS)
        states = [w.state for w in await windows(desk.connection, ticket)]
        assert ("held" in states) is kept, "twice kept; after that first come, first served"
        assert "offered" in states
        since = since or await desk.value("SELECT waiting_since FROM work_order")
        assert await desk.value("SELECT waiting_since FROM work_order") == since, "its age is kept"
        await advance_clock(desk, timedelta(hours=SETTINGS.hold_hours + 1))


async def test_a_high_tier_may_choose_more_but_never_a_whole_day(desk: ServiceDesk) -> None:
    await desk.catalogue()
    await desk.engineer(hours=MORNINGS, seniority=5)
    ordinary = await desk.ticket(*await desk.customer())
    high = [await desk.ticket(*await desk.customer(tier="high")) for _ in range(3)]
    await hold_round(desk.connection, SETTINGS)
    assert len(await windows(desk.connection, high[0])) > len(await windows(desk.connection, ordinary))
    outcomes: list[tuple[Any, bool]] = []
    for ticket in high:
        offered = [w for w in await windows(desk.connection, ticket) if w.state == "offered"]
        day = offered[-1].starts_at.date() if not outcomes else outcomes[0][0]
        for window in (w for w in offered if w.starts_at.date() == day):
            try:
                await accept(desk.connection, window.slot_no, "customer", SETTINGS)
                outcomes.append((day, True))
                break
            except SlotTaken:
                outcomes.append((day, False))
    assert [taken for _, taken in outcomes].count(True) == 1, "half of a day of two windows is one"


async def test_repeated_complaints_get_the_experienced(desk: ServiceDesk) -> None:
    await desk.catalogue()
    await desk.engineer("new", seniority=2)
    await desk.engineer("old", seniority=5)
    user, device = await desk.customer()
    first = await desk.ticket(user, device)
    await tickets.contact(desk.connection, first, "ann")
    await tickets.resolve(desk.connection, first, "new", tickets.Finding(Outcome.NO_FAULT_FOUND))
    await desk.ticket(user, device)
    await desk.ticket(*await desk.customer())
    await hold_round(desk.connection, SETTINGS)
    assert await desk.rows(
        "SELECT w.experienced, s.engineer FROM work_order AS w JOIN visit_slot AS s USING (work_order_no)"
        " WHERE s.state = 'held' ORDER BY w.experienced"
    ) == [(False, "new"), (True, "old")]


async def test_later_than_the_predicted_failure_means_overtime_or_a_gentle_run(desk: ServiceDesk) -> None:
    await desk.catalogue()
    await desk.engineer(hours=MORNINGS)
    user, device = await desk.customer()
    ticket = await desk.ticket(user, device)
    now = datetime.now(UTC)
    await desk.connection.execute(
        "INSERT INTO prediction (device_no, problem, raised_at, probability, horizon_hours, hours_left_low, reason,"
        " detector) VALUES (%s, '5E', %s, 0.9, 72, 30, '{}', 't')",
        [device, now],
    )
    await desk.connection.execute(
        "INSERT INTO fault_case (device_no, source, problem, prediction_no, occurred_at, last_raised_at, last_at,"
        " missing, judged_at, ticket_no) SELECT device_no, 'predicted', '5E', prediction_no, raised_at, raised_at,"
        " raised_at, '{}', now(), %s FROM prediction",
        [ticket],
    )
    await put_absence(desk.connection, "li", now - timedelta(days=1), now + timedelta(days=4), "course")
    await hold_round(desk.connection, SETTINGS)
    assert await desk.value("SELECT fails_by FROM work_order") == now + timedelta(hours=30)
    [(until, reason)] = await desk.rows("SELECT until, reason FROM gentle_run")
    assert until > now + timedelta(days=4)
    assert "run gently until then" in reason["en"]
    assert "请轻载运行" in reason["zh"]
    assert "no earlier time is free" in await desk.value("SELECT explanation ->> 'en' FROM visit_slot WHERE kept")


async def test_a_visit_that_falls_through_waits_again_with_its_age(desk: ServiceDesk) -> None:
    await desk.catalogue()
    await desk.engineer()
    ticket = await desk.ticket(*await desk.customer())
    await hold_round(desk.connection, SETTINGS)
    [held] = [w for w in await windows(desk.connection, ticket) if w.state == "held"]
    await accept(desk.connection, held.slot_no, "customer", SETTINGS)
    await tickets.contact(desk.connection, ticket, "ann", "the engineer is ill")
    assert await desk.rows("SELECT w.state, s.state FROM work_order AS w JOIN visit_slot AS s USING (work_order_no)"
                           " WHERE s.kept") == [("waiting", "released")]  # fmt: skip
    assert await desk.value("SELECT count(*) FROM outreach WHERE purpose = 'new_time'") == 1
    await hold_round(desk.connection, SETTINGS)
    assert [w.state for w in await windows(desk.connection, ticket)].count("held") == 1


async def test_the_same_window_accepted_by_two_at_once_goes_to_one(desk: ServiceDesk, migrated_url: str) -> None:
    await desk.catalogue()
    await desk.engineer()
    both = [await desk.ticket(*await desk.customer()) for _ in range(2)]
    await hold_round(desk.connection, SETTINGS)
    first, second = [{w.starts_at: w for w in await windows(desk.connection, t) if w.state == "offered"} for t in both]
    shared = min(set(first) & set(second))

    async def take(slot_no: int) -> bool:
        async with await AsyncConnection.connect(migrated_url, autocommit=True) as connection:
            try:
                await accept(connection, slot_no, "customer", SETTINGS)
            except SlotTaken:
                return False
            return True

    won = await asyncio.gather(take(first[shared].slot_no), take(second[shared].slot_no))
    assert sorted(won) == [False, True]
    assert await desk.value("SELECT count(*) FROM visit_slot WHERE state = 'booked'") == 1


async def test_findings_need_a_visit_and_photos_are_photos(desk: ServiceDesk) -> None:
    await desk.catalogue()
    report = VisitReport(Outcome.NO_FAULT_FOUND, datetime.now(UTC))
    with pytest.raises(NoSuchVisit):
        await finish(desk.connection, 99, "li", report)
    await desk.engineer()
    await desk.ticket(*await desk.customer())
    await hold_round(desk.connection, SETTINGS)
    [row] = await board(desk.connection)
    with pytest.raises(BadPhoto):
        await add_photo(desk.connection, row["work_order_no"], "image/png", b"<script>")
    with pytest.raises(BadPhoto, match="8388608"):
        await add_photo(desk.connection, row["work_order_no"], "image/jpeg", b"\xff\xd8\xff" + bytes(8_388_608))
    await finish(desk.connection, row["work_order_no"], "li", report)
    assert await desk.value("SELECT state FROM ticket") == "resolved", (
        "an engineer who was there without an appointment"
    )


async def test_the_same_report_from_two_phones_at_once_is_one_finding(desk: ServiceDesk, migrated_url: str) -> None:
    await desk.catalogue()
    await desk.engineer()
    await desk.ticket(*await desk.customer())
    await hold_round(desk.connection, SETTINGS)
    number = await desk.value("SELECT work_order_no FROM work_order")
    report = VisitReport(Outcome.FAULT_CONFIRMED, datetime.now(UTC), code="5E", part="pump")

    async def send() -> int:
        async with await AsyncConnection.connect(migrated_url, autocommit=True) as connection:
            return await finish(connection, number, "li", report)

    assert len(set(await asyncio.gather(*(send() for _ in range(4))))) == 1
    assert await desk.value("SELECT count(*) FROM finding") == 1
    assert await desk.value("SELECT quantity FROM van_stock") == 1


async def test_clocks_pause_and_escalate_once(desk: ServiceDesk) -> None:
    await desk.catalogue()
    ticket = await desk.ticket(*await desk.customer())
    await advance_clock(desk, timedelta(hours=7))
    assert await escalate(desk.connection, SETTINGS) == 1
    assert await escalate(desk.connection, SETTINGS) == 0
    assert await desk.rows("SELECT clock, level FROM sla_escalation") == [("contact", "warning")]
    assert await pause(desk.connection, ticket, "customer_unreachable", "ann")
    assert not await pause(desk.connection, ticket, "no_access", "ann")
    await advance_clock(desk, timedelta(hours=50))
    [clock] = (await clocks_of(desk.connection, SETTINGS, ticket))[ticket]
    assert clock.paused
    assert timedelta(hours=7) <= clock.elapsed < timedelta(hours=7, minutes=5)
    assert await resume(desk.connection, ticket)
    await advance_clock(desk, timedelta(hours=2))
    assert await escalate(desk.connection, SETTINGS) == 1


async def test_the_program_runs_and_stops(desk: ServiceDesk, migrated_url: str) -> None:
    await desk.catalogue()
    await desk.engineer()
    stop = asyncio.Event()
    program = asyncio.create_task(run(SETTINGS, DatabaseSettings(url=migrated_url), stop))  # type: ignore[arg-type]
    await desk.ticket(*await desk.customer())
    for _ in range(200):
        if await desk.value("SELECT count(*) FROM visit_slot"):
            break
        await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(program, 10)
    assert await desk.value("SELECT count(*) FROM visit_slot WHERE state = 'held'") == 1
