"""`firstcall web user|client|audit|webhook`: accounts, API clients, the audit log, webhooks. For whoever runs the
programs: they work on the database directly (FIRSTCALL_DB_URL)."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from psycopg import AsyncConnection

users = typer.Typer(no_args_is_help=True, help="People's accounts.")
clients = typer.Typer(no_args_is_help=True, help="Programs that use the API, their scopes and tokens.")
audit = typer.Typer(no_args_is_help=True, help="The audit log.")
webhooks = typer.Typer(no_args_is_help=True, help="Who is told of events.")
Name = Annotated[str, typer.Argument(help="The account's name, as on the steps that it takes.")]
ClientName = Annotated[str, typer.Argument(help="The client's name.")]
Roles = Annotated[list[str], typer.Argument(help="agent, engineer, dispatcher, quality, admin, auditor")]


def _with_database(work: Callable[[AsyncConnection[Any]], Awaitable[None]]) -> None:
    """Do it in one transaction, in the name of whoever is signed in on this machine."""
    from psycopg import AsyncConnection

    from cloud.db import queries
    from cloud.db.settings import DatabaseSettings
    from cloud.web.auth.accounts import BadAccount
    from cloud.web.auth.passwords import WeakPassword
    from cloud.web.auth.permissions import UnknownRole

    async def run() -> None:
        url = DatabaseSettings().url.get_secret_value()
        async with await AsyncConnection.connect(url, application_name="firstcall-web-cli") as connection:
            await connection.execute(queries.load("access")["act_as"], {"person": _here()})
            await work(connection)

    try:
        asyncio.run(run())
    except (BadAccount, WeakPassword, UnknownRole, LookupError) as error:
        sys.exit(str(error))


def _here() -> str:
    return f"{getpass.getuser()} (command line)"


def _password() -> str:
    """Asked for twice on a terminal; the first line of standard input elsewhere."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


@users.command("add")
def add_user(
    name: Name,
    roles: Roles,
    engineer: Annotated[str | None, typer.Option(help="Which engineer of dispatch; default: the same name.")] = None,
) -> None:
    """Make an account. The password is asked for, or read from standard input."""
    from cloud.web.auth import accounts

    password = _password()
    _with_database(lambda c: accounts.add(c, name, roles, password, created_by=_here(), engineer=engineer))
    typer.echo(f"{name}: {', '.join(roles)}. Accounts are used when FIRSTCALL_WEB_ACCOUNTS=true.")


@users.command("list")
def list_users() -> None:
    """All accounts."""
    from cloud.web.auth import accounts

    async def show(connection: AsyncConnection[Any]) -> None:
        for one in await accounts.listed(connection):
            where = one.issuer or ("password" if one.has_password else "no way to sign in")
            ended = f"  disabled since {one.disabled_at:%Y-%m-%d %H:%M}" if one.disabled_at else ""
            typer.echo(f"{one.name}  {','.join(one.roles) or '-'}  {where}{ended}")

    _with_database(show)


@users.command("disable")
def disable_user(
    name: Name, enable: Annotated[bool, typer.Option("--enable", help="Let them in again instead.")] = False
) -> None:
    """Let nobody in under this name; open sessions end at once."""
    from cloud.web.auth import accounts

    _with_database(lambda c: accounts.set_disabled(c, name, not enable))
    typer.echo(f"{name} is {'enabled' if enable else 'disabled'}")


@users.command("role")
def set_roles(name: Name, roles: Roles) -> None:
    """Give an account these roles instead of those that it has; open sessions end at once."""
    from cloud.web.auth import accounts

    _with_database(lambda c: accounts.set_roles(c, name, roles))
    typer.echo(f"{name}: {', '.join(roles)}")


@users.command("password")
def set_password(name: Name) -> None:
    """Give an account another password; open sessions end at once."""
    from cloud.web.auth import accounts

    password = _password()
    _with_database(lambda c: accounts.set_password(c, name, password))
    typer.echo(f"{name} has a new password")


@clients.command("add")
def add_client(
    name: ClientName,
    scopes: Annotated[list[str], typer.Argument(help="What it may do, e.g. look tickets.confirm")],
    days: Annotated[int | None, typer.Option(min=1, help="Days until the token expires; default: never.")] = None,
) -> None:
    """Make a client with these scopes, or change them, and print a new token. It is shown this once."""
    from cloud.web.auth import clients as api_clients

    async def make(connection: AsyncConnection[Any]) -> None:
        lasts = timedelta(days=days) if days else None
        typer.echo(await api_clients.issue(connection, name, scopes, _here(), lasts))

    _with_database(make)


@clients.command("list")
def list_clients() -> None:
    """All clients with their tokens."""
    from cloud.web.auth import clients as api_clients

    async def show(connection: AsyncConnection[Any]) -> None:
        for one in await api_clients.listed(connection):
            token = f"{one.begins}…" if one.begins else "no token"
            ended = "  revoked" if one.revoked_at else f"  until {one.expires_at:%Y-%m-%d}" if one.expires_at else ""
            typer.echo(f"{one.name}  {','.join(one.scopes)}  {token}{ended}")

    _with_database(show)


@clients.command("revoke")
def revoke_tokens(
    name: ClientName, begins: Annotated[str | None, typer.Option(help="Only the token that begins so.")] = None
) -> None:
    """Revoke a client's tokens; they are refused at once."""
    from cloud.web.auth import clients as api_clients

    async def revoke(connection: AsyncConnection[Any]) -> None:
        typer.echo(f"{await api_clients.revoke(connection, name, begins)} tokens of {name} are revoked")

    _with_database(revoke)


@audit.command("verify")
def verify_audit(
    head: Annotated[str | None, typer.Option(help="A head noted before, position:hash: it must still be there")] = None,
) -> None:
    """Reckon the chain of seals anew; print its head, or what is wrong (then the exit status is 1)."""
    from cloud.web.auth.audit import Head, verify

    known = None
    if head is not None:
        position, _, digest = head.partition(":")
        if not position.isdecimal() or len(digest) != 64:
            sys.exit("a head is written position:hash, as this command prints it")
        known = Head(position=int(position), hash=digest)

    async def check(connection: AsyncConnection[Any]) -> None:
        verdict = await verify(connection, known)
        if not verdict.whole:
            raise LookupError("\n".join(verdict.wrong))
        typer.echo(str(verdict.head) if verdict.head else "nothing is sealed yet")

    _with_database(check)


@webhooks.command("replay")
def replay_webhook(
    number: Annotated[int, typer.Argument(help="The webhook's number.")],
    since: Annotated[datetime | None, typer.Option(help="All since then, UTC; default: what failed.")] = None,
) -> None:
    """Send again what failed, or everything since a time."""
    from datetime import UTC

    from cloud.web.webhooks import store

    async def replay(connection: AsyncConnection[Any]) -> None:
        start = since.replace(tzinfo=UTC) if since else None
        count = await store.replay(connection, number, since=start, failed_only=since is None)
        typer.echo(f"{count} deliveries will be made again")

    _with_database(replay)
