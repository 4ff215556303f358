"""Gentle running until a visit: the wish, the command that follows from it, the answer, the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from cloud.desk import tickets
from cloud.desk.dispatch.booking import accept, stand_down, windows
from cloud.desk.dispatch.people import put_absence
from cloud.desk.dispatch.rounds import hold_round
from cloud.desk.dispatch.settings import DispatchSettings
from cloud.desk.dispatch.visits import VisitReport, finish
from cloud.desk.outreach.file import read_facts, read_file
from cloud.desk.outreach.settings import OutreachSettings
from cloud.desk.tickets import Outcome
from edge_agent.agent import Agent
from protocols.identifiers import partition
from tests.edge.gateways import device, settings
from tests.edge.test_gentle_run import Gentle
from tests.ingest.brokers import Side
from tests.ingest.test_program import ingesting
from tests.support.mosquitto import Mosquitto
from tests.support.service_desk import ServiceDesk

SETTINGS = DispatchSettings()
SOON = timedelta(minutes=30)  # less than the notice that a visit needs: every visit comes after the failure


@pytest.fixture
async def desk(migrated_url: str) -> AsyncIterator[ServiceDesk]:
    async with await AsyncConnection.connect(migrated_url, autocommit=True, options="-c timezone=UTC") as connection:
        desk = ServiceDesk(connection)
        await desk.catalogue()
        await desk.engineer()
        yield desk


async def doomed(desk: ServiceDesk, within: timedelta = SOON) -> tuple[int, int]:
    """A confirmed ticket whose appliance is predicted to fail soon; ticket and device number."""
    user, device_no = await desk.customer()
    return await predicted(desk, user, device_no, within), device_no


async def predicted(desk: ServiceDesk, user: str, device_no: int, within: timedelta = SOON, problem: str = "5E") -> int:
    ticket = await desk.ticket(user, device_no, problem=problem)
    await desk.predict_failure(ticket, within)
    return ticket


async def orders(desk: ServiceDesk) -> list[tuple[str, str, bool]]:
    """Each command: id, action, whether it would still be sent."""
    return await desk.rows(
        "SELECT command_id, instruction ->> 'action', expires_at > desk_now() FROM command ORDER BY requested_at,"
        " command_id"
    )


async def sent(desk: ServiceDesk) -> None:
    await desk.connection.execute(
        "UPDATE command SET sent_at = now() WHERE sent_at IS NULL AND expires_at > desk_now()"
    )


async def answer(desk: ServiceDesk, command_id: str, outcome: str, detail: str = "") -> None:
    await desk.connection.execute(
        "INSERT INTO reply (device_no, command_id, boot, seq, outcome, detail, result, replied_at) SELECT device_no,"
        " command_id, 1, (SELECT count(*) + 1 FROM reply), %s, %s, '{}', now() FROM command WHERE command_id = %s",
        [outcome, detail, command_id],
    )


async def states(desk: ServiceDesk) -> list[str]:
    return [state for (state,) in await desk.rows("SELECT state FROM gentle_card ORDER BY work_order_no")]


async def book(desk: ServiceDesk, ticket: int, state: str = "held") -> None:
    window = next(w for w in await windows(desk.connection, ticket) if w.state == state)
    await accept(desk.connection, window.slot_no, "customer", SETTINGS)


async def said(desk: ServiceDesk, ticket: int) -> tuple[bool, bool]:
    """Whether the appointment's message speaks of gentle running, and whether it claims that the appliance does so."""
    number = await desk.value(
        "SELECT outreach_no FROM outreach WHERE ticket_no = %s AND purpose = 'appointment' ORDER BY 1 DESC", ticket
    )
    case = await read_file(desk.connection, number)
    facts = await read_facts(desk.connection, case, OutreachSettings())
    return facts.gentle_until is not None, facts.gentle_by_itself


async def test_the_wish_leads_to_one_command_however_often_it_is_planned(desk: ServiceDesk) -> None:
    _ticket, device_no = await doomed(desk)
    for _ in range(3):
        await hold_round(desk.connection, SETTINGS)
    assert await orders(desk) == [(f"gentle-{device_no}-1", "run_gently", True)]
    until, asked, expires, by = (
        await desk.rows(
            "SELECT g.until, to_timestamp((c.instruction ->> 'until')::bigint / 1000.0), c.expires_at, c.requested_by"
            " FROM gentle_run AS g JOIN command AS c USING (command_id)"
        )
    )[0]
    assert until == asked
    assert expires <= min(until, datetime.now(UTC) + timedelta(days=1))
    assert by == "dispatch"
    assert await states(desk) == ["asked"]


async def test_a_round_that_is_rolled_back_asks_for_nothing(desk: ServiceDesk) -> None:
    await doomed(desk)
    async with desk.connection.transaction(force_rollback=True):
        await hold_round(desk.connection, SETTINGS)
        assert len(await orders(desk)) == 1
    assert await orders(desk) == []


