"""Every named query of every room is understood by the database it is written for."""

from __future__ import annotations

import re
from importlib.resources import files

import psycopg
import pytest

from cloud.db.queries import load

ROOMS = sorted(f.name.removesuffix(".sql") for f in files("cloud.db").joinpath("queries").iterdir())


def test_an_unknown_name_and_an_unknown_room_are_errors() -> None:
    with pytest.raises(KeyError):
        load("ingest")["no_such_query"]
    with pytest.raises(FileNotFoundError):
        load("no_such_room")


def test_ingest_queries_are_valid_sql(database: str) -> None:
    """Prepared, not run: names of tables and columns, types and syntax are checked by the server."""
    queries = load("ingest")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(queries["make_staging"])
        connection.execute(queries["make_rollup_staging"])
        for name, query in queries.items():
            if query.startswith(("COPY", "CREATE")):
                continue
            places: dict[str, int] = {}

            def numbered(match: re.Match[str], places: dict[str, int] = places) -> str:
                key = match[1] or f"#{len(places)}"
                return f"${places.setdefault(key, len(places) + 1)}"

            text = re.sub(r"%(?:\((\w+)\))?s", numbered, query)
            try:
                connection.execute(f"PREPARE check_{name} AS {text}".encode())
            except psycopg.Error as error:
                pytest.fail(f"{name}: {error}")


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_load(room: str) -> None:
    assert load(room)
