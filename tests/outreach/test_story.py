"""From a confirmed ticket to a finding: message, one tap, visit. Real database, mail server and HTTP receiver."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, time, timedelta

import pytest
from psycopg_pool import AsyncConnectionPool

from cloud.db.pool import Pool
from cloud.desk import tickets
from cloud.desk.dispatch.booking import SlotTaken, accept, windows
from cloud.desk.dispatch.settings import DispatchSettings
from cloud.desk.dispatch.visits import OtherFinding, VisitReport, add_photo, finish, my_day, photos
from cloud.desk.outreach import answers, calls, checking
from cloud.desk.outreach.consent import Preference, consents, set_consent
from cloud.desk.outreach.delivery import Courier
from cloud.desk.outreach.secrets import BadToken, ExpiredToken
from cloud.desk.outreach.service import turn
from cloud.desk.outreach.settings import OutreachSettings
from cloud.desk.tickets import Outcome
from tests.outreach.conftest import MailServer, Receiver, make_settings
from tests.support.service_desk import GTIN, MASTER, ServiceDesk

MakeCourier = Callable[[OutreachSettings], Courier]
DISPATCH = DispatchSettings()


@pytest.fixture
async def pool(migrated_url: str) -> AsyncIterator[Pool]:
    async with AsyncConnectionPool(
        migrated_url, kwargs={"autocommit": True, "options": "-c timezone=UTC"}, min_size=1, max_size=4, open=False
    ) as opened:
        yield opened


def body(letter: object) -> str:
    return str(letter.get_body(("plain",)).get_content())  # type: ignore[attr-defined]


def tokens(letter: object) -> dict[str, list[str]]:
    """Tokens of a letter's links by the line they stand in."""
    found: dict[str, list[str]] = {}
    for line in body(letter).splitlines():
        if match := re.search(r"https://care\.example\.test/a/(\S+)", line):
            found.setdefault(line.split(":")[0].strip("- "), []).append(match[1])
    return found


