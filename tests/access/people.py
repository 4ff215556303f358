"""Accounts for tests, and signing in with them."""

from __future__ import annotations

from typing import Any

import httpx
from psycopg import AsyncConnection

from cloud.web.auth import accounts

PASSWORD = "a long pass phrase"


async def account(connection: AsyncConnection[Any], name: str, *roles: str) -> None:
    """Make an account with the password of all."""
    await accounts.add(connection, name, roles, PASSWORD, created_by="test")


async def sign_in(client: httpx.AsyncClient, name: str, password: str = PASSWORD) -> httpx.Response:
    """Sign in; the client keeps the cookie."""
    client.cookies.clear()
    return await client.post("/sign-in", data={"operator": name, "password": password})
