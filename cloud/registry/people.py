"""Users by pseudonym, and their personal data apart: encrypted, every look logged, erasable.

The functions take a connection and work in one transaction (a savepoint, inside a caller's transaction).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from psycopg import AsyncConnection
from psycopg.rows import class_row

from cloud.db import queries
from cloud.registry.errors import UnknownUser, typed_errors
from cloud.registry.keys import MasterKey, UserKey, normal_contact
from protocols.identifiers import identifier

Connection = AsyncConnection[Any]
Kind = Literal["name", "phone", "email", "address"]
KINDS: tuple[Kind, ...] = ("name", "phone", "email", "address")
FINDABLE: tuple[Kind, ...] = ("phone", "email")

_SQL = queries.load("registry")


@dataclass(frozen=True, slots=True)
class User:
    """What is known of a user without naming a person."""

    user_id: str
    locale: str
    time_zone: str
    erased: bool


def new_user_id() -> str:
    """A fresh pseudonym: random, so that nothing can be read from it."""
    return "u_" + secrets.token_hex(10)


async def add_user(
    connection: Connection, user_id: str | None = None, locale: str = "en", time_zone: str = "UTC"
) -> str:
    """Make a user, or change the locale and time zone of an existing one; returns the user id.

    Raises:
        BadIdentifier: `user_id` has other characters than identifiers may have.
        UnknownUser: the user was erased; a pseudonym is never used again.
    """
    user_id = identifier(user_id or new_user_id(), "user id")
    cursor = await connection.execute(_SQL["put_user"], {"user_id": user_id, "locale": locale, "time_zone": time_zone})
    if await cursor.fetchone() is None:
        raise UnknownUser(f"user {user_id} was erased; its id is not used again")
    return user_id


async def user(connection: Connection, user_id: str) -> User:
    """One user. UnknownUser if there is none."""
    async with connection.cursor(row_factory=class_row(User)) as cursor:
        await cursor.execute(_SQL["user"], {"user_id": user_id})
        found = await cursor.fetchone()
    if found is None:
        raise UnknownUser(f"there is no user {user_id}")
    return found


async def write_contacts(
    connection: Connection, master: MasterKey, user_id: str, contacts: Mapping[Kind, str], *, person: str, purpose: str
) -> None:
    """Encrypt and keep contacts of a user, each in place of the one of its kind before; logged.

    Raises:
        UnknownUser: unknown or erased. NoMasterKey: another master key is in use here.
    """
    async with connection.transaction():
        key = await _key_of(connection, master, user_id, make=True)
        for kind, text in contacts.items():
            lookup = master.lookup(kind, normal_contact(kind, text)) if kind in FINDABLE else None
            await connection.execute(
                _SQL["put_contact"],
                {"user_id": user_id, "kind": kind, "ciphertext": key.seal(kind, text), "lookup": lookup},
            )
        await _log(connection, user_id, "write", list(contacts), person=person, purpose=purpose)


async def read_contacts(
    connection: Connection,
    master: MasterKey,
    user_id: str,
    *,
    person: str,
    purpose: str,
    kinds: tuple[Kind, ...] = KINDS,
) -> dict[Kind, str]:
    """Decrypt contacts of a user. The look is logged, with who and why, before anything is read.

    Raises:
        UnknownUser: unknown or erased. NoMasterKey: this is not the key that they were written with.
    """
    async with connection.transaction():
        key = await _key_of(connection, master, user_id, make=False)
        await _log(connection, user_id, "read", list(kinds), person=person, purpose=purpose)
        if key is None:
            return {}
        cursor = await connection.execute(_SQL["contacts"], {"user_id": user_id, "kinds": list(kinds)})
        return {kind: key.open(kind, ciphertext) for kind, ciphertext in await cursor.fetchall()}


async def users_with_contact(connection: Connection, master: MasterKey, kind: Kind, text: str) -> list[str]:
    """User ids that have this phone or e-mail, found by keyed hash without reading anybody's data."""
    if kind not in FINDABLE:
        raise ValueError(f"users are found by {' or '.join(FINDABLE)}, not by {kind}")
    cursor = await connection.execute(
        _SQL["users_with_contact"], {"lookup": master.lookup(kind, normal_contact(kind, text))}
    )
    return [user_id for (user_id,) in await cursor.fetchall()]


async def erase_user(connection: Connection, user_id: str, person: str, purpose: str) -> None:
    """Destroy a user's key and contacts and end the user's bindings. Tickets live on under the pseudonym. Idempotent.

    Raises:
        UnknownUser: there is no such user.
    """
    with typed_errors():
        async with connection.transaction():
            cursor = await connection.execute(_SQL["mark_erased"], {"user_id": user_id})
            if await cursor.fetchone() is None:
                await user(connection, user_id)  # raises if there never was one; erased already otherwise
                return
            await connection.execute(_SQL["end_bindings_of"], {"user_id": user_id, "person": person})
            await connection.execute(_SQL["destroy_key"], {"user_id": user_id})
            await _log(connection, user_id, "erase", list(KINDS), person=person, purpose=purpose)


async def _key_of(connection: Connection, master: MasterKey, user_id: str, make: bool) -> Any:
    """The user's key; None when there is none and none shall be made."""
    cursor = await connection.execute(_SQL["user_key"], {"user_id": user_id})
    row = await cursor.fetchone()
    if row is None or row[0]:
        raise UnknownUser(f"user {user_id} is unknown, or was erased")
    if row[1] is not None:
        return master.unwrap(user_id, row[1])
    return await _new_key(connection, master, user_id) if make else None


async def _new_key(connection: Connection, master: MasterKey, user_id: str) -> UserKey:
    key, wrapped = master.new_user_key(user_id)
    await connection.execute(
        _SQL["put_key"], {"user_id": user_id, "master_key": master.fingerprint, "wrapped_key": wrapped}
    )
    return key


async def _log(
    connection: Connection, user_id: str, action: str, kinds: list[Kind], *, person: str, purpose: str
) -> None:
    if not person.strip() or not purpose.strip():
        raise ValueError("personal data is touched only by a named person for a stated purpose")
    await connection.execute(
        _SQL["log_access"],
        {"user_id": user_id, "person": person, "purpose": purpose, "action": action, "kinds": kinds},
    )
