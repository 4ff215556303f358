"""The fleet of the web tests, and a login that is only a member of role firstcall_app."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from tests.web.conftest import (
    _fleet_template,
    api,
    connection,
    fleet,
    fleet_url,
    key_file,
    start_api,
    start_console,
)

__all__ = ["_fleet_template", "api", "connection", "fleet", "fleet_url", "key_file", "start_api", "start_console"]

APP, APP_PASSWORD = "firstcall_web_of_tests", "only-for-tests"


@pytest.fixture
def app_url(fleet_url: str) -> str:
    """The fleet's database, as a login that may do what firstcall_app may, and nothing else."""
    with psycopg.connect(fleet_url, autocommit=True) as administrator:
        if not administrator.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APP]).fetchone():
            administrator.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE firstcall_app").format(
                    sql.Identifier(APP), sql.Literal(APP_PASSWORD)
                )
            )
    parts = urlsplit(fleet_url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{APP}:{APP_PASSWORD}@{place}"))
