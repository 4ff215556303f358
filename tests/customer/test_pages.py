"""The product's own pages: what each visitor sees and may do. Real database, real mail server, no scripts."""

from __future__ import annotations

import json
import re
import subprocess

import httpx
import pytest

from cloud.desk import tickets
from cloud.engines.postgres_binaries import find_postgres
from cloud.registry.people import read_contacts
from tests.customer.conftest import NewCustomer, make_unit, text_of
from tests.support.service_desk import GTIN, MASTER, ServiceDesk


async def test_a_scan_and_two_forms_register_an_appliance(desk: ServiceDesk, new_customer: NewCustomer) -> None:
    path = await make_unit(desk)
    li = await new_customer()
    page = await li.open(path)
    assert page.status_code == 200
    assert "Washing machine" in text_of(page)
    assert "Register this appliance" in text_of(page)

    await li.send("/c/start", contact="li@example.test")
    assert "li@example.test" in text_of(li.page)
    assert await desk.value("SELECT count(*) FROM app_user") == 0, "nothing is kept of a contact that is not verified"
    page = await li.send("/c/code", code=li.code(), name="Li", consent="yes")
    assert "Done: the appliance is registered to you." in text_of(page)
    assert "Registered to you" in text_of(page)
    assert "Warranty card" in text_of(page)
    assert li.requests == [
        f"GET {path}", "POST /c/start", "GET /c/code", "POST /c/code", f"GET {path}?said=registered",
    ]  # fmt: skip

    user = await desk.value("SELECT user_id FROM binding WHERE upper_inf(known)")
    contacts = await read_contacts(desk.connection, MASTER, user, person="t", purpose="t")
    assert contacts == {"email": "li@example.test", "name": "Li"}
    assert await desk.rows("SELECT channel, granted FROM consent_now") == [("email", True)]
    [letter] = li.letters.letters
    assert letter["X-To"] == "li@example.test"
    assert "never ask for it" in letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]


async def test_the_same_in_chinese(desk: ServiceDesk, new_customer: NewCustomer) -> None:
    path = await make_unit(desk)
    li = await new_customer("zh-CN,zh;q=0.9,en;q=0.5")
    page = await li.open(path)
    assert '<html lang="zh-CN">' in page.text
    assert page.headers["content-language"] == "zh"
    page = await li.register(path, "li@example.test")
    assert "登记成功" in text_of(page)
    assert "是您的验证码" in str(li.letters.letters[-1]["Subject"])
    assert await desk.value("SELECT locale FROM app_user") == "zh"
    assert "Registered to you" in text_of(await li.open(f"{path}?lang=en"))
    assert "Registered to you" in text_of(await li.open(path)), "the choice of language is kept"


@pytest.mark.parametrize(
    ("link", "status", "words"),
    [
        ("/01/{gtin}/21/A1", 200, "Washing machine"),
        ("/01/{gtin}/10/L7/21/A1?11=260101", 200, "Washing machine"),
        ("/01/{gtin}/21/A1?11=260101&linkType=all&utm=x", 200, "Washing machine"),
        ("/01/{gtin}/21/NOPE", 404, "We do not know this appliance"),
        ("/01/{gtin}", 404, "This code cannot be read"),
        ("/01/04012345123457/21/A1", 404, "This code cannot be read"),
        ("/01/x/21/%00", 404, "This code cannot be read"),
        ("/c/manual/{gtin}/NOPE", 404, "We do not know this appliance"),
        ("/c/manual/{gtin}/A1", 200, "Clean the filter."),
    ],
)
async def test_digital_links_lead_to_the_unit_or_are_told_plainly(
    desk: ServiceDesk, new_customer: NewCustomer, link: str, status: int, words: str
) -> None:
    await make_unit(desk)
    page = await (await new_customer()).open(link.format(gtin=GTIN))
    assert (page.status_code, words in text_of(page)) == (status, True), text_of(page)