async def test_a_visit_that_comes_in_time_asks_for_nothing(desk: ServiceDesk) -> None:
    await doomed(desk, timedelta(days=20))
    await hold_round(desk.connection, SETTINGS)
    assert await orders(desk) == []


@pytest.mark.parametrize(
    ("outcome", "state", "claims"),
    [("done", "accepted", True), ("refused", "refused", False), ("failed", "failed", False)],
)
async def test_only_what_the_device_accepted_is_claimed(
    desk: ServiceDesk, outcome: str, state: str, claims: bool
) -> None:
    ticket, device_no = await doomed(desk)
    await hold_round(desk.connection, SETTINGS)
    await answer(desk, f"gentle-{device_no}-1", outcome, "unsupported: it must keep cold")
    assert await states(desk) == [state]
    await book(desk, ticket)
    assert await said(desk, ticket) == (True, claims)
    assert len(await orders(desk)) == 1, "the visit that was kept is booked: the wish is the same"


async def test_no_answer_in_time_is_shown_and_not_claimed(desk: ServiceDesk) -> None:
    ticket, _ = await doomed(desk)
    await hold_round(desk.connection, SETTINGS)
    await desk.connection.execute("UPDATE command SET expires_at = now()")
    assert await states(desk) == ["expired"]
    await book(desk, ticket)
    assert await said(desk, ticket) == (True, False)


async def test_another_time_is_another_order_and_the_one_before_is_sent_no_more(desk: ServiceDesk) -> None:
    ticket, device_no = await doomed(desk)
    await hold_round(desk.connection, SETTINGS)
    await book(desk, ticket, "offered")
    assert await orders(desk) == [
        (f"gentle-{device_no}-1", "run_gently", False),
        (f"gentle-{device_no}-2", "run_gently", True),
    ]
    assert await desk.value("SELECT g.until = upper(s.span) FROM gentle_run AS g JOIN visit_slot AS s"
                            " USING (work_order_no) WHERE s.state = 'booked'")  # fmt: skip


async def test_a_visit_that_moves_before_the_failure_ends_it(desk: ServiceDesk) -> None:
    within = timedelta(days=2)
    ticket, device_no = await doomed(desk, within)
    now = datetime.now(UTC)
    await put_absence(desk.connection, "li", now - timedelta(days=1), now + timedelta(days=4), "course")
    await hold_round(desk.connection, SETTINGS)
    await sent(desk)
    await answer(desk, f"gentle-{device_no}-1", "done")
    await book(desk, ticket)
    await desk.connection.execute("DELETE FROM engineer_absence")
    await tickets.contact(desk.connection, ticket, "ann", "an earlier time is free")
    assert await states(desk) == ["accepted"], "while the visit has no time the appliance is still spared"
    await hold_round(desk.connection, SETTINGS)
    assert await states(desk) == ["ended"]
    assert await orders(desk) == [
        (f"gentle-{device_no}-1", "run_gently", True),
        (f"gentle-{device_no}-2", "run_normally", True),
    ]
    await book(desk, ticket)
    assert await said(desk, ticket) == (False, False)


@pytest.mark.parametrize("end", ["resolved", "dismissed", "stood down"])
async def test_it_ends_with_the_ticket_or_the_order(desk: ServiceDesk, end: str) -> None:
    ticket, device_no = await doomed(desk)
    await hold_round(desk.connection, SETTINGS)
    await sent(desk)
    await answer(desk, f"gentle-{device_no}-1", "done")
    if end == "resolved":
        await book(desk, ticket)
        number = await desk.value("SELECT work_order_no FROM work_order")
        report = VisitReport(Outcome.FAULT_CONFIRMED, datetime.now(UTC), code="5E", part="pump")
        for _ in range(2):
            await finish(desk.connection, number, "li", report)
    elif end == "dismissed":
        await tickets.dismiss(desk.connection, ticket, "ann", "the customer has sold it")
    else:
        await stand_down(desk.connection, ticket)
    assert (await orders(desk))[1:] == [(f"gentle-{device_no}-2", "run_normally", True)]
    assert await states(desk) == ["ended"]


@pytest.mark.parametrize("outcome", [None, "refused"])
async def test_nobody_is_told_to_stop_what_was_never_begun(desk: ServiceDesk, outcome: str | None) -> None:
    ticket, device_no = await doomed(desk)
    await hold_round(desk.connection, SETTINGS)
    if outcome is not None:
        await sent(desk)
        await answer(desk, f"gentle-{device_no}-1", outcome)
    await tickets.dismiss(desk.connection, ticket, "ann", "a mistake")
    assert [action for _, action, _ in await orders(desk)] == ["run_gently"]
    if outcome is None:
        assert await orders(desk) == [(f"gentle-{device_no}-1", "run_gently", False)], "it is sent no more"


