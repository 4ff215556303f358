"""One account wherever a person comes from: entries with the same verified contact are one user.

A merge is a row that says "this entry belongs to that one". Bindings, tickets, consents and contacts stay with the
entry under which they were written, and are read for all members of an account; so that undoing a merge restores what
was. The account is named by the entry at the root. Each function is one transaction (a savepoint within a caller's).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import psycopg
from psycopg.rows import class_row

from cloud.db import queries
from cloud.registry import people
from cloud.registry.errors import RegistryError, UnknownUser
from cloud.registry.keys import MasterKey, normal_contact
from cloud.registry.people import Connection

_SQL = queries.load("customer")

ContactKind = Literal["phone", "email"]


class NotTwoAccounts(RegistryError):
    """What shall be merged is one account already, is part of another one, or was erased."""


class NoSuchMerge(RegistryError):
    """There is no such merge in force: it was undone before, or never made."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Entry `user_id` was held to be the same person as `into_user`: why, by whom, when, and whether it still is."""

    merge_no: int
    user_id: str
    into_user: str
    reason: str
    person: str
    at: datetime
    undone_at: datetime | None
    undone_by: str | None


@dataclass(frozen=True, slots=True)
class Admission:
    """Whose account a verified contact leads to; `is_new`: it was made just now; `merged`: the merges that followed."""

    account: str
    is_new: bool
    merged: tuple[int, ...]


async def admit(
    connection: Connection,
    master: MasterKey,
    kind: ContactKind,
    text: str,
    *,
    signed_in: str | None = None,
    locale: str = "en",
    time_zone: str = "UTC",
) -> Admission:
    """Somebody has just proved to hold this contact: find or make their account, and merge what is the same person.

    `signed_in`: the account that the contact is to be added to. Two entries that a person has separated before are
    not merged again.

    Raises:
        UnknownUser: `signed_in` is unknown or was erased. NoMasterKey: another master key is in use here.
    """
    lookup = master.lookup(kind, normal_contact(kind, text))
    async with connection.transaction():
        await connection.execute(_SQL["lock_contact"], {"lookup": lookup})
        cursor = await connection.execute(_SQL["accounts_with_contact"], {"lookup": lookup})
        holders = [str(row[0]) for row in await cursor.fetchall()]
        account = signed_in and await account_of(connection, signed_in)
        is_new = not account and not holders
        account = account or (holders[0] if holders else "")
        if not account:
            account = await people.add_user(connection, locale=locale, time_zone=time_zone)
        if account not in holders:
            await people.write_contacts(
                connection, master, account, {kind: text.strip()}, person="customer", purpose="verified by a code"
            )
        merged = await _merge_holders(connection, account, holders, kind)
        await connection.execute(_SQL["put_verified"], {"lookup": lookup, "kind": kind, "user_id": account})
        await connection.execute(_SQL["forget_other_verified"], {"user_id": account})
    return Admission(account, is_new, tuple(merged))


async def merge(connection: Connection, user_id: str, into_user: str, *, reason: str, person: str) -> int:
    """Two accounts are one person from now on; returns the merge's number, by which it can be undone.

    Raises:
        NotTwoAccounts: see there. UnknownUser: one of them is unknown or was erased.
    """
    async with connection.transaction():
        one, other = await account_of(connection, user_id), await account_of(connection, into_user)
        if one == other:
            raise NotTwoAccounts(f"{user_id} and {into_user} are one account already")
        with _typed_errors():
            cursor = await connection.execute(
                _SQL["put_merge"], {"user_id": one, "into_user": other, "reason": reason, "person": person}
            )
        row = await cursor.fetchone()
    if row is None:
        raise NotTwoAccounts(f"{user_id} and {into_user} could not be merged")
    return int(row[0])


async def undo(connection: Connection, merge_no: int, *, person: str) -> str:
    """They are two persons after all: what was, is again. Returns the entry that stands by itself from now on.

    Raises:
        NoSuchMerge: see there.
    """
    with _typed_errors():
        async with connection.transaction():
            cursor = await connection.execute(_SQL["undo_merge"], {"merge_no": merge_no, "person": person})
            row = await cursor.fetchone()
    if row is None:
        raise NoSuchMerge(f"there is no merge {merge_no} in force")
    return str(row[0])


async def merges(connection: Connection, user_id: str) -> list[Merge]:
    """Every merge that concerns this account, undone ones too, oldest first."""
    async with connection.cursor(row_factory=class_row(Merge)) as cursor:
        await cursor.execute(_SQL["merges"], {"user_id": user_id})
        return await cursor.fetchall()


async def account_of(connection: Connection, user_id: str) -> str:
    """The account that an entry belongs to. UnknownUser: there is none, or it was erased."""
    row = await (await connection.execute(_SQL["root"], {"user_id": user_id})).fetchone()
    if row is None or row[1]:
        raise UnknownUser(f"user {user_id} is unknown, or was erased")
    return str(row[0])


async def members(connection: Connection, user_id: str) -> tuple[str, ...]:
    """The living entries of an account, its root first."""
    cursor = await connection.execute(_SQL["members"], {"user_id": user_id})
    return tuple(str(row[0]) for row in await cursor.fetchall())


async def erase(connection: Connection, user_id: str, *, person: str, purpose: str) -> tuple[str, ...]:
    """Erase every entry of an account (see people.erase_user), and what led to it; returns the entries."""
    async with connection.transaction():
        entries = await members(connection, user_id)
        for entry in entries:
            await connection.execute(_SQL["forget_user"], {"user_id": entry})
            await people.erase_user(connection, entry, person, purpose)
    return entries


async def _merge_holders(connection: Connection, account: str, holders: list[str], kind: str) -> list[int]:
    made = []
    for other in holders:
        if other == account:
            continue
        row = await (await connection.execute(_SQL["were_separated"], {"one": other, "other": account})).fetchone()
        if row is not None and not row[0]:
            made.append(await merge(connection, other, account, reason=f"same verified {kind}", person="customer"))
    return made


@contextmanager
def _typed_errors() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.UniqueViolation as error:
        raise NotTwoAccounts(str(error.diag.message_primary)) from error
    except psycopg.Error as error:
        if error.sqlstate != "FC020":
            raise
        raise NotTwoAccounts(str(error.diag.message_primary)) from error
