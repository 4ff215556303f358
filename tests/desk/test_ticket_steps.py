"""What people do with tickets: legal steps only, each with who and when, nothing altered, nobody overwritten."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest
from psycopg import AsyncConnection

from cloud.desk import tickets
from cloud.desk.errors import DeskError, IllegalStep, NoSuchTicket, TicketChanged
from cloud.desk.tickets import NEXT, Finding, Outcome, State
from tests.desk.stage import Stage


@pytest.fixture
async def ticket(stage: Stage) -> int:
    await stage.report(5)
    await stage.turn()
    (card,) = await tickets.list_open(stage.connection)
    return card.ticket_no


async def test_the_database_and_the_program_agree_on_the_legal_steps(stage: Stage) -> None:
    rows = await stage.rows("SELECT from_state, to_state FROM ticket_transition WHERE from_state IS NOT NULL")
    assert set(rows) == {(a.value, b.value) for a, following in NEXT.items() for b in following}


async def test_from_proposed_to_resolved_with_a_finding_that_goes_to_the_detector(stage: Stage, ticket: int) -> None:
    c = stage.connection
    async with await AsyncConnection.connect(stage.url, autocommit=True) as listener:
        await listener.execute("LISTEN finding")
        await tickets.confirm(c, ticket, "eva", "freeze frame shows it")
        await tickets.contact(c, ticket, "eva")
        await tickets.notice(c, ticket, stage.ago(1))
        await tickets.schedule(c, ticket, "eva", stage.now + timedelta(days=1))
        number = await tickets.resolve(
            c, ticket, "tom", Finding(Outcome.FAULT_CONFIRMED, "5E", "drain_pump", failed_at=stage.ago(4))
        )
        notices = [n.payload async for n in listener.notifies(timeout=5, stop_after=1)]
    assert notices == [str(number)]
    card = await tickets.get(c, ticket)
    assert (card.state, card.failed_at, card.noticed_at) == ("resolved", stage.ago(4), stage.ago(1))
    assert card.contacted_at is not None
    assert card.closed_at is not None
    assert card.scheduled_for == stage.now + timedelta(days=1)
    taken = [(s.from_state, s.to_state, s.person) for s in await tickets.steps(c, ticket)]
    assert taken == [
        (None, "proposed", "desk"),
        ("proposed", "confirmed", "eva"),
        ("confirmed", "contacted", "eva"),
        ("contacted", "scheduled", "eva"),
        ("scheduled", "resolved", "tom"),
    ]
    found = await tickets.finding(c, ticket)
    assert found is not None
    assert (found["outcome"], found["part"], found["person"]) == ("fault_confirmed", "drain_pump", "tom")
    assert await tickets.list_open(c) == []


@pytest.mark.parametrize("wanted", [s for s in State if s not in NEXT[State.PROPOSED]])
async def test_steps_that_are_not_legal_are_refused(stage: Stage, ticket: int, wanted: State) -> None:
    with pytest.raises(psycopg.Error, match="cannot become"):
        await stage.connection.execute(
            "INSERT INTO ticket_step (ticket_no, to_state, person, at) VALUES (%s, %s, 'x', now())", [ticket, wanted]
        )
    assert (await tickets.get(stage.connection, ticket)).state == "proposed"


async def test_refusals_are_typed(stage: Stage, ticket: int) -> None:
    c = stage.connection
    with pytest.raises(IllegalStep, match="is proposed: it cannot become contacted"):
        await tickets.contact(c, ticket, "eva")
    with pytest.raises(IllegalStep):
        await tickets.resolve(c, ticket, "eva", Finding(Outcome.NO_FAULT_FOUND))
    assert await stage.rows("SELECT count(*) FROM finding") == [(0,)], "a refused step leaves no finding"
    with pytest.raises(NoSuchTicket):
        await tickets.confirm(c, 999, "eva")
    with pytest.raises(NoSuchTicket):
        await tickets.get(c, 999)
    with pytest.raises(DeskError, match="needs a reason"):
        await tickets.dismiss(c, ticket, "eva", "  ")
    with pytest.raises(DeskError, match="give the person"):
        await tickets.confirm(c, ticket, "")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ticket SET state = 'resolved'",
        "UPDATE ticket_step SET person = 'somebody else'",
        "DELETE FROM ticket_step",
        "INSERT INTO ticket (device_no, problem, user_id, gtin, serial, model, severity, safety, probability, "
        "expected_value, rank_reason, customer_words, detected_at, raised_at) SELECT device_no, 'UE', user_id, gtin, "
        "serial, model, severity, safety, 1, 1, '{}', '{}', now(), now() FROM ticket",
        "INSERT INTO ticket (device_no, problem, user_id, gtin, serial, model, severity, safety, probability, "
        "expected_value, rank_reason, customer_words, detected_at, raised_at) SELECT device_no, problem, user_id, "
        "gtin, serial, model, severity, safety, 1, 1, '{}', '{}', now(), now() FROM ticket",
    ],
    ids=["moves without a step", "rewrites history", "deletes history", "opens without a step", "opens a second one"],
)
async def test_the_database_itself_refuses(stage: Stage, ticket: int, statement: str) -> None:
    with pytest.raises(psycopg.Error):
        await stage.connection.execute(statement)  # type: ignore[call-overload]


async def test_two_people_cannot_overwrite_each_other(stage: Stage, ticket: int) -> None:
    async def attempt(person: str, version: int) -> str:
        async with await AsyncConnection.connect(stage.url, autocommit=True) as own:
            try:
                await tickets.confirm(own, ticket, person, version=version)
            except TicketChanged:
                return "changed"
            return person

    version = (await tickets.get(stage.connection, ticket)).version
    results = await asyncio.gather(*(attempt(person, version) for person in ("eva", "max", "tom", "kim")))
    assert results.count("changed") == 3
    assert (await tickets.steps(stage.connection, ticket))[-1].person in results


async def test_a_failure_that_no_ticket_foresaw_is_a_finding_too(stage: Stage) -> None:
    await tickets.report_failure(
        stage.connection, "chip", "hotline", Finding(Outcome.FAULT_CONFIRMED, "LE", failed_at=stage.ago(2))
    )
    assert await stage.rows("SELECT ticket_no, outcome, code FROM finding") == [(None, "fault_confirmed", "LE")]
    with pytest.raises(DeskError, match="no device"):
        await tickets.report_failure(stage.connection, "nope", "hotline", Finding(Outcome.OTHER_FAULT))


async def test_the_queue_is_read_in_pages_by_worth(stage: Stage) -> None:
    for code in ("5E", "LE", "UE", "HE", "3E"):
        await stage.report(5, code=code)
    await stage.turn()
    everything = await tickets.list_open(stage.connection)
    assert [card.expected_value for card in everything] == sorted((c.expected_value for c in everything), reverse=True)
    paged, after = [], None
    while page := await tickets.list_open(stage.connection, after=after, at_most=2):
        paged += page
        after = (page[-1].expected_value, page[-1].ticket_no)
    assert [card.ticket_no for card in paged] == [card.ticket_no for card in everything]
