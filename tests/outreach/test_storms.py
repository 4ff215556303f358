"""A storm's notices go the way of every message: hours, consent, cap, one channel, once; and their fate is seen."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from psycopg_pool import AsyncConnectionPool

from cloud.db.pool import Pool
from cloud.desk import tickets
from cloud.desk.dispatch.settings import DispatchSettings
from cloud.desk.outreach import answers, checking
from cloud.desk.outreach.consent import Preference
from cloud.desk.outreach.delivery import Courier
from cloud.desk.outreach.file import CaseFile, situation_of
from cloud.desk.outreach.ladder import CHANNELS, Attempt, Channel, Send, climbed_past, decide
from cloud.desk.outreach.secrets import Tap
from cloud.desk.outreach.service import providers_of, turn
from cloud.desk.outreach.settings import OutreachSettings
from cloud.desk.triage.incidents import close_incident, list_incidents, notices
from cloud.registry import accounts
from cloud.web.reads.service import incidents
from tests.outreach.conftest import MailServer, Receiver, make_settings
from tests.support.service_desk import GTIN, MASTER, ServiceDesk

MakeCourier = Callable[[OutreachSettings], Courier]
DISPATCH = DispatchSettings()
CODE = re.compile(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b")


@pytest.fixture
async def pool(migrated_url: str) -> AsyncIterator[Pool]:
    async with AsyncConnectionPool(
        migrated_url, kwargs={"autocommit": True, "options": "-c timezone=UTC"}, min_size=1, max_size=4, open=False
    ) as opened:
        yield opened


def text_of(mail: MailServer, number: int = -1) -> str:
    return str(mail.letters[number].get_body(("plain",)).get_content())  # type: ignore[union-attr]


async def fates(desk: ServiceDesk) -> list[tuple[str, str, str]]:
    """Each notice: user, state, reason."""
    return [
        (u, s, r)
        for u, s, r in await desk.rows("SELECT user_id, state, reason FROM outreach WHERE purpose = 'storm' ORDER BY 1")
    ]


async def test_each_customer_is_told_once_in_their_language_and_can_check_it(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    courier = make_courier(settings)
    homes = [await desk.customer(locale=("zh-CN" if n == 1 else "en")) for n in range(3)]
    incident = await desk.storm(*homes)
    assert await desk.storm(*homes, minutes_ago=2) == incident
    for _ in range(3):
        await turn(pool, courier, DISPATCH)
    assert sorted(str(letter["X-To"]) for letter in mail.letters) == [f"u{n}@example.test" for n in (1, 2, 3)]
    said = {
        str(letter["X-To"])[:2]: (str(letter["Subject"]), text_of(mail, n)) for n, letter in enumerate(mail.letters)
    }
    subject, text = said["u1"]
    assert subject == "Trouble in your area, not in your washing machine"
    assert "Several homes in your area" in text
    assert "your washing machine is not the reason: nobody needs to come." in text
    assert "We keep watching." in text
    assert "无需上门" in said["u2"][1]
    for other in ("We can come", "It is solved", "Please send somebody", "Not now"):
        assert other not in text, "nothing is asked"
    assert "/a/" in text, "but how to stop is said"

    key = settings.load_key()
    code = CODE.search(text)
    assert key
    assert code
    asked = {"gtin": GTIN, "typed": code[0], "client": "c"}
    found = await checking.check(desk.connection, key, settings, serial="S1", **asked)
    assert found
    assert (found.purpose, found.channel) == ("storm", "email")
    assert await checking.check(desk.connection, key, settings, serial="S2", **asked) is None

    assert await fates(desk) == [(f"u{n}", "told", "told") for n in (1, 2, 3)]
    (card,) = await list_incidents(desk.connection)
    assert (card["customers"], card["told"], card["unreachable"]) == (3, 3, 0)
    assert {n["channel"] for n in await notices(desk.connection, incident)} == {"email"}
    assert await desk.value("SELECT count(*) FROM ticket") == 0
    looks = await desk.rows("SELECT purpose FROM personal_access WHERE person = 'outreach'")
    assert len(looks) == 3
    assert all(purpose.startswith(f"storm i{incident}-o") for (purpose,) in looks)


async def test_quiet_hours_are_waited_for_and_what_is_over_by_then_is_not_told(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    courier = make_courier(settings)
    now = datetime.now(UTC)
    sleeps = Preference((now - timedelta(hours=1)).time(), (now + timedelta(hours=1)).time(), urgent_any_hour=True)
    homes = [await desk.customer(preference=sleeps), await desk.customer(preference=sleeps), await desk.customer()]
    await desk.storm(*homes)
    await turn(pool, courier, DISPATCH)
    assert [str(letter["X-To"]) for letter in mail.letters] == ["u3@example.test"], "a storm wakes nobody"
    waiting = [("u1", "open", "quiet_hours"), ("u2", "open", "quiet_hours")]
    assert (await fates(desk))[:2] == waiting
    await desk.storm(homes[0], clears=True)
    await desk.connection.execute(
        "UPDATE desk_clock SET reads = 'event', watermark = clock_timestamp() + interval '61 minutes'"
    )
    await turn(pool, courier, DISPATCH)
    assert [str(letter["X-To"]) for letter in mail.letters] == ["u3@example.test", "u2@example.test"]
    assert (await fates(desk))[0] == ("u1", "cancelled", "overtaken")
    await desk.storm(homes[0], minutes_ago=-5)
    await turn(pool, courier, DISPATCH)
    assert (await fates(desk))[0] == ("u1", "told", "told"), "the fault came back within the storm: owed again, once"
    assert len(mail.letters) == 3


async def test_when_the_storm_is_over_nobody_else_hears_of_it(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    incident = await desk.storm(*[await desk.customer() for _ in range(2)])
    await close_incident(desk.connection, incident, "eva", "the main is mended")
    await turn(pool, make_courier(settings), DISPATCH)
    assert mail.letters == []
    assert {(state, reason) for _, state, reason in await fates(desk)} == {("cancelled", "overtaken")}


async def test_whoever_cannot_be_reached_is_shown_and_no_agent_rings_for_nothing(
    desk: ServiceDesk, pool: Pool, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    incident = await desk.storm(await desk.customer(channels=()), await desk.customer(channels=("phone",)))
    await turn(pool, make_courier(settings), DISPATCH)
    assert await fates(desk) == [("u1", "exhausted", "unreachable"), ("u2", "exhausted", "unreachable")]
    assert await desk.value("SELECT count(*) FROM call_task") == 0
    stuck = await desk.rows("SELECT user_id, incident_no, reason FROM outreach_stuck ORDER BY 1")
    assert stuck == [("u1", incident, "unreachable"), ("u2", incident, "unreachable")]
    (card,) = await list_incidents(desk.connection)
    assert (card["customers"], card["told"], card["unreachable"]) == (2, 0, 2)
    (line,) = await incidents(pool)
    assert (line.customers, line.told, line.unreachable) == (2, 0, 2), "the console's line"


async def test_a_dead_provider_is_tried_again_on_the_one_channel(
    desk: ServiceDesk, pool: Pool, mail: MailServer, receiver: Receiver, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    courier = make_courier(make_settings(mail, receiver, retry_first_s=0.05))
    homes = [await desk.customer(channels=("sms", "email")) for _ in range(2)]
    receiver.status = 503
    await desk.storm(*homes)
    await turn(pool, courier, DISPATCH)
    assert await desk.rows("SELECT channel, state FROM outreach_message") == [("sms", "due")] * 2
    receiver.status = 200
    for _ in range(60):
        await turn(pool, courier, DISPATCH)
        if len(receiver.delivered) == 2:
            break
        await asyncio.sleep(0.05)
    assert await desk.rows("SELECT DISTINCT channel, state FROM outreach_message") == [("sms", "delivered")]
    assert len(receiver.delivered) == 2
    assert mail.letters == []


async def test_a_storm_counts_to_the_cap_and_leaves_the_last_message_to_a_fault_of_ones_own(
    desk: ServiceDesk, pool: Pool, mail: MailServer, receiver: Receiver
) -> None:
    await desk.catalogue()
    settings = make_settings(mail, receiver, cap_messages=2)
    key = settings.load_key()
    assert key is not None
    couriers = [Courier(settings, key, MASTER, providers_of(settings), f"w{n}", Random(n)) for n in range(3)]
    homes = [await desk.customer(household="one roof") for _ in range(3)]
    await desk.storm(*homes)
    for _ in range(2):
        await asyncio.gather(*(turn(pool, courier, DISPATCH) for courier in couriers))
    assert len(mail.letters) == 1, "of two a week, storms take one"
    assert sorted(reason for _, _, reason in await fates(desk)) == ["household_cap", "household_cap", "told"]
    await desk.ticket(*await desk.customer(household="one roof"))
    await asyncio.gather(*(turn(pool, courier, DISPATCH) for courier in couriers))
    assert [str(letter["Subject"])[:5] for letter in mail.letters] == ["Troub", "About"]


async def test_a_ticket_that_is_being_talked_about_goes_before_the_storm(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    courier = make_courier(settings)
    first, other = await desk.customer(), await desk.customer()
    ticket = await desk.ticket(*first)
    await turn(pool, courier, DISPATCH)
    assert await desk.value("SELECT state FROM ticket") == "contacted"
    await desk.storm(first, other, minutes_ago=1)
    await turn(pool, courier, DISPATCH)
    assert [user for user, _, _ in await fates(desk)] == ["u2"]
    await tickets.dismiss(desk.connection, ticket, "ann", "it was the storm")
    await desk.storm(first, minutes_ago=0)
    await turn(pool, courier, DISPATCH)
    assert await fates(desk) == [("u1", "told", "told"), ("u2", "told", "told")]


async def test_two_incidents_that_turn_out_to_be_one_tell_a_customer_once(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    courier = make_courier(settings)
    homes = [await desk.customer() for _ in range(3)]
    older = await desk.storm(*homes, minutes_ago=100)
    newer = await desk.storm(*homes, minutes_ago=60)
    assert older != newer
    assert len(await fates(desk)) == 6, "so far apart these are two"
    assert await desk.storm(*homes, minutes_ago=80) == older, "late reports join them"
    await asyncio.gather(*(turn(pool, courier, DISPATCH) for _ in range(2)))
    assert len(mail.letters) == 3
    (card,) = await list_incidents(desk.connection)
    assert (card["incident_no"], card["customers"], card["told"]) == (older, 3, 3)
    assert len(await notices(desk.connection, older)) == 6
    await desk.storm(*homes, minutes_ago=70)
    await turn(pool, courier, DISPATCH)
    assert len(mail.letters) == 3


async def test_one_person_with_two_entries_is_told_once(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    homes = [await desk.customer() for _ in range(2)]
    await accounts.merge(desk.connection, "u2", "u1", reason="same verified email", person="test")
    await desk.storm(*homes)
    await turn(pool, make_courier(settings), DISPATCH)
    assert [str(letter["X-To"]) for letter in mail.letters] == ["u1@example.test"]
    assert await fates(desk) == [("u1", "told", "told")]


async def test_a_former_owner_is_not_told(
    desk: ServiceDesk, pool: Pool, mail: MailServer, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    homes = [await desk.customer() for _ in range(2)]
    await desk.storm(*homes)
    await desk.connection.execute(
        "SELECT registry_transfer(%s, 'u1', clock_timestamp(), clock_timestamp(), 'test')", [homes[1][1]]
    )
    await turn(pool, make_courier(settings), DISPATCH)
    assert [str(letter["X-To"]) for letter in mail.letters] == ["u1@example.test"]
    assert (await fates(desk))[1] == ("u2", "cancelled", "former_owner")


async def test_stop_is_the_only_answer_to_a_storm(
    desk: ServiceDesk, pool: Pool, settings: OutreachSettings, make_courier: MakeCourier
) -> None:
    await desk.catalogue()
    await desk.storm(*[await desk.customer() for _ in range(2)])
    await turn(pool, make_courier(settings), DISPATCH)
    number = await desk.value("SELECT min(outreach_no) FROM outreach")
    with pytest.raises(answers.TooLate):
        await answers.answer(desk.connection, Tap(number, "visit", "email"), settings, DISPATCH)
    said = await answers.answer(desk.connection, Tap(number, "stop", "email"), settings, DISPATCH)
    assert (said.ticket_no, said.again) == (None, False)
    assert await desk.rows("SELECT user_id, channel FROM consent_now WHERE NOT granted ORDER BY 1, 2") == [
        ("u1", channel) for channel in sorted(CHANNELS)
    ]


# --- the rules, over any customers, clocks, providers and crashes that hypothesis thinks of ---

ZONES = ("UTC", "Europe/Berlin", "America/Santiago", "Asia/Kathmandu")
START = datetime(2026, 3, 20, 6, 0, tzinfo=UTC)
CASE = CaseFile(
    outreach_no=1, ticket_no=None, step_no=None, incident_no=7, purpose="storm", user_id="u", outreach_state="open",
    ticket_state=None, device_no=1, problem="4E", severity="low", safety="none", customer_words={}, self_help=None,
    gtin=GTIN, serial="S1", family="washer", family_name=None, locale="en", time_zone="UTC", erased=False,
    household="h", quiet_from=time(20), quiet_until=time(9), urgent_any_hour=False, not_before=None,
    preferred_channel=None, owner=True, overtaken=False, answered=False, answered_on=None, self_help_spent=False,
    now=START,
)  # fmt: skip
times = st.builds(time, st.integers(0, 23), st.sampled_from([0, 30]))
channels = st.frozensets(st.sampled_from(CHANNELS))


@examples(max_examples=300)
@given(
    st.sampled_from(ZONES), times, times, st.booleans(), channels, st.integers(1, 4),
    st.sampled_from([None, *CHANNELS]), st.data(),
)  # fmt: skip
def test_a_notice_keeps_hours_consent_and_cap_and_arrives_at_most_once(
    zone: str, quiet_from: time, quiet_until: time, any_hour: bool, allowed: frozenset[Channel], cap: int,
    preferred: Channel | None, data: st.DataObject,
) -> None:  # fmt: skip
    rules = OutreachSettings(cap_messages=cap)
    case = replace(
        CASE, time_zone=zone, quiet_from=quiet_from, quiet_until=quiet_until, urgent_any_hour=any_hour,
        preferred_channel=preferred,
    )  # fmt: skip
    others = [START - timedelta(hours=h) for h in data.draw(st.lists(st.integers(1, 200), max_size=5), label="others")]
    attempts: dict[Channel, Attempt] = {}
    for _ in range(data.draw(st.integers(3, 20), label="looks")):
        case = replace(case, now=case.now + timedelta(minutes=data.draw(st.sampled_from([1, 61, 300, 1500]))))
        case = replace(case, overtaken=case.overtaken or data.draw(st.integers(0, 9), label="over") == 0)
        if data.draw(st.integers(0, 9), label="withdraws") == 0:
            allowed = frozenset()
        before = situation_of(case, rules, allowed, tuple(attempts.values()), others)
        for channel in climbed_past(before):
            attempts[channel] = replace(attempts[channel], state="expired")
        decision = decide(before)
        if not isinstance(decision, Send):
            continue
        arrived = {c for c, a in attempts.items() if a.state in ("delivered", "in_flight")}
        assert arrived <= {decision.channel}, "what may have arrived is sent again as the same message, or not at all"
        assert all(a.state != "delivered" for a in attempts.values())
        assert not case.overtaken
        assert decision.channel in allowed - {"phone"}
        assert not before.quiet.quiet_at(case.now), "a storm wakes nobody, whatever they wish for danger"
        recent = [at for at in others if at > case.now - rules.cap.within]
        assert len(recent) < max(1, cap - 1), "the last message of the week is not a storm's"
        outcome = data.draw(st.sampled_from(["delivered", "refused", "due", "in_flight"]), label="outcome")
        known = attempts.get(decision.channel)
        attempts[decision.channel] = Attempt(
            decision.channel, outcome, known.first_tried_at if known else case.now, case.now,  # type: ignore[arg-type]
            case.now if outcome == "delivered" else None,
        )  # fmt: skip
