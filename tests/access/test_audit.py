"""The audit log: nothing escapes it, and who uses the application's role cannot alter it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from cloud.registry import people
from cloud.registry.keys import MasterKey
from tests.support.databases import until_settled

Connection = AsyncConnection[Any]


async def _rows(connection: Connection, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query, parameters)).fetchall()


async def test_every_table_is_audited_or_named_with_a_reason_why_not(connection: Connection) -> None:
    bare = await _rows(
        connection,
        """SELECT c.relname FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND c.relname NOT IN (SELECT subject FROM audit_exempt)
            AND (SELECT count(*) FROM pg_trigger AS t
                WHERE t.tgrelid = c.oid AND t.tgname IN ('audit_added', 'audit_altered', 'audit_truncated')) <> 3""",
    )
    assert bare == []
    gone = await _rows(connection, "SELECT subject FROM audit_exempt WHERE to_regclass(subject) IS NULL")
    assert gone == [], "named as exempt, but there is no such table"


async def test_a_look_at_personal_data_is_in_the_log_with_person_and_purpose(
    connection: Connection, key_file: Any
) -> None:
    (user,) = (await _rows(connection, "SELECT user_id FROM personal_key LIMIT 1"))[0]
    await people.read_contacts(
        connection, MasterKey.from_file(key_file), user, person="mei", purpose="call about ticket 7"
    )
    found = await _rows(
        connection,
        "SELECT person, subject, detail FROM audit_entry WHERE action = 'look' ORDER BY entry_no DESC LIMIT 1",
    )
    person, subject, detail = found[0]
    assert (person, subject) == ("mei", "personal_access")
    assert detail["user_id"] == user
    assert set(detail["kinds"]) == {"name", "phone", "email", "address"}


async def test_neither_ciphertext_nor_free_text_goes_into_the_log(connection: Connection) -> None:
    details = await _rows(connection, "SELECT detail FROM audit_entry")
    assert details
    for (detail,) in details:
        for part in (detail, detail.get("from", {}), detail.get("to", {})):
            assert not {"ciphertext", "lookup", "note", "reason", "purpose", "wrapped_key", "password_hash"} & set(part)


ATTEMPTS = [
    "UPDATE audit_entry SET person = 'somebody else'",
    "DELETE FROM audit_entry",
    "TRUNCATE audit_entry CASCADE",
    "INSERT INTO audit_entry (program, login, action, subject, key, detail) "
    "VALUES ('x', 'x', 'insert', 'ticket', '{}', '{}')",
    "UPDATE audit_seal SET hash = sha256('x')",
    "DELETE FROM audit_seal",
    "INSERT INTO audit_seal VALUES (99999999, 1, sha256('x'))",
    "INSERT INTO audit_exempt VALUES ('ticket', 'not to be seen')",
    "ALTER TABLE audit_entry DISABLE TRIGGER ALL",
    "ALTER TABLE ticket DISABLE TRIGGER audit_altered",
    "DROP TRIGGER audit_altered ON ticket",
    "DROP TABLE audit_entry CASCADE",
    "CREATE OR REPLACE FUNCTION audit_altered() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "SET session_replication_role = replica",
    "UPDATE personal_access SET person = 'somebody else'",
    "DELETE FROM personal_access",
    "DELETE FROM schema_migration",
    "GRANT pg_write_all_data TO firstcall_web_of_tests",
]


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_the_application_role_cannot_alter_the_log(app_url: str, attempt: str) -> None:
    async with await AsyncConnection.connect(app_url, autocommit=True) as application:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await application.execute(attempt)


async def test_what_the_application_role_changes_is_logged_under_its_login(
    app_url: str, connection: Connection
) -> None:
    async with await AsyncConnection.connect(app_url, autocommit=True) as application:
        await application.execute("SELECT set_config('firstcall.person', 'li', false)")
        await application.execute("UPDATE customer_profile SET tier = 'high'")
        await application.execute(
            "UPDATE app_user SET locale = 'zh' WHERE user_id = (SELECT min(user_id) FROM app_user)"
        )
    rows = await _rows(
        connection,
        "SELECT person, login, action, detail -> 'changed' FROM audit_entry WHERE subject = 'app_user' "
        "ORDER BY entry_no DESC LIMIT 1",
    )
    assert rows == [("li", "firstcall_web_of_tests", "update", ["locale"])]


async def test_the_owner_is_refused_too_unless_the_trigger_is_taken_off(connection: Connection) -> None:
    with pytest.raises(psycopg.Error, match="append-only"):
        await connection.execute("DELETE FROM audit_entry")


async def _seal(connection: Connection) -> None:
    await until_settled(connection)
    while (await _rows(connection, "SELECT seal_audit(500)"))[0][0]:
        pass


TAMPERING = [
    ("UPDATE audit_entry SET person = 'somebody else' WHERE entry_no = %s", "is not as it was sealed"),
    ("UPDATE audit_entry SET at = at + interval '1 second' WHERE entry_no = %s", "is not as it was sealed"),
    ("DELETE FROM audit_seal WHERE entry_no = %s", "a seal before this one is gone"),
]


async def test_a_whole_log_has_no_faults_and_each_tampering_shows(connection: Connection) -> None:
    await _seal(connection)
    (entries, seals) = (
        await _rows(connection, "SELECT (SELECT count(*) FROM audit_entry), (SELECT count(*) FROM audit_seal)")
    )[0]
    assert entries == seals > 50
    assert await _rows(connection, "SELECT * FROM audit_faults()") == []
    (middle,) = (await _rows(connection, "SELECT entry_no FROM audit_seal WHERE position = 20"))[0]
    for statement, wrong in TAMPERING:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - what is tried is undone
            async with connection.transaction():
                await connection.execute("ALTER TABLE audit_entry DISABLE TRIGGER append_only")
                await connection.execute("ALTER TABLE audit_seal DISABLE TRIGGER append_only")
                await connection.execute(statement, [middle])
                found = await _rows(connection, "SELECT * FROM audit_faults()")
                assert any(wrong in text for _at, text in found), (statement, found)
                raise ZeroDivisionError  # undo
    assert await _rows(connection, "SELECT * FROM audit_faults()") == []


async def test_sealing_goes_on_where_it_ended(connection: Connection) -> None:
    await _seal(connection)
    await connection.execute("UPDATE app_user SET locale = 'zh'")
    await _seal(connection)
    assert await _rows(connection, "SELECT * FROM audit_faults()") == []
    rows = await _rows(connection, "SELECT count(*), max(position) FROM audit_seal")
    assert rows[0][0] == rows[0][1]