async def test_a_stranger_cannot_tell_a_registered_unit_from_a_free_one(
    desk: ServiceDesk, new_customer: NewCustomer
) -> None:
    one, other = await make_unit(desk, "A1"), await make_unit(desk, "B2")
    await (await new_customer()).register(one, "owner@example.test")
    stranger = await new_customer(address="10.9.9.9")
    seen = [text_of(await stranger.open(path)).replace(path[-2:], "??") for path in (one, other)]
    assert seen[0] == seen[1]
    assert "owner@" not in seen[0]


async def test_every_form_needs_its_token_and_every_page_has_its_headers(
    desk: ServiceDesk, new_customer: NewCustomer
) -> None:
    path = await make_unit(desk)
    li = await new_customer()
    await li.register(path, "li@example.test")
    asking = ["start", "code", "ask", "take", "give-up", "sign-out", f"check/{GTIN}/A1", f"transfer/{GTIN}/A1"]
    own = [f"account/{name}" for name in ("details", "consent", "region", "undo", "export", "erase")]
    for target in asking + own:
        for token in ({}, {"token": "0" * 64}):
            fields = {"gtin": GTIN, "serial": "A1", "wish": "repair", "sure": "yes", **token}
            answer = await li.http.post(f"/c/{target}", data=fields)
            assert answer.status_code == 403, target
    assert await desk.value("SELECT count(*) FROM ticket") == 0
    page = await li.open(path)
    assert "<script" not in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "script" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-frame-options"] == "DENY"
    cookies = (await (await new_customer()).open(path)).headers.get_list("set-cookie")
    assert cookies
    assert all("HttpOnly" in c and "SameSite=lax" in c for c in cookies)


async def test_a_customers_session_is_none_of_an_operators_and_cannot_be_forged(
    desk: ServiceDesk, new_customer: NewCustomer
) -> None:
    path = await make_unit(desk)
    li = await new_customer(FIRSTCALL_WEB_OPERATOR_PASSWORD="long password", FIRSTCALL_WEB_API_TOKEN="t" * 16)
    await li.register(path, "li@example.test")
    cookie = li.http.cookies["firstcall_customer"]
    li.http.cookies.set("firstcall_session", cookie, domain="127.0.0.1")
    assert (await li.http.get("/api/v1/tickets")).status_code == 401
    forged = await new_customer()
    payload, _, signature = cookie.partition(".")
    forged.http.cookies.set("firstcall_customer", f"{payload}.{'0' * len(signature)}", domain="127.0.0.1")
    assert "Registered to you" not in text_of(await forged.open(path))


async def test_codes_expire_run_out_and_work_once(desk: ServiceDesk, new_customer: NewCustomer) -> None:
    path = await make_unit(desk)
    li = await new_customer()
    await li.open(path)
    await li.send("/c/start", contact="li@example.test")
    right = li.code()
    wrong = f"{(int(right) + 1) % 10**6:06d}"
    for _ in range(5):
        assert (await li.send("/c/code", code=wrong)).status_code == 422
    assert (await li.send("/c/code", code=right)).status_code == 422, "five wrong entries void it"

    await li.open(path)
    await li.send("/c/start", contact="li@example.test")
    await desk.connection.execute("UPDATE contact_challenge SET expires_at = now() - interval '1 second'")
    assert (await li.send("/c/code", code=li.code())).status_code == 422
    assert await desk.value("SELECT count(*) FROM app_user") == 0

    await li.register(path, "li@example.test")
    assert await desk.value("SELECT count(*) FROM contact_challenge WHERE used_at IS NOT NULL") == 1


async def test_limits_hold_against_guessing_and_flooding(desk: ServiceDesk, new_customer: NewCustomer) -> None:
    path = await make_unit(desk)
    li = await new_customer(FIRSTCALL_CUSTOMER_LOOKUPS="12", FIRSTCALL_CUSTOMER_CODES_TO_CONTACT="2")
    for _ in range(2):
        await li.open(path)
        assert (await li.send("/c/start", contact="li@example.test")).status_code == 200
    other = await new_customer(address="10.0.0.2")
    await other.open(path)
    assert (await other.send("/c/start", contact="LI@example.test ")).status_code == 429, "counted by contact"
    assert len(li.letters.letters) == 2
    seen = {(await li.open(f"/01/{GTIN}/21/N{n}")).status_code for n in range(14)}
    assert seen == {404, 429}
    assert (await li.open(path)).status_code == 429
    assert (await other.open(path)).status_code == 200
    counted = await desk.rows("SELECT subject FROM check_try")
    assert counted
    assert not any("10.0.0" in s or "example" in s for (s,) in counted), "who was counted is not readable"


