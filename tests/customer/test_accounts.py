"""Accounts: one verified contact is one user; merges form what their edges say, and undoing restores what was."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection, errors

from cloud.engines.postgres import PostgresServer
from cloud.registry import accounts, people
from cloud.registry.errors import UnknownUser
from tests.support.databases import fresh_database
from tests.support.service_desk import MASTER

Connection = AsyncConnection[Any]
USERS = 6


@pytest.fixture
async def connection(migrated_url: str) -> Any:
    async with await AsyncConnection.connect(migrated_url, autocommit=True) as opened:
        yield opened


async def imported(connection: Connection, user_id: str, **contacts: str) -> str:
    await people.add_user(connection, user_id)
    await people.write_contacts(connection, MASTER, user_id, contacts, person="test", purpose="test")  # type: ignore[arg-type]
    return user_id


async def test_a_new_contact_makes_an_account_and_the_same_one_leads_back_to_it(connection: Connection) -> None:
    first = await accounts.admit(connection, MASTER, "email", " Li@Example.test ")
    again = await accounts.admit(connection, MASTER, "email", "li@example.TEST")
    assert first.is_new
    assert again == accounts.Admission(first.account, is_new=False, merged=())
    assert await people.read_contacts(connection, MASTER, first.account, person="t", purpose="t") == {
        "email": "Li@Example.test"
    }


async def test_entries_with_the_same_verified_contact_become_one_and_can_be_told_apart_again(
    connection: Connection,
) -> None:
    await imported(connection, "shop", email="li@example.test")
    await imported(connection, "hotline", phone="+86 138 0000 0000", email="LI@example.test")
    by_mail = await accounts.admit(connection, MASTER, "email", "li@example.test")
    assert (by_mail.account, by_mail.is_new, len(by_mail.merged)) == ("shop", False, 1)
    assert await accounts.members(connection, "hotline") == ("shop", "hotline")
    by_phone = await accounts.admit(connection, MASTER, "phone", "0086 13800000000")
    assert by_phone.account == "shop"

    assert await accounts.undo(connection, by_mail.merged[0], person="agent") == "hotline"
    assert await accounts.members(connection, "shop") == ("shop",)
    assert await accounts.account_of(connection, "hotline") == "hotline"
    again = await accounts.admit(connection, MASTER, "email", "li@example.test")
    assert (again.account, again.merged) == ("shop", ()), "what a person has separated is not merged by itself"
    [logged] = await accounts.merges(connection, "shop")
    assert (logged.reason, logged.person, logged.undone_by) == ("same verified email", "customer", "agent")
    with pytest.raises(accounts.NoSuchMerge):
        await accounts.undo(connection, by_mail.merged[0], person="agent")


async def test_a_contact_added_while_signed_in_brings_its_holders_along(connection: Connection) -> None:
    await imported(connection, "caller", phone="+49 30 1234")
    mine = await accounts.admit(connection, MASTER, "email", "me@example.test")
    added = await accounts.admit(connection, MASTER, "phone", "+49301234", signed_in=mine.account)
    assert added.account == mine.account
    assert set(await accounts.members(connection, mine.account)) == {mine.account, "caller"}
    assert (await accounts.admit(connection, MASTER, "phone", "+49 30 1234")).account == mine.account


async def test_what_cannot_be_merged_is_refused_and_the_log_stands(connection: Connection) -> None:
    for name in ("a", "b", "c"):
        await people.add_user(connection, name)
    number = await accounts.merge(connection, "a", "b", reason="r", person="p")
    with pytest.raises(accounts.NotTwoAccounts):
        await accounts.merge(connection, "b", "a", reason="r", person="p")
    await accounts.erase(connection, "c", person="p", purpose="asked")
    with pytest.raises(UnknownUser):
        await accounts.merge(connection, "a", "c", reason="r", person="p")
    for statement in ("DELETE FROM account_merge", "UPDATE account_merge SET into_user = 'c'"):
        with pytest.raises(errors.Error) as refused:
            await connection.execute(statement)  # type: ignore[arg-type]
        assert refused.value.sqlstate == "FC009"
    assert number == 1


async def test_erasing_an_account_erases_every_entry(connection: Connection) -> None:
    await imported(connection, "one", email="x@example.test")
    await imported(connection, "two", phone="+4930999")
    await accounts.admit(connection, MASTER, "email", "x@example.test")
    await accounts.admit(connection, MASTER, "phone", "+4930999", signed_in="one")
    assert set(await accounts.erase(connection, "two", person="customer", purpose="asked")) == {"one", "two"}
    for table in ("personal_contact", "personal_key", "verified_contact"):
        row = await (await connection.execute(f"SELECT count(*) FROM {table}")).fetchone()  # type: ignore[arg-type]
        assert row == (0,)
    fresh = await accounts.admit(connection, MASTER, "email", "x@example.test")
    assert fresh.is_new


@pytest.fixture(scope="module")
def play_url(postgres_server: PostgresServer, _migrated_postgres: str) -> Iterator[str]:
    with fresh_database(postgres_server, _migrated_postgres) as url:
        yield url


def components(edges: dict[int, tuple[str, str]], users: list[str]) -> dict[str, frozenset[str]]:
    """The oracle: who belongs together, from the merges in force alone."""
    groups = {user: {user} for user in users}
    for one, other in edges.values():
        joined = groups[one] | groups[other]
        for user in joined:
            groups[user] = joined
    return {user: frozenset(group) for user, group in groups.items()}


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("merge"), st.integers(0, USERS - 1), st.integers(0, USERS - 1)),
        st.tuples(st.just("undo"), st.integers(0, 20), st.just(0)),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES)
def test_accounts_are_the_components_of_the_merges_in_force_and_undoing_all_restores_all(
    play_url: str, moves: list[tuple[str, int, int]]
) -> None:
    asyncio.run(_play(play_url, moves))


async def _play(url: str, moves: list[tuple[str, int, int]]) -> None:
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        users = [await people.add_user(connection) for _ in range(USERS)]
        await connection.execute(
            "INSERT INTO consent (user_id, channel, granted, source) SELECT unnest(%s::text[]), 'email', true, 't'",
            [users],
        )
        before = await _held(connection, users)
        edges: dict[int, tuple[str, str]] = {}
        for move, one, other in moves:
            if move == "merge":
                together = components(edges, users)
                if other in (one,) or users[other] in together[users[one]]:
                    with pytest.raises(accounts.NotTwoAccounts):
                        await accounts.merge(connection, users[one], users[other], reason="r", person="p")
                    continue
                number = await accounts.merge(connection, users[one], users[other], reason="r", person="p")
                row = await (
                    await connection.execute(
                        "SELECT user_id, into_user FROM account_merge WHERE merge_no = %s", [number]
                    )
                ).fetchone()
                assert row
                edges[number] = (row[0], row[1])
            elif edges:
                number = sorted(edges)[one % len(edges)]
                await accounts.undo(connection, number, person="p")
                del edges[number]
            expected = components(edges, users)
            for user in users:
                assert frozenset(await accounts.members(connection, user)) == expected[user]
                assert await accounts.account_of(connection, user) in expected[user]
        for number in list(edges):
            await accounts.undo(connection, number, person="p")
        for user in users:
            assert await accounts.members(connection, user) == (user,)
        assert await _held(connection, users) == before


async def _held(connection: Connection, users: list[str]) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(
        "SELECT u.user_id, u.locale, u.erased_at, c.granted FROM app_user AS u JOIN consent_now AS c USING (user_id)"
        " WHERE u.user_id = ANY(%s) ORDER BY 1",
        [users],
    )
    return await cursor.fetchall()
