"""Migrations: once, in order, by several programs at once, refused when edited afterwards."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from cloud.db import migrate as module
from cloud.db.migrate import MigrationChanged, Script, migrate, scripts


async def test_from_nothing_and_again(empty_database: str) -> None:
    assert await migrate(empty_database) == [script.name for script in scripts("migrations")]
    assert await migrate(empty_database) == []


async def test_several_programs_at_once(postgres_url: str) -> None:
    ran = await asyncio.gather(*(migrate(postgres_url) for _ in range(4)))
    assert sorted(name for names in ran for name in names) == [script.name for script in scripts("migrations")]


async def test_the_layout_of_frames_follows_the_extension(empty_database: str, request: pytest.FixtureRequest) -> None:
    await migrate(empty_database)
    timescale = "timescale" in request.node.callspec.id
    with psycopg.connect(empty_database) as connection:
        kind = connection.execute("SELECT relkind::text FROM pg_class WHERE oid = 'frame'::regclass").fetchone()
    assert kind == ("r" if timescale else "p",)


async def test_an_edited_migration_is_refused(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, migrations=[Script("0001_a.sql", "CREATE TABLE a (x int)")])
    assert await migrate(postgres_url) == ["0001_a.sql"]
    pretend(monkeypatch, migrations=[Script("0001_a.sql", "CREATE TABLE a (x bigint)")])
    with pytest.raises(MigrationChanged, match=r"0001_a\.sql was edited"):
        await migrate(postgres_url)


async def test_of_a_failing_migration_nothing_is_kept(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = (
        Script("0001_a.sql", "CREATE TABLE a (x int)"),
        Script("0002_b.sql", "CREATE TABLE b (x int); SELECT 1/0"),
    )
    pretend(monkeypatch, migrations=[good, bad])
    with pytest.raises(psycopg.errors.DivisionByZero) as raised:
        await migrate(postgres_url)
    assert "0002_b.sql" in str(raised.value.__notes__)
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT to_regclass('a')::text, to_regclass('b')::text").fetchone() == ("a", None)


async def test_views_are_run_again_only_when_one_changed(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def view(number: int) -> list[Script]:
        return [Script("v.sql", f"CREATE OR REPLACE FUNCTION v() RETURNS int LANGUAGE sql RETURN {number}")]

    for number in (1, 1, 2):
        pretend(monkeypatch, migrations=[], repeatable=view(number))
        await migrate(postgres_url)
        with psycopg.connect(postgres_url) as connection:
            assert connection.execute("SELECT v()").fetchone() == (number,)
            assert connection.execute("SELECT count(*) FROM schema_migration").fetchone() == (1,)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE OR REPLACE FUNCTION v() RETURNS int LANGUAGE sql RETURN 99")
    await migrate(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT v()").fetchone() == (99,)  # left alone: its file did not change


async def test_notices_that_were_owed_before_go_into_the_outbox(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {folder: scripts(folder) for folder in ("migrations", "repeatable")}
    pretend(monkeypatch, migrations=[script for script in whole["migrations"] if script.name < "0014"])
    await migrate(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("SET session_replication_role = replica")  # rows without what they stand on
        for number, absorbed_by in ((1, None), (2, 1), (3, 2)):
            connection.execute(
                "INSERT INTO incident (incident_no, region, cause, began_at, last_at, devices, needed, region_devices,"
                " words, sentence, merged_into) OVERRIDING SYSTEM VALUE"
                " VALUES (%s, 'north', 'water_supply', now(), now(), 5, 5, 5, '{}', '{}', %s)",
                [number, absorbed_by],
            )
        for number in (1, 2):
            connection.execute("INSERT INTO app_user (user_id) VALUES (%s)", [f"u{number}"])
            connection.execute(
                "INSERT INTO fault_case (device_no, source, problem, occurred_at, last_raised_at, last_at, user_id,"
                " missing, judged_at, incident_no)"
                " VALUES (%s, 'reported', '4E', now(), now(), now(), %s, '{}', now(), 1)",
                [number, f"u{number}"],
            )
        connection.execute(
            "INSERT INTO incident_notice VALUES (1, 'u1', now(), now(), 'sms'), (1, 'u2', now(), NULL, NULL)"
        )
    pretend(monkeypatch, **whole)
    await migrate(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        owed = connection.execute("SELECT incident_no, case_no, user_id, purpose, state FROM outreach ORDER BY user_id")
        assert owed.fetchall() == [(1, 1, "u1", "storm", "told"), (1, 2, "u2", "storm", "open")]
        roots = connection.execute("SELECT incident_no, merged_into FROM incident ORDER BY 1")
        assert roots.fetchall() == [(1, None), (2, 1), (3, 1)], "one step, however often one was absorbed"
        shown = connection.execute("SELECT customers, told FROM incident_card").fetchall()
        assert shown == [(2, 1)]


def pretend(monkeypatch: pytest.MonkeyPatch, migrations: list[Script], repeatable: list[Script] | None = None) -> None:
    folders = {"migrations": migrations, "repeatable": repeatable or []}
    monkeypatch.setattr(module, "scripts", folders.__getitem__)