async def test_a_mail_server_that_is_away_is_told_and_nothing_is_half_done(
    desk: ServiceDesk, new_customer: NewCustomer
) -> None:
    path = await make_unit(desk)
    li = await new_customer()
    li.letters.answer = "451 later"
    await li.open(path)
    page = await li.send("/c/start", contact="li@example.test")
    assert page.status_code == 502
    assert "could not send the code" in text_of(page)
    li.letters.answer = "250 taken"
    await li.send("/c/start", contact="li@example.test")
    assert "registered to you" in text_of(await li.send("/c/code", code=li.code()))


async def test_one_tap_asks_for_service_once(desk: ServiceDesk, new_customer: NewCustomer) -> None:
    path = await make_unit(desk)
    li = await new_customer()
    await li.register(
        path,
        "li@example.test",
    )
    page = await li.send("/c/ask", wish="repair")
    assert "We have your request for a repair" in text_of(page)
    assert "You asked us to repair it." in text_of(page)
    await li.send("/c/ask", wish="repair")
    await li.send("/c/ask", wish="installation")
    rows = await desk.rows("SELECT problem, state, noticed_at IS NOT NULL FROM ticket ORDER BY ticket_no")
    assert rows == [("repair_asked", "confirmed", True), ("installation", "confirmed", False)]
    assert await desk.rows("SELECT purpose FROM outreach") == [("first_call",), ("first_call",)]


async def test_a_request_joins_the_ticket_that_is_open_and_unconfirmed_faults_are_not_shown(
    desk: ServiceDesk, new_customer: NewCustomer
) -> None:
    user, device = await desk.customer()
    li = await new_customer()
    path = f"/01/{GTIN}/21/S1"
    await li.register(path, f"{user}@example.test")
    ticket = await desk.ticket(user, device, confirm=False)
    assert "drains more slowly" not in text_of(await li.open(path)), "nobody is told of a fault that is not confirmed"
    page = await li.send("/c/ask", wish="repair")
    assert "drains more slowly" in text_of(page)
    assert await desk.rows("SELECT ticket_no, state, noticed_at IS NOT NULL FROM ticket") == [
        (ticket, "confirmed", True)
    ]


