"""Who may do what: every route asks, each role gets what the table says, engineers see whom they visit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from psycopg import AsyncConnection

from cloud.web.api import health
from cloud.web.api.allowing import Allowed, AllowedLater
from cloud.web.api.changing import SAFE_METHODS, ChangingRoute
from cloud.web.app import PARTS
from cloud.web.auth import clients
from cloud.web.auth.identity import Identity, acting_as, open_door, require
from cloud.web.auth.permissions import EVERYTHING, ROLES, Permission, UnknownRole, permissions_of, scopes_of
from cloud.web.problems import Problem
from tests.access.people import account, sign_in

Connection = AsyncConnection[Any]
Start = Callable[..., Awaitable[httpx.AsyncClient]]
TICKETS = "/api/v1/tickets"


def test_every_route_of_the_api_asks_for_a_permission() -> None:
    routes = [route for part in PARTS for route in part.router.routes if isinstance(route, APIRoute)]
    routes += [r for r in health.router.routes if isinstance(r, APIRoute) and r.path == "/metrics"]
    assert len(routes) > 30
    for route in routes:
        asked = [d for d in route.dependencies if isinstance(d.dependency, Allowed | AllowedLater)]
        assert asked, f"{route.methods} {route.path} asks for no permission"


def test_every_route_that_changes_something_is_one_transaction_in_a_persons_name() -> None:
    for part in PARTS:
        for route in part.router.routes:
            if isinstance(route, APIRoute) and route.methods - SAFE_METHODS:
                assert isinstance(route, ChangingRoute), route.path


def test_the_table_knows_its_names() -> None:
    assert permissions_of(["agent", "auditor"]) == ROLES["agent"] | ROLES["auditor"]
    with pytest.raises(UnknownRole, match="agent"):
        permissions_of(["boss"])
    with pytest.raises(UnknownRole, match="look"):
        scopes_of(["everything"])
    granted = frozenset().union(*ROLES.values())
    assert granted == EVERYTHING, "a permission that no role has"


def test_no_role_that_looks_at_any_contact_reads_the_audit_log() -> None:
    for role, may in ROLES.items():
        assert not {Permission.ANY_CONTACT, Permission.AUDIT} <= may, role
    assert Permission.ANY_CONTACT not in ROLES["engineer"] | ROLES["admin"] | ROLES["quality"]


def test_nobody_acting_is_refused() -> None:
    with pytest.raises(Problem, match="nobody"):
        require(Permission.LOOK)
    with acting_as(Identity("mei", "person", frozenset())), pytest.raises(Problem, match="look"):
        require(Permission.LOOK)
    with acting_as(open_door("operator")):
        assert require(Permission.RESOLVE).name == "operator"


STEPS = {
    "confirm": {},
    "contact": {},
    "schedule": {"at": "2030-01-01T10:00:00Z"},
    "resolve": {"outcome": "no_fault_found"},
    "dismiss": {"reason": "tried it"},
}


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_may_do_what_the_table_says_and_nothing_else(
    start_api: Start, connection: Connection, role: str
) -> None:
    api = await start_api(accounts=True)
    assert (await api.get(TICKETS)).status_code == 401
    await account(connection, "mei", role)
    assert (await sign_in(api, "mei")).status_code == 303
    me = (await api.get("/api/v1/me")).json()
    assert (me["name"], set(me["permissions"])) == ("mei", set(ROLES[role]))
    may = ROLES[role]
    for step, body in STEPS.items():
        answer = await api.post(f"{TICKETS}/999999/{step}", json=body)
        expected = 404 if Permission(f"tickets.{step}") in may else 403
        assert answer.status_code == expected, (step, answer.text)
    for path, permission in (("/api/v1/audit", Permission.AUDIT), ("/api/v1/webhooks", Permission.WEBHOOKS),
                             ("/metrics", Permission.METRICS), (TICKETS, Permission.LOOK)):  # fmt: skip
        assert (await api.get(path)).status_code == (200 if permission in may else 403), path


async def _customer(connection: Connection) -> tuple[str, int]:
    row = await (await connection.execute(
        "SELECT t.user_id, t.ticket_no FROM ticket AS t JOIN personal_key USING (user_id) ORDER BY 2 LIMIT 1"
    )).fetchone()  # fmt: skip
    assert row is not None
    return row[0], row[1]


async def _book(connection: Connection, engineer: str, ticket_no: int) -> int:
    await connection.execute(
        "INSERT INTO engineer (engineer, name, seniority, regions) VALUES (%s, 'an engineer', 3, '{x}')"
        " ON CONFLICT DO NOTHING", [engineer],
    )  # fmt: skip
    row = await (await connection.execute(
        "INSERT INTO work_order (ticket_no, state, experienced, waiting_since) VALUES (%s, 'booked', false, now())"
        " RETURNING work_order_no", [ticket_no],
    )).fetchone()  # fmt: skip
    assert row is not None
    await connection.execute(
        "INSERT INTO visit_slot (work_order_no, engineer, span, state, kept, hold_until, explanation) VALUES"
        " (%s, %s, tstzrange(now() + interval '1 day', now() + interval '26 hours'), 'booked', true, now(), '{}')",
        [row[0], engineer],
    )
    return int(row[0])


async def test_an_engineer_sees_a_contact_for_an_assigned_visit_only(start_api: Start, connection: Connection) -> None:
    api = await start_api(accounts=True)
    user, ticket = await _customer(connection)
    for name in ("lena", "tom"):
        await account(connection, name, "engineer")
    look, body = f"/api/v1/users/{user}/contact-looks", {"purpose": "visit tomorrow"}
    await sign_in(api, "lena")
    assert (await api.post(look, json=body)).status_code == 403
    order = await _book(connection, "lena", ticket)
    seen = await api.post(look, json=body)
    assert (seen.status_code, bool(seen.json()["phone"])) == (200, True)
    await sign_in(api, "tom")
    assert (await api.post(look, json=body)).status_code == 403, "it is another engineer's visit"
    await connection.execute("UPDATE work_order SET state = 'done' WHERE work_order_no = %s", [order])
    await sign_in(api, "lena")
    assert (await api.post(look, json=body)).status_code == 403, "the visit is over"
    rows = await (await connection.execute(
        "SELECT person FROM audit_entry WHERE action = 'look' ORDER BY entry_no DESC"
    )).fetchall()  # fmt: skip
    assert rows[0] == ("lena",)
    assert len(await (await connection.execute("SELECT FROM personal_access WHERE action = 'read'")).fetchall()) == len(
        rows
    )


async def test_an_agent_sees_any_contact_and_a_step_is_logged_in_their_name(
    start_api: Start, connection: Connection
) -> None:
    api = await start_api(accounts=True)
    await account(connection, "mei", "agent")
    await sign_in(api, "mei")
    user, ticket = await _customer(connection)
    answer = await api.post(f"/api/v1/users/{user}/contact-looks", json={"purpose": "first call"})
    assert answer.status_code == 200
    await api.post(f"{TICKETS}/{ticket}/confirm", json={})
    rows = await (await connection.execute(
        "SELECT person, program FROM audit_entry WHERE subject = 'ticket' AND key ->> 'ticket_no' = %s"
        " ORDER BY entry_no DESC LIMIT 1", [str(ticket)],
    )).fetchall()  # fmt: skip
    assert rows == [("mei", "firstcall-web")]


async def test_a_client_may_do_what_its_scopes_say_until_it_is_revoked(
    start_api: Start, connection: Connection
) -> None:
    api = await start_api(accounts=True)
    token = await clients.issue(connection, "crm", ["look", "tickets.confirm"], "test")
    bearer = {"Authorization": f"Bearer {token}"}
    _, ticket = await _customer(connection)
    assert (await api.get(TICKETS, headers=bearer)).status_code == 200
    nameless = await api.post(f"{TICKETS}/{ticket}/confirm", json={}, headers=bearer)
    assert nameless.status_code == 422, "a program says for whom"
    done = await api.post(f"{TICKETS}/{ticket}/confirm", json={"who": "mei"}, headers=bearer)
    assert done.json()["steps"][-1]["person"] == "mei"
    refused = await api.post(f"{TICKETS}/{ticket}/dismiss", json={"who": "mei", "reason": "x"}, headers=bearer)
    assert refused.status_code == 403
    assert (await api.get("/queue", headers=bearer)).status_code == 401, "tokens are for the API alone"
    kept = await (await connection.execute("SELECT token_hash FROM api_token")).fetchall()
    assert token.encode() not in kept[0][0]
    await clients.revoke(connection, "crm")
    assert (await api.get(TICKETS, headers=bearer)).status_code == 401
    names = await (await connection.execute(
        "SELECT DISTINCT person FROM audit_entry WHERE subject = 'ticket_step' AND person LIKE 'client %'"
    )).fetchall()  # fmt: skip
    assert names == [("client crm",)]


async def test_too_many_requests_are_told_to_wait(start_api: Start, connection: Connection) -> None:
    api = await start_api(accounts=True, requests_per_s=0.5, requests_burst=3)
    token = await clients.issue(connection, "crm", ["look"], "test")
    bearer = {"Authorization": f"Bearer {token}"}
    answers = [await api.get("/api/v1/me", headers=bearer) for _ in range(4)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 2
    for _ in range(20):
        wrong = await api.get("/api/v1/me", headers={"Authorization": "Bearer fc_wrong"})
        assert wrong.status_code == 401
    assert (await api.get("/api/v1/me", headers={"Authorization": "Bearer fc_wrong"})).status_code == 429