async def test_two_visits_of_one_appliance_spare_it_until_the_later(desk: ServiceDesk) -> None:
    user, device_no = await desk.customer()
    first, second = [await predicted(desk, user, device_no, problem=problem) for problem in ("5E", "3E")]
    await hold_round(desk.connection, SETTINGS)
    await sent(desk)
    latest = await desk.value("SELECT max(until) FROM gentle_run")
    assert await desk.value("SELECT until FROM gentle_order") == latest
    assert await desk.value("SELECT count(DISTINCT command_id) FROM gentle_run") == 1
    later = await desk.value("SELECT ticket_no FROM gentle_card ORDER BY until DESC LIMIT 1")
    await tickets.dismiss(desk.connection, later, "ann", "a mistake")
    assert (await orders(desk))[-1][1:] == ("run_gently", True), "the other visit still wants it, for less long"
    assert await desk.value("SELECT until FROM gentle_order") < latest
    await tickets.dismiss(desk.connection, first if later == second else second, "ann", "a mistake")
    assert (await orders(desk))[-1][1:] == ("run_normally", True)


async def test_two_programs_that_end_it_at_once_ask_once(desk: ServiceDesk, migrated_url: str) -> None:
    for _ in range(4):
        ticket, device_no = await doomed(desk)
        await hold_round(desk.connection, SETTINGS)
        await sent(desk)

        async def end(ticket: int = ticket) -> None:
            async with await AsyncConnection.connect(migrated_url, autocommit=True) as connection:
                await stand_down(connection, ticket)

        await asyncio.gather(*(end() for _ in range(4)))
        mine = [action for name, action, _ in await orders(desk) if name.startswith(f"gentle-{device_no}-")]
        assert mine == ["run_gently", "run_normally"]


async def test_an_answer_tells_whoever_looks_at_the_ticket(desk: ServiceDesk, migrated_url: str) -> None:
    ticket, device_no = await doomed(desk)
    await hold_round(desk.connection, SETTINGS)
    async with await AsyncConnection.connect(migrated_url, autocommit=True) as listener:
        await listener.execute("LISTEN ticket")
        await answer(desk, f"gentle-{device_no}-1", "done")
        heard = [notice.payload async for notice in listener.notifies(timeout=5, stop_after=1)]
    assert heard == [str(ticket)]


async def test_from_the_round_to_the_appliance_and_back(broker: Any, desk: ServiceDesk, migrated_url: str) -> None:
    """The whole way on both brokers: round, ingest, a real agent, its answer, the visit's end, normal again."""
    url = f"mqtt://{broker.host}:{broker.mqtt_port}" if isinstance(broker, Mosquitto) else broker.url
    driver = Gentle()
    ticket, device_no = await doomed(desk)
    name = await desk.value("SELECT device FROM device WHERE device_no = %s", device_no)
    await desk.connection.execute("INSERT INTO gateway (gateway, partition) VALUES ('gw-1', %s)", [partition("gw-1")])
    await desk.connection.execute(
        "UPDATE device SET gateway_no = (SELECT gateway_no FROM gateway) WHERE device_no = %s", [device_no]
    )

    async def until(query: str, wanted: Any) -> None:
        while await desk.value(query) != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async with (
        ingesting(Side(broker, url).settings(command_look_s=30), migrated_url),
        Agent(settings(broker.mqtt_port, devices=[device(name)]), drivers={name: driver}),
        asyncio.timeout(60),
    ):
        await until("SELECT count(*) > 0 FROM frame", True)
        await hold_round(desk.connection, SETTINGS)
        await until("SELECT state FROM gentle_card", "accepted")
        ends_at = await desk.value("SELECT until FROM gentle_run")
        assert driver.asked == [ends_at.timestamp()]
        await book(desk, ticket)
        assert await said(desk, ticket) == (True, True)
        report = VisitReport(Outcome.FAULT_CONFIRMED, datetime.now(UTC), code="5E", part="pump")
        await finish(desk.connection, await desk.value("SELECT work_order_no FROM work_order"), "li", report)
        await until("SELECT count(*) FROM reply WHERE outcome = 'done'", 2)
        assert driver.asked == [ends_at.timestamp(), None]
    assert await desk.value("SELECT detail FROM reply ORDER BY seq DESC LIMIT 1") == "runs normally"


async def test_what_a_former_version_only_wrote_down_is_asked_for_now(desk: ServiceDesk) -> None:
    _ticket, device_no = await doomed(desk)
    await hold_round(desk.connection, SETTINGS)
    for table in ("gentle_order", "command"):
        await desk.connection.execute(f"DELETE FROM {table}")  # type: ignore[call-overload]
    await desk.connection.execute("UPDATE gentle_run SET command_id = NULL")
    assert await states(desk) == ["expired"]
    await desk.connection.execute("UPDATE visit_slot SET state = 'released'")
    await desk.connection.execute("UPDATE work_order SET state = 'waiting'")
    await hold_round(desk.connection, SETTINGS)
    assert await orders(desk) == [(f"gentle-{device_no}-1", "run_gently", True)]
    assert await states(desk) == ["asked"]