async def test_after_a_transfer_the_former_owner_sees_nothing(desk: ServiceDesk, new_customer: NewCustomer) -> None:
    path = await make_unit(desk)
    seller = await new_customer()
    await seller.register(path, "seller@example.test")
    await seller.send("/c/ask", wish="repair")
    await seller.open(f"/c/transfer/{GTIN}/A1")
    page = await seller.send("")
    match = re.search(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b", text_of(page))
    assert match

    buyer = await new_customer(address="10.0.0.2")
    page = await buyer.register(path, "buyer@example.test")
    assert "registered to somebody else" in text_of(page)
    page = await buyer.send("/c/take", handover="0000-0000")
    assert "does not fit" in text_of(page)
    page = await buyer.send("/c/take", handover=match[0].lower())
    assert "Registered to you" in text_of(page)
    assert "You asked us" not in text_of(page), "the seller's ticket is the seller's"

    page = await seller.open(path)
    assert "Registered to you" not in text_of(page)
    assert "repair" not in text_of(page).lower().replace("book a repair", "")
    assert (await seller.open(f"/c/transfer/{GTIN}/A1")).status_code == 403
    await seller.open("/c/account")
    assert "A1" not in text_of(seller.page)
    assert (await buyer.http.post("/c/take")).status_code == 403
    third = await new_customer(address="10.0.0.3")
    await third.register(path, "third@example.test")
    assert "does not fit" in text_of(await third.send("/c/take", handover=match[0])), "a transfer code works once"


async def test_call_codes_are_confirmed_only_when_they_are_ours(desk: ServiceDesk, new_customer: NewCustomer) -> None:
    from cloud.desk.dispatch.settings import DispatchSettings
    from cloud.desk.outreach.delivery import Courier
    from cloud.desk.outreach.service import providers_of, turn
    from cloud.desk.outreach.settings import OutreachSettings

    user, device = await desk.customer()
    await desk.ticket(user, device)
    li = await new_customer()
    settings = OutreachSettings()
    key = settings.load_key()
    assert key
    pool = li.http._transport.app.state.context.pool  # type: ignore[attr-defined]
    await turn(pool, Courier(settings, key, MASTER, providers_of(settings), "test"), DispatchSettings())
    letter = li.letters.letters[-1].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    code = re.search(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b", letter)
    assert code
    await li.open(f"/c/check/{GTIN}/S1")
    page = await li.send("", code=code[0].lower())
    assert "Yes, this is from us." in text_of(page)
    page = await li.send("", code="AAAA-AAAA")
    assert "No, we do not know this code." in text_of(page)
    assert "Yes" not in text_of(page)

    link = re.search(r"(/a/\S+)", letter.split("Please send somebody: ")[1])
    assert link
    before = await desk.value("SELECT count(*) FROM outreach_answer")
    page = await li.open(link[1])
    assert "Please send somebody" in text_of(page)
    assert "Clean the filter." in text_of(page)
    assert await desk.value("SELECT count(*) FROM outreach_answer") == before, "opening a link changes nothing"
    page = await li.send(link[1])
    assert "We will offer you times for a visit." in text_of(page)
    assert await desk.rows("SELECT action FROM outreach_answer") == [("visit",)]
    assert (await li.open("/a/nonsense")).status_code == 404


async def test_consent_details_and_merges_on_the_account_page(desk: ServiceDesk, new_customer: NewCustomer) -> None:
    await desk.customer(channels=())
    path = await make_unit(desk)
    li = await new_customer()
    await li.register(path, "li@example.test")
    await li.open("/c/account")
    await li.send("/c/account/consent", email="yes", phone="yes")
    assert await desk.rows("SELECT channel FROM consent_now WHERE granted ORDER BY 1") == [("email",), ("phone",)]
    await li.send("/c/account/consent", email="yes")
    assert await desk.rows("SELECT channel FROM consent_now WHERE granted") == [("email",)]
    page = await li.send(
        "/c/account/details", name="李雷", address="1 Test Street", locale="zh", time_zone="Asia/Shanghai"
    )
    assert "李雷" in page.text
    page = await li.send("/c/account/details", name="x", locale="zh", time_zone="Mars/Base")
    assert page.status_code == 422

    await li.open("/c/account")
    await li.send("/c/start", contact="u1@example.test")
    page = await li.send("/c/code", code=li.code())
    assert "S1" in text_of(page), "what the entry had is on the account now"
    assert "Joined entries" in text_of(page)
    page = await li.send("/c/account/undo")
    assert "The entry is separate again." in text_of(page)
    assert "S1" not in text_of(page)
    looks = await desk.rows("SELECT DISTINCT person, action FROM personal_access WHERE purpose LIKE 'shown%%'")
    assert looks == [("customer", "read")]


async def test_the_region_is_asked_with_its_reason_and_kept_for_storms(
    desk: ServiceDesk, new_customer: NewCustomer
) -> None:
    await desk.engineer(regions=["harbour", "north"])
    await desk.customer()  # of an import: region north
    path = await make_unit(desk)
    li = await new_customer()
    await li.open(path)
    await li.send("/c/start", contact="li@example.test")
    assert "So that we can tell a water main or a power cut from a broken machine." in text_of(li.page)
    assert re.findall(r'<option value="([^"]*)"', li.page.text) == ["", "harbour", "north"]
    assert (await li.send("/c/code", code=li.code(), region="Atlantis")).status_code == 422
    await li.open("/c/code")
    await li.send("/c/code", code=li.code(), region="harbour")
    profile = "SELECT region, region_by FROM customer_profile WHERE user_id NOT LIKE 'u_'"
    assert await desk.rows(profile) == [("harbour", "customer")]

    await li.open("/c/account")
    assert '<option value="harbour" selected>' in li.page.text
    await li.send("/c/account/region", region="north")
    assert await desk.rows(profile) == [("north", "customer")]
    assert (await li.send("/c/account/region", region="Atlantis")).status_code == 422
    await li.open("/c/account")
    known = json.loads((await li.send("/c/account/export")).content)
    assert [entry["region"] for entry in known["entries"]] == ["north"]
    await li.open("/c/account?lang=zh")
    assert "以便我们区分是停水停电，还是电器故障。" in text_of(li.page)
    await li.send("/c/account/region", region="")
    assert await desk.rows(profile) == [("", "customer")], "a wish not to say is kept"


async def test_no_answer_leaves_a_known_region_and_without_regions_nothing_is_asked(
    desk: ServiceDesk, new_customer: NewCustomer
) -> None:
    path = await make_unit(desk)
    li = await new_customer()
    await li.open(path)
    await li.send("/c/start", contact="li@example.test")
    assert 'name="region"' not in li.page.text, "there is nothing to choose from"
    await li.send("/c/code", code=li.code())
    user, _device = await desk.customer(channels=())
    other = await new_customer(address="10.0.0.2")
    await other.open(await make_unit(desk, "B2"))
    await other.send("/c/start", contact=f"{user}@example.test")
    await other.send("/c/code", code=other.code(), region="")
    assert await desk.rows("SELECT user_id, region, region_by FROM customer_profile") == [(user, "north", "company")]


async def test_a_storms_letter_is_checked_and_stopped_and_offers_nothing_else(
    desk: ServiceDesk, new_customer: NewCustomer
) -> None:
    from cloud.desk.dispatch.settings import DispatchSettings
    from cloud.desk.outreach.delivery import Courier
    from cloud.desk.outreach.service import providers_of, turn
    from cloud.desk.outreach.settings import OutreachSettings

    await desk.storm(*[await desk.customer() for _ in range(2)])
    li = await new_customer()
    settings = OutreachSettings()
    key = settings.load_key()
    assert key
    pool = li.http._transport.app.state.context.pool  # type: ignore[attr-defined]
    await turn(pool, Courier(settings, key, MASTER, providers_of(settings), "test"), DispatchSettings())
    [letter] = [m for m in li.letters.letters if m["X-To"] == "u1@example.test"]
    text = str(letter.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    code, link = re.search(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b", text), re.search(r"(/a/\S+)", text)
    assert code
    assert link
    await li.open(f"/c/check/{GTIN}/S1")
    assert "Yes, this is from us." in text_of(await li.send("", code=code[0]))
    page = await li.open(link[1])
    assert "Trouble in your area" in text_of(page)
    assert re.findall(r'action="(/a/[^"]+)"', page.text) == [link[1]]
    assert "Something else?" not in text_of(page)
    page = await li.send(link[1])
    assert "You will get no more messages from us." in text_of(page)
    assert await desk.value("SELECT count(*) FROM consent_now WHERE user_id = 'u1' AND granted") == 0


async def test_the_export_is_complete_and_ones_own(desk: ServiceDesk, new_customer: NewCustomer) -> None:
    path = await make_unit(desk)
    li = await new_customer()
    await li.register(
        path,
        "li@example.test",
    )
    await li.send("/c/ask", wish="repair")
    other = await new_customer(address="10.0.0.2")
    await other.register(await make_unit(desk, "B2"), "other@example.test")
    await li.open("/c/account")
    page = await li.send("/c/account/export")
    assert page.headers["content-type"] == "application/json"
    assert "attachment" in page.headers["content-disposition"]
    known = json.loads(page.content)
    [contacts] = known["contacts"].values()
    assert contacts == {"email": "li@example.test"}
    assert [(a["gtin"], a["serial"]) for a in known["appliances"]] == [(GTIN, "A1")]
    assert [t["problem"] for t in known["tickets"]] == ["repair_asked"]
    assert {look["purpose"] for look in known["looks"]} >= {"verified by a code", "exported by themselves"}
    assert b"other@example.test" not in page.content
    assert b"B2" not in page.content


async def test_signing_out_and_in_again(desk: ServiceDesk, new_customer: NewCustomer) -> None:
    path = await make_unit(desk)
    li = await new_customer()
    await li.register(path, "li@example.test")
    await li.open("/c/account")
    await li.send("/c/sign-out")
    assert "Registered to you" not in text_of(await li.open(path))
    assert str((await li.open("/c/account")).url).endswith("/c/sign-in")
    await li.send("/c/start", contact="LI@example.test")
    page = await li.send("/c/code", code=li.code())
    assert "A1" in text_of(page)
    assert await desk.value("SELECT count(*) FROM app_user") == 1


async def test_a_unit_without_a_device_and_one_given_up(desk: ServiceDesk, new_customer: NewCustomer) -> None:
    await desk.connection.execute("INSERT INTO product (gtin, serial) VALUES (%s, 'BOX')", [GTIN])
    li = await new_customer()
    page = await li.register(f"/01/{GTIN}/21/BOX", "li@example.test")
    assert "has not reported to us yet" in text_of(page)
    path = await make_unit(desk)
    await li.open(path)
    assert "Registered to you" in text_of(await li.send("/c/take"))
    await li.open(f"/c/transfer/{GTIN}/A1")
    page = await li.send("/c/give-up")
    assert "not registered to you any more" in text_of(page)
    other = await new_customer(address="10.0.0.2")
    assert "Registered to you" in text_of(await other.register(path, "other@example.test"))


async def test_a_ticket_is_shown_as_it_stands(desk: ServiceDesk, new_customer: NewCustomer) -> None:
    user, device = await desk.customer()
    ticket = await desk.ticket(user, device)
    li = await new_customer()
    page = await li.register(f"/01/{GTIN}/21/S1", f"{user}@example.test")
    assert "Being looked after" in text_of(page)
    assert "Choose what happens next" in text_of(page)
    await tickets.contact(desk.connection, ticket, "agent")
    when = await desk.value("SELECT now() + interval '2 days'")
    await tickets.schedule(desk.connection, ticket, "agent", when)
    assert "Visit agreed" in text_of(await li.open(f"/01/{GTIN}/21/S1"))


async def test_times_are_chosen_on_the_page_itself(desk: ServiceDesk, new_customer: NewCustomer) -> None:
    from cloud.desk.dispatch.rounds import hold_round
    from cloud.desk.dispatch.settings import DispatchSettings
    from cloud.desk.outreach.consent import Profile, set_profile

    await desk.engineer()
    path = await make_unit(desk)
    li = await new_customer()
    await li.register(path, "li@example.test")
    await set_profile(desk.connection, await desk.value("SELECT user_id FROM app_user"), Profile("h", "north"))
    await li.send("/c/ask", wish="repair")
    await hold_round(desk.connection, DispatchSettings())
    page = await li.open(path)
    link = re.search(r'href="(/a/[^"]+)"', page.text)
    assert link
    page = await li.open(link[1])
    assert "Yes, " in text_of(page)
    page = await li.send(link[1])
    assert "The time is booked." in text_of(page)
    assert await desk.value("SELECT state FROM ticket") == "scheduled"
    page = await li.open(path)
    assert "Visit agreed" in text_of(page)
    assert "/a/" not in page.text


@pytest.mark.parametrize("engineers", [1, 0])
async def test_who_asks_for_a_visit_chooses_its_time_at_once_or_as_soon_as_there_is_one(
    desk: ServiceDesk, new_customer: NewCustomer, engineers: int
) -> None:
    from cloud.desk.dispatch.rounds import hold_round
    from cloud.desk.dispatch.settings import DispatchSettings

    path = await make_unit(desk)
    li = await new_customer()
    await li.register(path, "li@example.test")
    await desk.ticket(
        await desk.value("SELECT user_id FROM app_user"), await desk.value("SELECT device_no FROM device")
    )
    if engineers:
        await desk.engineer()
    page = await li.open(_answer_link(await li.open(path)))
    assert "Times that we can offer" not in text_of(page), "the dictionary has something to try first"
    page = await li.send(page.url.path)
    if not engineers:
        assert "We will offer you times for a visit." in text_of(page)
        page = await li.open(path)
        assert "you choose one here" in text_of(page)
        assert "Choose what happens next" not in text_of(page)
        await desk.engineer()
        await hold_round(desk.connection, DispatchSettings())
        page = await li.open(_answer_link(await li.open(path)))
    assert "When shall we come?" in text_of(page) or "Other times" in text_of(page)
    times = re.findall(r'action="(/a/[^"]+)"', page.text)
    page = await li.send(times[1])
    assert "The time is booked." in text_of(page)
    assert await desk.value("SELECT state FROM ticket") == "scheduled"
    assert await desk.rows("SELECT action FROM outreach_answer ORDER BY 1") == [("accept",), ("visit",)]

    assert "Tell us where to come" in text_of(page)
    await li.open(path)
    page = await li.send("/c/address", address="7 Test Street")
    assert "Where shall we come?" not in text_of(page), "once is enough"
    user = await desk.value("SELECT user_id FROM ticket")
    found = await read_contacts(desk.connection, MASTER, user, person="lena", purpose="test")
    assert found["address"] == "7 Test Street"


async def test_nobody_says_where_somebody_elses_visit_goes(desk: ServiceDesk, new_customer: NewCustomer) -> None:
    path = await make_unit(desk)
    li, thief = await new_customer(), await new_customer()
    await li.register(path, "li@example.test")
    await thief.open(path)
    token = re.search(r'name="token" value="([^"]+)"', thief.page.text)
    assert token
    form = {"token": token[1], "gtin": GTIN, "serial": "A1", "address": "9 Other Lane"}
    assert (await thief.http.post("/c/address", data=form)).status_code == 403
    assert await desk.value("SELECT count(*) FROM personal_contact WHERE kind = 'address'") == 0


def _answer_link(page: httpx.Response) -> str:
    match = re.search(r'href="(/a/[^"]+)"', page.text)
    assert match, text_of(page)
    return match[1]


async def test_erasing_leaves_nothing_in_a_dump(
    desk: ServiceDesk, new_customer: NewCustomer, migrated_url: str
) -> None:
    secrets = ["li.lei@erase.example", "Lei Wanzhong", "9 Unmistakable Lane"]
    path = await make_unit(desk)
    li = await new_customer()
    await li.register(path, secrets[0])
    await li.send("/c/ask", wish="repair")
    await li.open("/c/account")
    await li.send("/c/account/details", name=secrets[1], address=secrets[2], locale="en", time_zone="Asia/Shanghai")
    assert all(secret in li.page.text for secret in secrets)
    account = await desk.value("SELECT user_id FROM app_user")
    key = await desk.value("SELECT wrapped_key FROM personal_key")
    sealed = [bytes(row[0]) for row in await desk.rows("SELECT ciphertext FROM personal_contact")]
    assert len(sealed) == 3

    await li.open("/c/account/erase")
    assert (await li.send("/c/account/erase")).status_code == 422
    page = await li.send("/c/account/erase", sure="yes")
    assert "Your account is erased" in text_of(page)
    assert "Registered to you" not in text_of(await li.open(path))
    assert await desk.value("SELECT count(*) FROM owned_device") == 0
    assert await desk.rows("SELECT user_id, problem FROM ticket") == [(account, "repair_asked")], "under the pseudonym"

    dump = dump_of(migrated_url)
    assert account.encode() in dump
    for secret in secrets:
        assert secret.encode() not in dump, secret
    for cipher in [bytes(key), *sealed]:
        assert cipher.hex().encode() not in dump
        assert cipher not in dump


def dump_of(url: str) -> bytes:
    program = find_postgres().folder / "pg_dump"
    done = subprocess.run([program, "--inserts", url], capture_output=True, check=True, timeout=60)
    assert len(done.stdout) > 10_000
    return done.stdout