def code_in(text: str) -> str:
    match = re.search(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b", text)
    assert match
    return match[0]


async def test_a_confirmed_ticket_becomes_a_letter_a_visit_and_a_finding(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    await desk.engineer()
    courier = make_courier(settings)
    user, device = await desk.customer()
    ticket = await desk.ticket(user, device)

    await turn(pool, courier, DISPATCH)
    [letter] = mail.letters
    assert letter["X-To"] == "u1@example.test"
    assert "It drains more slowly with each wash." in body(letter)
    assert str(letter["Message-ID"]).startswith(f"<t{ticket}-s")
    assert await desk.value("SELECT state FROM ticket") == "contacted"

    await turn(pool, courier, DISPATCH)
    assert len(mail.letters) == 1

    offered = [line for line in body(letter).splitlines() if line.startswith("- ")]
    assert len(offered) == 3
    token = offered[0].rsplit("/", 1)[1]
    opened = await answers.open_link(desk.connection, courier.key, settings, token)
    assert (opened.tap.action, opened.ticket_no, opened.answered) == ("accept", ticket, False)
    assert await desk.value("SELECT state FROM ticket") == "contacted", "opening a link changes nothing"

    first = await answers.answer(desk.connection, opened.tap, settings, DISPATCH)
    again = await answers.answer(desk.connection, opened.tap, settings, DISPATCH)
    assert (first.again, again.again) == (False, True)
    assert await desk.value("SELECT state FROM ticket") == "scheduled"
    booked = await desk.value("SELECT lower(span) FROM visit_slot WHERE state = 'booked'")
    assert await desk.value("SELECT scheduled_for FROM ticket") == booked
    assert await desk.value("SELECT count(*) FROM visit_slot WHERE state IN ('held', 'offered')") == 0

    await turn(pool, courier, DISPATCH)
    assert [str(m["Subject"]) for m in mail.letters][1:] == ["Our visit to your washing machine is booked"]

    [visit] = await my_day(desk.connection, "li", booked - timedelta(days=1), booked + timedelta(days=1))
    report = VisitReport(Outcome.FAULT_CONFIRMED, datetime.now(UTC), code="5E", part="pump")
    number = await finish(desk.connection, visit["work_order_no"], "li", report)
    assert await finish(desk.connection, visit["work_order_no"], "li", report) == number
    with pytest.raises(OtherFinding):
        await finish(
            desk.connection, visit["work_order_no"], "li", VisitReport(Outcome.NO_FAULT_FOUND, datetime.now(UTC))
        )
    assert await desk.rows("SELECT outcome, part, person FROM finding") == [("fault_confirmed", "pump", "li")]
    assert await desk.value("SELECT quantity FROM van_stock") == 1, "one part was used, once"
    jpeg = b"\xff\xd8\xff\xe0 photo"
    digest = await add_photo(desk.connection, visit["work_order_no"], "image/jpeg", jpeg)
    assert await add_photo(desk.connection, visit["work_order_no"], "image/jpeg", jpeg) == digest
    assert [p["digest"] for p in await photos(desk.connection, visit["work_order_no"])] == [digest]

    await turn(pool, courier, DISPATCH)
    assert str(mail.letters[-1]["Subject"]) == "Your washing machine: all done"
    assert await desk.value("SELECT state FROM work_order") == "done"
    assert await desk.rows("SELECT purpose, state FROM outreach ORDER BY outreach_no") == [
        ("first_call", "answered"),
        ("appointment", "told"),
        ("closing", "told"),
    ]


async def test_a_chinese_customer_reads_chinese(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue({"en": ["Clean the filter."], "zh": ["清洁过滤网。"]})
    user, device = await desk.customer(locale="zh-CN")
    await desk.ticket(user, device)
    await turn(pool, make_courier(settings), DISPATCH)
    [letter] = mail.letters
    assert str(letter["Subject"]) == "关于您的洗衣机：我们注意到一个情况"
    for part in ("它每次洗衣排水越来越慢。", "1. 清洁过滤网。", "已经解决：", "请安排上门：", "暂时不用："):
        assert part in body(letter)
    assert not re.search(r"[a-z]{4,} [a-z]{3,}", re.sub(r"https://\S+", "", body(letter))), "no English left in it"


async def test_self_help_comes_first_and_a_visit_only_when_asked_for(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue({"en": ["Clean the filter."]})
    await desk.engineer()
    courier = make_courier(settings)
    ticket = await desk.ticket(*await desk.customer())
    await turn(pool, courier, DISPATCH)
    said = tokens(mail.letters[0])
    assert set(said) == {"It is solved", "Please send somebody", "Not now", "No more messages like this"}
    assert await desk.value("SELECT count(*) FROM work_order") == 0
    tap = courier.key.read_token(said["Please send somebody"][0], datetime.now(UTC))
    await answers.answer(desk.connection, tap, settings, DISPATCH)
    await turn(pool, courier, DISPATCH)
    offered = await windows(desk.connection, ticket)
    assert [w.state for w in offered].count("held") == 1
    await accept(desk.connection, offered[-1].slot_no, "customer", DISPATCH)
    assert await desk.value("SELECT state FROM ticket") == "scheduled"


@pytest.mark.parametrize("cleared", [True, False])
async def test_solved_is_believed_when_the_appliance_agrees(
    desk: ServiceDesk,
    pool: Pool,
    mail: MailServer,
    receiver: Receiver,
    make_courier: MakeCourier,
    cleared: bool,
) -> None:
    await desk.catalogue({"en": ["Clean the filter."]})
    settings = make_settings(mail, receiver, settle_hours=1.0, watch_hours=2.0)
    courier = make_courier(settings)
    user, device = await desk.customer()
    ticket = await desk.ticket(user, device)
    await turn(pool, courier, DISPATCH)
    tap = courier.key.read_token(tokens(mail.letters[0])["It is solved"][0], datetime.now(UTC))
    await answers.answer(desk.connection, tap, settings, DISPATCH)
    await turn(pool, courier, DISPATCH)
    assert await desk.rows("SELECT state FROM ticket") == [("contacted",)], "a tap alone closes nothing"
    assert await desk.value("SELECT reason FROM sla_pause") == "watching"

    began = await desk.value("SELECT began_at FROM self_help_watch")
    await desk.connection.execute("UPDATE desk_clock SET reads = 'event', watermark = %s", [began + timedelta(hours=3)])
    if cleared:
        await desk.connection.execute(
            "UPDATE fault_case SET cleared_at = %s, last_at = %s", [began + timedelta(minutes=5)] * 2
        )
        await desk.connection.execute(
            "SELECT ensure_frame_partitions(array[%s::timestamptz])", [began + timedelta(hours=2)]
        )
        await desk.connection.execute(
            "INSERT INTO frame VALUES (%s, %s, 1, 1, 1, 7, 60000, 1, 1, 0, '{1}', 1, now())",
            [device, began + timedelta(hours=2)],
        )
    await turn(pool, courier, DISPATCH)
    if cleared:
        assert await desk.rows("SELECT state FROM self_help_watch") == [("healed",)]
        assert await desk.rows(
            "SELECT t.state, f.person, f.outcome FROM ticket t JOIN finding f USING (ticket_no)"
        ) == [("resolved", "self-help", "fault_confirmed")]
    else:
        assert await desk.rows("SELECT state FROM self_help_watch") == [("came_back",)]
        assert str(mail.letters[-1]["Subject"]) == "Your washing machine still needs attention"
        assert await desk.value("SELECT ticket_no FROM work_order") == ticket, "now somebody is to go"


async def test_not_now_is_silence_and_then_one_reminder(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    courier = make_courier(settings)
    await desk.ticket(*await desk.customer(channels=("email", "sms")))
    await turn(pool, courier, DISPATCH)
    message = await desk.value("SELECT channel FROM outreach_message")
    outreach = await desk.value("SELECT outreach_no FROM outreach")
    await answers.answer(desk.connection, answers.Tap(outreach, "not_now", message), settings, DISPATCH)
    await turn(pool, courier, DISPATCH)
    assert await desk.value("SELECT count(*) FROM outreach_message") == 1
    asked = await desk.value("SELECT not_before FROM contact_preference")
    await desk.connection.execute("UPDATE desk_clock SET reads = 'event', watermark = %s", [asked + timedelta(days=9)])
    for _ in range(3):
        await turn(pool, courier, DISPATCH)
    assert await desk.rows("SELECT channel, key LIKE '%%reminder' FROM outreach_message ORDER BY message_no") == [
        (message, False),
        (message, True),
    ]


async def test_stop_withdraws_every_channel_and_leaves_the_ticket_to_a_person(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    courier = make_courier(settings)
    user, device = await desk.customer(channels=("email", "sms", "phone"))
    await desk.ticket(user, device)
    await turn(pool, courier, DISPATCH)
    outreach = await desk.value("SELECT outreach_no FROM outreach")
    await answers.answer(desk.connection, answers.Tap(outreach, "stop", "sms"), settings, DISPATCH)
    assert set((await consents(desk.connection, user)).values()) == {False}
    assert await desk.rows("SELECT reason FROM outreach_stuck") == [("stopped",)]
    await turn(pool, courier, DISPATCH)
    assert await desk.value("SELECT count(*) FROM outreach_message") == 1


async def test_a_former_owner_is_never_told(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    user, device = await desk.customer()
    other, _ = await desk.customer()
    await desk.ticket(user, device)
    await desk.connection.execute("SELECT registry_transfer(%s, %s, now(), now(), 'test')", [device, other])
    await turn(pool, make_courier(settings), DISPATCH)
    assert mail.letters == []
    assert await desk.rows("SELECT state, reason FROM outreach") == [("cancelled", "former_owner")]


async def test_a_code_is_confirmed_on_its_own_product_only_and_guessing_is_limited(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    courier = make_courier(settings)
    await desk.ticket(*await desk.customer())
    await turn(pool, courier, DISPATCH)
    code = code_in(body(mail.letters[0]))

    async def check(typed: str, serial: str = "S1", client: str = "a") -> checking.Genuine | None:
        return await checking.check(
            desk.connection, courier.key, settings, gtin=GTIN, serial=serial, typed=typed, client=client
        )

    found = await check(code.lower().replace("-", " "))
    assert found is not None
    assert (found.channel, found.purpose) == ("email", "first_call")
    assert await check(code, serial="S2") is None
    assert await check("0000-0000") is None
    await desk.connection.execute("UPDATE check_code SET expires_at = now() - interval '1 second'")
    assert await check(code) is None, "an old code is not confirmed"
    dump = await desk.value(
        "SELECT string_agg(c::text || m::text, '') FROM check_code AS c JOIN outreach_message AS m USING (message_no)"
    )
    assert code not in dump
    assert code.replace("-", "") not in dump
    for _ in range(settings.check_tries - 4):
        await check("0000-0000")
    with pytest.raises(checking.TooManyTries):
        await check(code)
    assert await check(code, client="b") is None, "another client is not locked out by the first"


async def test_links_are_ours_for_one_action_and_expire(settings: OutreachSettings, make_courier: MakeCourier) -> None:
    key, now = make_courier(settings).key, datetime.now(UTC)
    token = key.token(answers.Tap(7, "accept", "sms", 3), now + timedelta(days=1))
    assert key.read_token(token, now) == answers.Tap(7, "accept", "sms", 3)
    with pytest.raises(ExpiredToken):
        key.read_token(token, now + timedelta(days=1))
    for place in range(len(token) - 1):  # the last character holds two bits that nothing reads
        altered = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(BadToken):
            key.read_token(altered, now)
    for junk in ("", "A", "é", "A" * 51, token + "AAAA"):
        with pytest.raises(BadToken):
            key.read_token(junk, now)


async def test_a_call_is_a_task_with_the_words_and_the_number_is_logged(
    desk: ServiceDesk, pool: Pool, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    courier = make_courier(settings)
    user, device = await desk.customer(channels=("phone",))
    await desk.ticket(user, device)
    await turn(pool, courier, DISPATCH)
    [task] = await calls.open_calls(desk.connection)
    assert await desk.value("SELECT state FROM ticket") == "confirmed", "a task is not yet a contact"
    take = {"key": courier.key, "master": MASTER, "settings": settings}
    call = await calls.take_call(desk.connection, task["call_no"], "ann", **take)
    assert call.number == "+49 30 1001"
    assert "It drains more slowly with each wash." in call.script
    assert code_in(call.script).replace("-", "") == call.code
    assert await desk.value("SELECT count(*) FROM personal_access WHERE person = 'ann' AND action = 'read'") == 1
    with pytest.raises(calls.CallNotAllowed, match="taken"):
        await calls.take_call(desk.connection, task["call_no"], "bob", **take)
    await calls.end_call(desk.connection, task["call_no"], "ann", "reached")
    await calls.end_call(desk.connection, task["call_no"], "ann", "reached")
    assert await desk.value("SELECT state FROM ticket") == "contacted"


async def test_an_agent_does_not_call_in_quiet_hours_or_after_consent_went(
    desk: ServiceDesk, pool: Pool, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    courier = make_courier(settings)
    user, device = await desk.customer(channels=("phone",))
    await desk.ticket(user, device)
    await turn(pool, courier, DISPATCH)
    [task] = await calls.open_calls(desk.connection)
    take = {"key": courier.key, "master": MASTER, "settings": settings}
    now = datetime.now(UTC)
    quiet = Preference(quiet_from=(now - timedelta(hours=1)).time(), quiet_until=(now + timedelta(hours=1)).time())
    await answers.set_consent(desk.connection, user, ("sms",), "test", granted=True)
    await desk.connection.execute(
        "UPDATE contact_preference SET quiet_from = %s, quiet_until = %s", [quiet.quiet_from, quiet.quiet_until]
    )
    with pytest.raises(calls.CallNotAllowed, match="quiet hours"):
        await calls.take_call(desk.connection, task["call_no"], "ann", **take)
    await desk.connection.execute("UPDATE contact_preference SET quiet_from = '00:00', quiet_until = '00:00'")
    await set_consent(desk.connection, user, ("phone",), "test", granted=False)
    with pytest.raises(calls.CallNotAllowed, match="not agreed"):
        await calls.take_call(desk.connection, task["call_no"], "ann", **take)
    assert await desk.value("SELECT count(*) FROM personal_access WHERE person = 'ann'") == 0


async def test_a_window_goes_to_one_customer(
    desk: ServiceDesk, pool: Pool, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    await desk.engineer(hours=[answers_hours(day) for day in range(1, 8)])
    one = await desk.ticket(*await desk.customer())
    two = await desk.ticket(*await desk.customer())
    await turn(pool, make_courier(settings), DISPATCH)
    theirs = {w.starts_at: w for w in await windows(desk.connection, two)}
    shared = next(w for w in await windows(desk.connection, one) if w.starts_at in theirs and w.state == "offered")
    await accept(desk.connection, shared.slot_no, "customer", DISPATCH)
    with pytest.raises(SlotTaken):
        await accept(desk.connection, theirs[shared.starts_at].slot_no, "customer", DISPATCH)
    assert await desk.value("SELECT state FROM ticket WHERE ticket_no = %s", two) == "contacted"
    assert await tickets.get(desk.connection, one)


def answers_hours(day: int) -> object:
    from cloud.desk.dispatch.calendar import WorkingHours

    return WorkingHours(day, time(8), time(12))
