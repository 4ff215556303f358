"""The API against the real database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from cloud.desk import tickets as desk
from cloud.desk.triage.queue import order_day
from cloud.desk.triage.settings import TriageSettings
from cloud.registry import ownership
from cloud.registry.costs import Costs
from tests.web.fleet import Fleet, report, run_desk

Connection = AsyncConnection[Any]
Start = Callable[..., Awaitable[httpx.AsyncClient]]


async def _first_ticket(api: httpx.AsyncClient, device: str) -> dict[str, Any]:
    items = (await api.get("/api/v1/tickets", params={"device": device})).json()["items"]
    return dict(items[0])


async def test_faults_carry_their_four_codes_and_name_what_is_missing(api: httpx.AsyncClient) -> None:
    faults = (await api.get("/api/v1/faults")).json()["items"]
    by_device = {(f["device"], f["problem"]): f for f in faults}
    whole = by_device["washer-0042", "5E"]
    assert (whole["user_id"], whole["model"], whole["severity"], whole["missing"]) == (
        "u_004c1f", "WM-8014", "high", [],
    )  # fmt: skip
    assert whole["meaning"]["en"] == "Water does not drain"
    assert by_device["washer-0043", "LE"]["missing"] == ["user"]
    assert by_device["fridge-0108", "Er-FS"]["missing"] == ["product"]
    assert by_device["ac-0312", "E9"]["missing"] == ["code"]


FILTERS: list[tuple[dict[str, str], set[str]]] = [
    ({"device": "washer-0042"}, {"washer-0042"}),
    ({"complete": "false"}, {"washer-0043", "fridge-0108", "ac-0312"}),
    ({"source": "predicted"}, {"fridge-0107", "ac-0311"}),
    ({"severity": "critical"}, {"heater-0020", "washer-0043"}),
    ({"standing": "false"}, {"ac-0312"}),
    ({"until": "2001-01-01T00:00:00Z"}, set()),
]


async def test_faults_are_filtered(api: httpx.AsyncClient) -> None:
    for query, devices in FILTERS:
        answer = await api.get("/api/v1/faults", params=query)
        assert {f["device"] for f in answer.json()["items"]} == devices, query


async def test_the_queue_is_the_order_of_the_day(api: httpx.AsyncClient, connection: Connection) -> None:
    await order_day(connection, Costs.load(), TriageSettings(calls_a_day=1))
    queue = (await api.get("/api/v1/tickets")).json()["items"]
    assert [(t["place"], t["today"]) for t in queue] == [(1, True), (2, False), (3, False), (4, False)]
    assert queue[0]["place_reason"]["en"].startswith("Place 1 of 4: ")
    assert "used up" in queue[1]["place_reason"]["en"]
    assert await _walk(api, "/api/v1/tickets", 1) == queue


async def test_a_ticket_without_a_place_stands_by_its_worth_and_nothing_is_hidden(
    api: httpx.AsyncClient, connection: Connection
) -> None:
    queue = (await api.get("/api/v1/tickets")).json()["items"]
    numbers = [t["ticket_no"] for t in queue]
    await connection.execute("DELETE FROM queue_place WHERE ticket_no = %s", [numbers[1]])
    found = (await api.get("/api/v1/tickets")).json()["items"]
    assert [t["ticket_no"] for t in found] == numbers
    assert (found[1]["place"], found[1]["today"], found[1]["place_reason"]) == (None, None, None)
    await connection.execute("DELETE FROM queue_place")
    worths = [t["expected_value"] for t in await _walk(api, "/api/v1/tickets", 1)]
    assert len(worths) == 4
    assert worths == sorted(worths, reverse=True)


async def test_who_was_called_comes_after_who_waits_and_the_agreed_visit_last(
    api: httpx.AsyncClient, connection: Connection
) -> None:
    numbers = [t["ticket_no"] for t in (await api.get("/api/v1/tickets")).json()["items"]]
    now = datetime.now(UTC)
    for called in (numbers[0], numbers[2]):  # their places in the table are stale from here on
        await desk.confirm(connection, called, "mei")
        await desk.contact(connection, called, "mei")
    await desk.schedule(connection, numbers[0], "mei", now + timedelta(days=1))
    found = await _walk(api, "/api/v1/tickets", 2)
    assert [t["ticket_no"] for t in found] == [numbers[1], numbers[3], numbers[2], numbers[0]]
    assert [t["place"] is None for t in found] == [False, False, True, True]


async def _walk(api: httpx.AsyncClient, path: str, limit: int, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        parameters: dict[str, Any] = {"limit": limit, **query, **({"cursor": cursor} if cursor else {})}
        answer = await api.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        items = answer.json()["items"]
        assert len(items) <= limit
        found += items
        cursor = answer.json()["next"]
        if cursor is None:
            return found
        assert len(items) == limit, "only the last page may be short"


LISTS = [
    ("/api/v1/faults", {}, "case_no"),
    ("/api/v1/faults", {"source": "reported"}, "case_no"),
    ("/api/v1/tickets", {}, "ticket_no"),
    ("/api/v1/tickets", {"order": "newest"}, "ticket_no"),
    ("/api/v1/devices", {}, "device"),
    ("/api/v1/predictions", {}, "prediction_no"),
    ("/api/v1/ingest/dead-letters", {}, "dead_letter_no"),
]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 12), place=st.integers(0, len(LISTS) - 1))
async def test_pages_of_any_size_give_the_whole_list_once(api: httpx.AsyncClient, limit: int, place: int) -> None:
    path, query, key = LISTS[place]
    whole = (await api.get(path, params={"limit": 200, **query})).json()["items"]
    walked = await _walk(api, path, limit, **query)
    assert [item[key] for item in walked] == [item[key] for item in whole]
    assert whole


async def test_pages_stay_whole_when_all_times_are_equal_and_rows_come_meanwhile(
    api: httpx.AsyncClient, connection: Connection, fleet: Fleet
) -> None:
    at = datetime.now(UTC) - timedelta(minutes=30)
    for code in ("5E", "LE", "X1", "X2", "X3"):
        await report(connection, fleet.devices["washer-0043"], code, at)
    await run_desk(connection)
    before = {f["case_no"] for f in await _walk(api, "/api/v1/faults", 200)}
    first = (await api.get("/api/v1/faults", params={"limit": 4})).json()
    await report(connection, fleet.devices["washer-0042"], "LE", datetime.now(UTC))
    await run_desk(connection)
    seen, cursor = [f["case_no"] for f in first["items"]], first["next"]
    while cursor:
        page = (await api.get("/api/v1/faults", params={"limit": 4, "cursor": cursor})).json()
        seen += [f["case_no"] for f in page["items"]]
        cursor = page["next"]
    assert len(seen) == len(set(seen))
    assert set(seen) == before


async def test_a_ticket_from_proposal_to_finding(api: httpx.AsyncClient, connection: Connection) -> None:
    number = (await _first_ticket(api, "washer-0042"))["ticket_no"]
    path = f"/api/v1/tickets/{number}"
    file = (await api.get(path)).json()
    assert file["ticket"]["customer_words"]["en"].startswith("Your washer reports")
    assert file["evidence"][0]["kind"] == "reported"
    for step, body in (("confirm", {}), ("contact", {}), ("schedule", {"at": "2030-01-02T10:00:00+01:00"})):
        answer = await api.post(f"{path}/{step}", json={"who": "mei", **body})
        assert answer.status_code == 200, answer.text
    assert answer.json()["ticket"]["scheduled_for"] == "2030-01-02T09:00:00Z"
    body = {"who": "li", "outcome": "fault_confirmed", "code": "5E", "part": "drain-pump", "note": "pump was blocked"}
    closed = (await api.post(f"{path}/resolve", json=body)).json()
    assert closed["ticket"]["state"] == "resolved"
    assert closed["finding"]["part"] == "drain-pump"
    assert [(s["to_state"], s["person"]) for s in closed["steps"]] == [
        ("proposed", "desk"), ("confirmed", "mei"), ("contacted", "mei"), ("scheduled", "mei"), ("resolved", "li"),
    ]  # fmt: skip
    cursor = await connection.execute("SELECT outcome, code, part, person FROM finding WHERE ticket_no = %s", [number])
    assert await cursor.fetchall() == [("fault_confirmed", "5E", "drain-pump", "li")]


async def test_two_people_cannot_overwrite_each_other(api: httpx.AsyncClient) -> None:
    number = (await _first_ticket(api, "washer-0042"))["ticket_no"]
    path = f"/api/v1/tickets/{number}"
    tag = (await api.get(path)).headers["etag"]
    first = await api.post(f"{path}/confirm", json={"who": "mei"}, headers={"If-Match": tag})
    assert first.status_code == 200
    assert first.headers["etag"] != tag
    late = await api.post(f"{path}/dismiss", json={"who": "li", "reason": "no"}, headers={"If-Match": tag})
    assert (late.status_code, late.json()["type"]) == (412, "urn:firstcall:problem:changed")
    assert (await api.get(path)).json()["ticket"]["state"] == "confirmed"


async def test_a_step_out_of_order_is_a_conflict_that_says_why(api: httpx.AsyncClient) -> None:
    number = (await _first_ticket(api, "washer-0042"))["ticket_no"]
    answer = await api.post(f"/api/v1/tickets/{number}/schedule", json={"who": "mei", "at": "2030-01-02T10:00:00Z"})
    assert answer.status_code == 409
    assert "proposed" in answer.json()["detail"]


async def test_a_former_owner_is_never_contacted(api: httpx.AsyncClient, connection: Connection) -> None:
    number = (await _first_ticket(api, "washer-0042"))["ticket_no"]
    await api.post(f"/api/v1/tickets/{number}/confirm", json={"who": "mei"})
    await ownership.revoke(connection, "washer-0042", "u_004c1f", datetime.now(UTC) - timedelta(minutes=1), "agent")
    answer = await api.post(f"/api/v1/tickets/{number}/contact", json={"who": "mei"})
    assert answer.status_code == 409
    assert "does not have the device" in answer.json()["detail"]


BAD_INPUT: list[tuple[str, str, dict[str, Any] | None, int]] = [
    ("GET", "/api/v1/tickets/999999", None, 404),
    ("GET", "/api/v1/tickets/99999999999999999999", None, 422),
    ("GET", "/api/v1/faults?cursor=forged", None, 400),
    ("GET", "/api/v1/faults?limit=0", None, 422),
    ("GET", "/api/v1/faults?since=yesterday", None, 422),
    ("GET", "/api/v1/faults?since=2026-01-01T00:00:00", None, 422),
    ("GET", "/api/v1/faults?device=%00", None, 422),
    ("GET", "/api/v1/devices?beginning=%00", None, 422),
    ("GET", "/api/v1/devices?model=%00", None, 422),
    ("GET", "/api/v1/devices/washer-0042/series?channel=%00", None, 422),
    ("GET", "/api/v1/faults?device=%27%3B%20DROP%20TABLE%20ticket%3B--", None, 200),
    ("GET", "/api/v1/devices/nobody", None, 404),
    ("GET", "/api/v1/devices/washer-0042/series?since=2026-02-01T00:00Z&until=2026-01-01T00:00Z", None, 422),
    ("POST", "/api/v1/tickets/1/dismiss", {"who": "mei"}, 422),
    ("POST", "/api/v1/tickets/1/dismiss", {"who": "mei", "reason": " "}, 422),
    ("POST", "/api/v1/tickets/1/resolve", {"who": "mei", "outcome": "unsure"}, 422),
    ("POST", "/api/v1/tickets/1/confirm", {"who": "mei", "surprise": 1}, 422),
    ("POST", "/api/v1/findings", {"who": "mei", "device": "nobody", "outcome": "other_fault"}, 404),
    ("POST", "/api/v1/users/nobody/contact-looks", {"who": "mei", "purpose": "call"}, 404),
    ("DELETE", "/api/v1/tickets", None, 405),
    ("GET", "/nowhere", None, 404),
]


async def test_bad_input_is_a_problem_document(api: httpx.AsyncClient) -> None:
    for method, path, body, status in BAD_INPUT:
        answer = await api.request(method, path, json=body)
        assert answer.status_code == status, (method, path, answer.text)
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json", path
            assert answer.json()["status"] == status
            assert answer.json()["detail"]


async def test_a_failure_that_no_ticket_foresaw_becomes_a_finding(api: httpx.AsyncClient) -> None:
    body = {"who": "mei", "device": "washer-0043", "outcome": "other_fault", "note": "the belt tore"}
    made = await api.post("/api/v1/findings", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["ticket_no"] is None
    listed = (await api.get("/api/v1/findings", params={"device": "washer-0043"})).json()["items"]
    assert [f["note"] for f in listed] == ["the belt tore"]


async def test_every_look_at_contacts_is_logged(api: httpx.AsyncClient, connection: Connection) -> None:
    body = {"who": "mei", "purpose": "call about ticket 3"}
    found = await api.post("/api/v1/users/u_004c1f/contact-looks", json=body)
    assert found.json()["phone"] == "+49 30 5550 010"
    query = "SELECT person, purpose FROM personal_access WHERE user_id = 'u_004c1f' AND action = 'read'"
    assert await (await connection.execute(query)).fetchall() == [("mei", "call about ticket 3")]
    for path in ("/api/v1/faults", "/api/v1/tickets", "/api/v1/devices/washer-0042"):
        assert "5550" not in (await api.get(path)).text


async def test_without_the_key_contacts_stay_closed(start_api: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIRSTCALL_REGISTRY_MASTER_KEY_FILE")
    api = await start_api()
    body = {"who": "mei", "purpose": "call about ticket 3"}
    answer = await api.post("/api/v1/users/u_004c1f/contact-looks", json=body)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:firstcall:problem:no-key")


async def test_metrics_tell_of_ingest_losses_dead_letters_and_tickets(api: httpx.AsyncClient) -> None:
    lines = (await api.get("/metrics")).text.splitlines()
    assert 'firstcall_tickets{state="proposed"} 4.0' in lines
    assert 'firstcall_dead_letters{reason="unsupported_version"} 1.0' in lines
    assert "firstcall_loss_messages 1840.0" in lines
    assert 'firstcall_faults_standing{severity="critical"} 2.0' in lines
    assert 'firstcall_program_counter{counter="frames",instance="host:4711",program="ingest"} 48210.0' in lines
    assert any(line.startswith("firstcall_ingest_lag_seconds ") for line in lines)


async def test_ready_needs_the_tables_and_alive_nothing(postgres_url: str) -> None:
    from cloud.db.settings import DatabaseSettings
    from cloud.web.app import create_app
    from cloud.web.settings import WebSettings

    app = create_app(WebSettings(), DatabaseSettings(url=postgres_url), console=False)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            assert (await client.get("/health/live")).status_code == 200
            answer = await client.get("/health/ready")
    assert answer.status_code == 503
    assert "firstcall migrate" in answer.json()["detail"]


async def test_the_description_covers_every_route_and_its_problems(start_api: Start) -> None:
    api = await start_api()
    description = (await api.get("/api/openapi.json")).json()
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert operation.get("description"), (method, path)
            if path.startswith("/api/"):
                assert "401" in operation["responses"], (method, path)
    page = (await api.get("/api")).text
    assert "/api/v1/tickets/{ticket_no}/confirm" in page
    assert "//cdn" not in page
