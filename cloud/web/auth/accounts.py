"""Accounts of people: local ones with a password, and those that come from an OpenID Connect provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from cloud.db import queries
from cloud.web.auth.changes import Connection
from cloud.web.auth.passwords import PasswordCheck, hash_password
from cloud.web.auth.permissions import permissions_of

_SQL = queries.load("access")


class BadAccount(ValueError):
    """The account cannot be made or changed so; the message says why."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account, without its password."""

    name: str
    roles: list[str]
    has_password: bool
    issuer: str | None
    engineer: str | None
    disabled_at: datetime | None
    created_at: datetime
    created_by: str


async def add(
    connection: Connection,
    name: str,
    roles: Sequence[str],
    password: str,
    *,
    created_by: str,
    engineer: str | None = None,
) -> None:
    """Make a local account. `engineer`: which engineer of dispatch this is, if not the one of the same name.

    Raises:
        BadAccount: the name is taken. UnknownRole, WeakPassword: see there.
    """
    permissions_of(roles)
    parameters = {
        "name": name,
        "roles": list(roles),
        "password_hash": hash_password(password),
        "engineer": engineer,
        "created_by": created_by,
    }
    if await (await connection.execute(_SQL["add_account"], parameters)).fetchone() is None:
        raise BadAccount(f"there is an account {name} already")


async def listed(connection: Connection) -> list[Account]:
    """All accounts by name."""
    async with connection.cursor(row_factory=class_row(Account)) as cursor:
        await cursor.execute(_SQL["accounts"])
        return await cursor.fetchall()


async def check(connection: Connection, passwords: PasswordCheck, name: str, password: str) -> int | None:
    """The account's number if this is its password and it is not disabled."""
    cursor = await connection.execute(_SQL["account_to_check"], {"name": name})
    row = await cursor.fetchone()
    right = await passwords.matches(password, row[1] if row else None)
    return int(row[0]) if row and right else None


async def set_password(connection: Connection, name: str, password: str) -> None:
    """Another password; the account's sessions end."""
    await _change(connection, "rehash", {"name": name, "password_hash": hash_password(password)})


async def set_roles(connection: Connection, name: str, roles: Sequence[str]) -> None:
    """Other roles; the account's sessions end."""
    permissions_of(roles)
    await _change(connection, "set_roles", {"name": name, "roles": list(roles)})


async def set_disabled(connection: Connection, name: str, disabled: bool) -> None:
    """Let nobody in under this account, or again; its sessions end."""
    await _change(connection, "set_disabled", {"name": name, "disabled": disabled})


async def _change(connection: Connection, query: str, parameters: dict[str, object]) -> None:
    async with connection.transaction():
        row = await (await connection.execute(_SQL[query], parameters)).fetchone()
        if row is None:
            raise BadAccount(f"there is no account {parameters['name']}")
        await connection.execute(_SQL["end_sessions_of_account"], {"account_no": row[0], "because": "account_changed"})
