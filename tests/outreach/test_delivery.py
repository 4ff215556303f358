"""Delivery under trouble: dead providers, the household's cap under concurrency, answers at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from pydantic import SecretStr

from cloud.db.pool import Pool
from cloud.db.settings import DatabaseSettings
from cloud.desk import tickets
from cloud.desk.dispatch.settings import DispatchSettings
from cloud.desk.outreach import answers
from cloud.desk.outreach.consent import Preference, Profile, set_profile
from cloud.desk.outreach.delivery import Courier
from cloud.desk.outreach.secrets import Tap
from cloud.desk.outreach.service import providers_of, run, turn
from cloud.desk.outreach.settings import OutreachSettings
from cloud.registry.people import erase_user, write_contacts
from cloud.registry.settings import RegistrySettings
from tests.outreach.conftest import MailServer, Receiver, make_settings
from tests.support.service_desk import MASTER, MASTER_TEXT, ServiceDesk

MakeCourier = Callable[[OutreachSettings], Courier]
DISPATCH = DispatchSettings()


@pytest.fixture
async def pool(migrated_url: str) -> AsyncIterator[Pool]:
    async with AsyncConnectionPool(
        migrated_url, kwargs={"autocommit": True, "options": "-c timezone=UTC"}, min_size=1, max_size=4, open=False
    ) as opened:
        yield opened


async def states(desk: ServiceDesk) -> list[tuple[str, str]]:
    return [(c, s) for c, s in await desk.rows("SELECT channel, state FROM outreach_message ORDER BY message_no")]


async def set_clock(desk: ServiceDesk, later: timedelta) -> None:
    await desk.connection.execute("UPDATE desk_clock SET watermark = desk_now() + %s, reads = 'event'", [later])


async def test_a_failing_provider_is_tried_again_and_then_delivers(
    desk: ServiceDesk, pool: Pool, mail: MailServer, receiver: Receiver, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    courier = make_courier(make_settings(mail, receiver, retry_first_s=0.05))
    await desk.ticket(*await desk.customer(channels=("sms",)))
    receiver.status = 503
    await turn(pool, courier, DISPATCH)
    assert await states(desk) == [("sms", "due")]
    assert await desk.value("SELECT trouble FROM outreach_message") == "sms provider answered 503"
    assert await desk.value("SELECT state FROM ticket") == "confirmed"
    receiver.status = 200
    for _ in range(40):
        await turn(pool, courier, DISPATCH)
        if await states(desk) == [("sms", "delivered")]:
            break
        await asyncio.sleep(0.05)
    assert await states(desk) == [("sms", "delivered")]
    assert len({m["idempotency_key"] for m in receiver.requests}) == 1
    assert await desk.value("SELECT state FROM ticket") == "contacted"


async def test_a_dead_provider_is_spared_and_the_ladder_goes_on_without_it(
    desk: ServiceDesk, pool: Pool, mail: MailServer, receiver: Receiver, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    courier = make_courier(make_settings(mail, receiver, retry_first_s=300.0))
    receiver.status = 500
    for _ in range(6):
        await desk.ticket(*await desk.customer(channels=("sms", "email")))
    await turn(pool, courier, DISPATCH)
    await turn(pool, courier, DISPATCH)
    asked = len(receiver.requests)
    assert 1 <= asked <= 6
    for _ in range(3):
        await turn(pool, courier, DISPATCH)
    assert len(receiver.requests) == asked, "no more until the pause is over"
    assert await desk.value("SELECT count(*) FROM outreach_message WHERE state = 'due'") == 6
    await set_clock(desk, timedelta(hours=21))
    await turn(pool, courier, DISPATCH)
    assert await desk.rows("SELECT state, count(*) FROM outreach_message WHERE channel = 'sms' GROUP BY 1") == [
        ("expired", 6)
    ]
    assert len(mail.letters) == 6


async def test_a_letter_that_cannot_be_written_stops_no_other(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    courier = make_courier(settings)
    user, device = await desk.customer()
    contacts: Any = {"email": "a@b\r\nBcc: c@d"}
    await write_contacts(desk.connection, MASTER, user, contacts, person="test", purpose="test")
    await desk.ticket(user, device)
    await desk.ticket(*await desk.customer())
    await turn(pool, courier, DISPATCH)
    await turn(pool, courier, DISPATCH)
    assert [str(letter["X-To"]) for letter in mail.letters] == ["u2@example.test"]
    assert await desk.rows("SELECT state, trouble FROM outreach_message WHERE state <> 'delivered'") == [
        ("due", "ValueError")
    ]


async def test_a_refused_address_leads_to_the_next_channel_at_once(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier,
    receiver: Receiver,
) -> None:  # fmt: skip
    await desk.catalogue()
    courier = make_courier(settings)
    receiver.status = 422
    await desk.ticket(*await desk.customer(channels=("sms", "email")))
    await turn(pool, courier, DISPATCH)
    await turn(pool, courier, DISPATCH)
    assert await states(desk) == [("sms", "refused"), ("email", "delivered")]


async def test_a_household_is_told_of_no_more_than_its_cap_by_several_workers(
    desk: ServiceDesk, pool: Pool, mail: MailServer, receiver: Receiver
) -> None:
    await desk.catalogue()
    settings = make_settings(mail, receiver, cap_messages=2)
    key = settings.load_key()
    assert key is not None
    for _ in range(6):
        await desk.ticket(*await desk.customer(household="one roof"))
    couriers = [Courier(settings, key, MASTER, providers_of(settings), f"w{n}", Random(n)) for n in range(3)]
    for _ in range(2):
        await asyncio.gather(*(turn(pool, courier, DISPATCH) for courier in couriers))
    assert len(mail.letters) == 2
    assert await desk.rows("SELECT reason, count(*) FROM outreach WHERE reason = 'household_cap' GROUP BY 1") == [
        ("household_cap", 4)
    ]
    await set_clock(desk, timedelta(days=7, minutes=1))
    await asyncio.gather(*(turn(pool, courier, DISPATCH) for courier in couriers))
    assert len(mail.letters) == 4


async def test_quiet_hours_are_the_customers_own(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    courier = make_courier(settings)
    await desk.connection.execute("UPDATE desk_clock SET reads = 'event', watermark = '2027-01-15 02:00+00'")
    await desk.ticket(*await desk.customer(time_zone="Asia/Shanghai", preference=Preference()))  # 10:00
    await desk.ticket(*await desk.customer(time_zone="Europe/Berlin", preference=Preference()))  # 03:00
    await desk.ticket(
        *await desk.customer(time_zone="Europe/Berlin", preference=Preference(urgent_any_hour=True)),
        severity="critical",
    )
    await turn(pool, courier, DISPATCH)
    assert sorted(str(letter["X-To"]) for letter in mail.letters) == ["u1@example.test", "u3@example.test"]
    assert await desk.rows("SELECT reason, look_at FROM outreach WHERE user_id = 'u2'") == [
        ("quiet_hours", datetime(2027, 1, 15, 8, tzinfo=UTC))
    ]


async def test_nobody_to_reach_is_shown_and_not_dropped(
    desk: ServiceDesk, pool: Pool, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    ticket = await desk.ticket(*await desk.customer(channels=()))
    await turn(pool, make_courier(settings), DISPATCH)
    assert await desk.rows("SELECT ticket_no, reason FROM outreach_stuck") == [(ticket, "unreachable")]


async def test_an_erased_user_is_not_told(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    user, device = await desk.customer()
    await desk.ticket(user, device)
    await erase_user(desk.connection, user, "test", "wish")
    await turn(pool, make_courier(settings), DISPATCH)
    assert mail.letters == []


async def test_a_step_and_its_outreach_are_one(desk: ServiceDesk) -> None:
    await desk.catalogue()
    ticket = await desk.ticket(*await desk.customer(), confirm=False)
    async with desk.connection.transaction(force_rollback=True):
        await tickets.confirm(desk.connection, ticket, "ann")
        assert await desk.value("SELECT count(*) FROM outreach") == 1
    assert await desk.value("SELECT count(*) FROM outreach") == 0


async def test_a_dismissal_takes_the_call_back(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    ticket = await desk.ticket(*await desk.customer())
    await tickets.dismiss(desk.connection, ticket, "ann", "over")
    await turn(pool, make_courier(settings), DISPATCH)
    assert mail.letters == []
    assert await desk.rows("SELECT state, reason FROM outreach") == [("cancelled", "overtaken")]


async def test_different_answers_at_the_same_moment_leave_one_state(
    desk: ServiceDesk, pool: Pool, migrated_url: str, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    await desk.engineer()
    courier = make_courier(settings)
    ticket = await desk.ticket(*await desk.customer())
    await turn(pool, courier, DISPATCH)
    outreach = await desk.value("SELECT outreach_no FROM outreach")
    slot = await desk.value("SELECT slot_no FROM visit_slot WHERE state = 'held'")

    async def say(tap: Tap) -> None:
        async with await AsyncConnection.connect(migrated_url, autocommit=True) as connection:
            await answers.answer(connection, tap, settings, DISPATCH)

    taps = [Tap(outreach, "accept", "email", slot)] * 3 + [Tap(outreach, "visit", "email")] * 2
    await asyncio.gather(*(say(tap) for tap in taps), turn(pool, courier, DISPATCH))
    assert await desk.value("SELECT state FROM ticket WHERE ticket_no = %s", ticket) == "scheduled"
    assert await desk.value("SELECT count(*) FROM outreach_answer") == 2
    assert await desk.value("SELECT count(*) FROM ticket_step WHERE to_state = 'scheduled'") == 1


async def test_solved_frees_the_window_that_was_kept(
    desk: ServiceDesk, pool: Pool, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    await desk.engineer()
    await desk.ticket(*await desk.customer())
    await turn(pool, make_courier(settings), DISPATCH)
    outreach = await desk.value("SELECT outreach_no FROM outreach")
    await answers.answer(desk.connection, Tap(outreach, "solved", "email"), settings, DISPATCH)
    assert await desk.value("SELECT count(*) FROM visit_slot WHERE state <> 'released'") == 0
    await turn(pool, make_courier(settings), DISPATCH)
    assert await desk.rows("SELECT state FROM work_order") == [("cancelled",)], "nobody is sent while it is watched"


async def test_call_me_is_a_task_for_an_agent(
    desk: ServiceDesk, pool: Pool, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    await desk.ticket(*await desk.customer())
    await turn(pool, make_courier(settings), DISPATCH)
    outreach = await desk.value("SELECT outreach_no FROM outreach")
    for _ in range(2):
        await answers.answer(desk.connection, Tap(outreach, "call_me", "email"), settings, DISPATCH)
    assert await desk.rows("SELECT state FROM call_task") == [("open",)]


async def test_the_program_wakes_on_a_notice_and_stops(
    desk: ServiceDesk, migrated_url: str, mail: MailServer, receiver: Receiver
) -> None:
    await desk.catalogue()
    stop, settings = asyncio.Event(), make_settings(mail, receiver, poll_s=60.0)
    registry = RegistrySettings(master_key=SecretStr(MASTER_TEXT))
    program = asyncio.create_task(run(settings, DatabaseSettings(url=SecretStr(migrated_url)), stop, registry=registry))
    for _ in range(100):
        if await desk.value("SELECT count(*) FROM program_health WHERE program = 'outreach'"):
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    await desk.ticket(*await desk.customer())
    for _ in range(100):
        if mail.letters:
            break
        await asyncio.sleep(0.05)
    await desk.storm(*[await desk.customer() for _ in range(2)])
    for _ in range(100):
        if len(mail.letters) == 3:
            break
        await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(program, 10)
    assert len(mail.letters) == 3, "a ticket's and a storm's two, long before the timer"


async def test_without_a_key_it_says_so_and_waits(migrated_url: str) -> None:
    stop = asyncio.Event()
    program = asyncio.create_task(run(OutreachSettings(), DatabaseSettings(url=SecretStr(migrated_url)), stop))
    await asyncio.sleep(0)
    assert not program.done()
    stop.set()
    await asyncio.wait_for(program, 5)


async def test_a_profile_can_change(desk: ServiceDesk) -> None:
    user, _device = await desk.customer() if await desk.catalogue() is None else ("", 0)
    await set_profile(desk.connection, user, Profile("h", "south", "high", ("complained",)))
    assert await desk.rows("SELECT household, region, tier, tags FROM customer_profile") == [
        ("h", "south", "high", ["complained"])
    ]
