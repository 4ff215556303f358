"""Personal data: encrypted with a key a user, each look logged, gone after an erasure."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from cryptography.exceptions import InvalidTag

from cloud.engines.postgres_binaries import find_postgres
from cloud.registry import ownership, people
from cloud.registry.errors import NoMasterKey, UnknownUser
from cloud.registry.keys import MasterKey
from cloud.registry.settings import RegistrySettings

from .conftest import Connection

LI = {"name": "Li Wei 李伟", "phone": "+86 138 0013 8000", "email": "Li.Wei@example.com", "address": "1 Garden Road"}


async def _write(connection: Connection, master: MasterKey) -> str:
    user = await people.add_user(connection, locale="zh", time_zone="Asia/Shanghai")
    await people.write_contacts(connection, master, user, LI, person="eva", purpose="registration")  # type: ignore[arg-type]
    return user


async def test_what_was_written_is_read_and_every_look_is_logged(connection: Connection, master: MasterKey) -> None:
    user = await _write(connection, master)
    read = await people.read_contacts(
        connection, master, user, person="max", purpose="call about ticket 7", kinds=("name", "phone")
    )
    assert read == {"name": LI["name"], "phone": LI["phone"]}
    cursor = await connection.execute("SELECT person, purpose, action, kinds FROM personal_access ORDER BY access_no")
    assert await cursor.fetchall() == [
        ("eva", "registration", "write", ["name", "phone", "email", "address"]),
        ("max", "call about ticket 7", "read", ["name", "phone"]),
    ]


async def test_nobody_looks_without_a_name_and_a_purpose(connection: Connection, master: MasterKey) -> None:
    user = await _write(connection, master)
    with pytest.raises(ValueError, match="stated purpose"):
        await people.read_contacts(connection, master, user, person="max", purpose=" ")


@pytest.mark.parametrize("statement", ["UPDATE personal_access SET person = 'x'", "DELETE FROM personal_access"])
async def test_the_log_of_looks_cannot_be_altered(connection: Connection, master: MasterKey, statement: str) -> None:
    await _write(connection, master)
    with pytest.raises(psycopg.Error, match="append-only"):
        await connection.execute(statement)  # type: ignore[call-overload]


async def test_a_user_is_found_by_contact_without_reading_anybody(connection: Connection, master: MasterKey) -> None:
    user = await _write(connection, master)
    assert await people.users_with_contact(connection, master, "email", "li.wei@EXAMPLE.com") == [user]
    assert await people.users_with_contact(connection, master, "phone", "0086-138-0013-8000") == [user]
    assert await people.users_with_contact(connection, master, "phone", "138") == []


async def test_another_master_key_opens_nothing(connection: Connection, master: MasterKey) -> None:
    user = await _write(connection, master)
    with pytest.raises(NoMasterKey):
        await people.read_contacts(connection, MasterKey(b"x" * 32), user, person="max", purpose="test")


async def test_a_ciphertext_moved_to_another_user_does_not_open(connection: Connection, master: MasterKey) -> None:
    a, b = await _write(connection, master), await _write(connection, master)
    await connection.execute(
        "UPDATE personal_contact SET ciphertext = (SELECT ciphertext FROM personal_contact WHERE user_id = %s "
        "AND kind = 'name') WHERE user_id = %s AND kind = 'name'",
        [a, b],
    )
    with pytest.raises(InvalidTag):
        await people.read_contacts(connection, master, b, person="max", purpose="test")


async def test_an_erased_user_is_gone_from_a_dump_and_has_nothing_any_more(
    connection: Connection, master: MasterKey, migrated_url: str, tmp_path: Path
) -> None:
    user, other = await _write(connection, master), await _write(connection, master)
    await ownership.register_device(connection, "chip1", "test")
    await ownership.bind(connection, "chip1", user, datetime.now(UTC) - timedelta(days=9), "test")
    cursor = await connection.execute("SELECT wrapped_key FROM personal_key WHERE user_id = %s", [user])
    (wrapped,) = await cursor.fetchone() or (b"",)

    await people.erase_user(connection, user, person="eva", purpose="asked by the customer")
    await people.erase_user(connection, user, person="eva", purpose="twice does no harm")

    assert await ownership.owner(connection, "chip1") is None
    assert [held.user_id for held in await ownership.bindings(connection, "chip1")] == [user]
    for attempt in (
        people.read_contacts(connection, master, user, person="max", purpose="test"),
        people.add_user(connection, user),
    ):
        with pytest.raises(UnknownUser):
            await attempt
    dump = _dump(migrated_url, tmp_path)
    assert wrapped.hex().encode() not in dump
    assert not [text for text in LI.values() if text.encode() in dump]
    assert other.encode() in dump
    assert user.encode() in dump, "the pseudonym lives on"


def _dump(url: str, folder: Path) -> bytes:
    target = folder / "dump.sql"
    subprocess.run([find_postgres().folder / "pg_dump", "--dbname", url, "--file", target], check=True, timeout=60)
    return target.read_bytes()


def test_the_master_key_comes_from_a_file_of_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    made = MasterKey.make_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert RegistrySettings(master_key_file=path).load_master_key() == made
    assert made._secret.hex() not in repr(made)
    with pytest.raises(FileExistsError):
        MasterKey.make_file(path)
    path.write_text("too short")
    with pytest.raises(NoMasterKey, match="32 bytes"):
        RegistrySettings(master_key_file=path).load_master_key()
    assert RegistrySettings().load_master_key() is None
