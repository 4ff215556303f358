"""Import files: every mistake named by file, row and column; a file whole or not at all; the shipped catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.registry import ownership
from cloud.registry.files import BadFile, read
from cloud.registry.importer import Origin, catalogue_folder, import_catalogue, import_paths
from cloud.registry.keys import MasterKey

from .conftest import Connection

ORIGIN = Origin("test", MasterKey(b"k" * 32))
DEVICES = "device,gateway,product,produced_on,lot,fitted_since\n"
CONSUMABLES = "models,channel,name_en,when_new,when_spent\n"
BINDINGS = "user_id,device,since,until\n"


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("devices.csv", DEVICES + "chip 1,,,,,\n", "devices.csv, row 2, column device: 'chip 1'"),
        ("devices.csv", DEVICES + "a,,,,,\nb,,(01)09520000900015(21)S1,,,\n", "row 3, column product"),
        ("devices.csv", DEVICES + "a,,(01)09520000900015(21)S1,,,\n", "GTIN 09520000900015 is wrong"),
        ("devices.csv", DEVICES + "a,,,2026-01-01,,\n", "expected a GS1 code"),
        ("devices.csv", DEVICES + "a,b\n", "row 2: expected 6 cells, found 2"),
        ("devices.csv", DEVICES + 'a,"b\n', "expected CSV"),
        ("devices.csv", "device,colour\n", "row 1, column colour: expected one of"),
        ("devices.csv", "device,device\n", "stands twice"),
        ("devices.csv", "device\na\nb\na\n", "row 4, column device: 'a': stands in row 2 already"),
        ("devices.csv", "", "expected a header"),
        ("bindings.csv", BINDINGS + "u1,d1,2026-01-01,\n", "column since: '2026-01-01'"),
        ("bindings.csv", BINDINGS + "u1,d1,,\n", "row 2, column since: expected a value"),
        ("bindings.csv", BINDINGS + "u,d,2026-01-02T00:00Z,2026-01-01T00:00Z\n", "column until: '2026-01-01T00:00Z'"),
        ("users.csv", "user_id,time_zone\nu1,Mars/Olympus\n", "expected a time zone"),
        ("users.csv", "user_id,phone\nu1,call me\n", "column phone: 'call me'"),
        ("users.json", '{"user_id": "u1"}', "expected a list of objects"),
        ("users.json", '[{"user_id": "u1"}, 7]', "row 2"),
        ("users.json", "[{]", "row 1: expected JSON"),
        ("users.json", "[" * 100_000, "expected JSON"),
        ("models.csv", "model,family,name,price_band,warranty_months,gtins\nM,f,n,dear,12,123\n", "column price_band"),
        ("faults.csv", "models,code,confirmation_rule\nM,E1,sometimes\n", "expected at_once, persists N min"),
        ("regions.csv", "region,latitude,longitude\nhills,91,8\n", "regions.csv, row 2, column latitude: '91'"),
        ("regions.csv", "region,latitude,longitude\nhills,48,nan\n", "row 2, column longitude: 'nan'"),
        ("regions.csv", "region,latitude,longitude\nhills,48,\n", "row 2, column longitude: expected a value"),
        ("regions.csv", "region,latitude,longitude\nhills,48,8\nhills,49,8\n", "stands in row 2 already"),
        ("consumables.csv", CONSUMABLES + "WS-1,salt,Salt,5,5\n", "row 2, column when_spent: '5': expected another"),
        ("cats.csv", "a\n", "expected a name such as families"),
    ],
)
def test_a_mistake_is_named_by_file_row_and_column(tmp_path: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(BadFile) as caught:
        read(_write(tmp_path, name, text))
    assert says in str(caught.value)


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    path = _write(tmp_path, "devices.csv", DEVICES + "bad id,,,,,\ngood,,,,,\n-,,,,,\n")
    with pytest.raises(BadFile) as caught:
        read(path)
    assert [(m.row, m.column, m.value) for m in caught.value.mistakes] == [(2, "device", "bad id"), (4, "device", "-")]


def test_bytes_that_are_no_text_are_refused_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "devices.csv").write_bytes(DEVICES.encode() + b"a,,,,,\n\xff\xfe,,,,,\n")
    with pytest.raises(BadFile, match="row 3: expected text in UTF-8"):
        read(tmp_path / "devices.csv")


@settings(max_examples=200, deadline=None)
@given(
    content=st.text(max_size=200) | st.text('dev,ice"\n\r\x00;', max_size=80), suffix=st.sampled_from(("csv", "json"))
)
def test_any_text_is_a_table_or_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, content: str, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"devices.{suffix}"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    try:
        table = read(path)
    except BadFile:
        return
    assert table.kind == "devices"


async def test_the_shipped_catalogue_is_whole_and_importing_it_twice_changes_nothing(connection: Connection) -> None:
    await import_catalogue(connection)
    count = "SELECT (SELECT count(*) FROM registry_change), (SELECT max(version) FROM fault_definition)"
    before = await (await connection.execute(count)).fetchone()
    await import_catalogue(connection)
    assert await (await connection.execute(count)).fetchone() == before
    cursor = await connection.execute(
        "SELECT count(DISTINCT family), min(models) FROM (SELECT family, count(*) AS models FROM model GROUP BY 1) AS f"
    )
    families, _ = await cursor.fetchone() or (0, 0)
    assert families >= 6
    cursor = await connection.execute(
        "SELECT count(*) FROM fault_definition WHERE NOT (meaning ?& '{en,zh}' AND customer_words ?& '{en,zh}') "
        "OR source = '' OR (safety IN ('gas', 'heat', 'electric') AND severity = 'critical' AND self_help <> '{}')"
    )
    assert await cursor.fetchone() == (0,)


async def test_the_same_code_means_different_things_on_different_models(connection: Connection) -> None:
    await import_catalogue(connection)
    cursor = await connection.execute(
        "SELECT code FROM fault_definition WHERE upper_inf(known) GROUP BY code "
        "HAVING count(DISTINCT meaning ->> 'en') > 1 ORDER BY code"
    )
    assert {code for (code,) in await cursor.fetchall()} >= {"P4", "E2", "E3", "Er CF", "Er rF"}


async def test_a_changed_definition_becomes_a_version_and_the_old_one_stays_known(
    connection: Connection, tmp_path: Path
) -> None:
    await import_catalogue(connection)
    with catalogue_folder() as folder:
        faults = json.loads((folder / "faults.dryer.json").read_text(encoding="utf-8"))
    faults[0]["severity"] = "high"
    await import_paths(connection, [_write(tmp_path, "faults.mine.json", json.dumps(faults))], ORIGIN)
    cursor = await connection.execute(
        "SELECT version, severity::text, upper_inf(known) FROM fault_definition "
        "WHERE model = 'DR-80' AND code = 'dL' ORDER BY version"
    )
    assert await cursor.fetchall() == [(1, "medium", False), (2, "high", True)]


async def test_people_devices_and_bindings(connection: Connection, tmp_path: Path) -> None:
    await import_catalogue(connection)
    _write(tmp_path, "users.csv", "user_id,locale,name,phone\nu1,zh-CN,李伟,+86 138 0013 8000\nu2,en,,\n")
    _write(tmp_path, "devices.csv", DEVICES + "chip,gw,https://id.gs1.org/01/09520000900014/21/S1,2025-05-01,L7,\n")
    _write(tmp_path, "bindings.csv", BINDINGS + "u1,chip,2026-01-01T00:00:00+08:00,\n")
    for _ in range(2):
        imported = await import_paths(connection, [tmp_path], ORIGIN)
        assert [(one.kind, one.rows) for one in imported] == [("users", 2), ("devices", 1), ("bindings", 1)]
    held = await ownership.owner(connection, "chip")
    assert held is not None
    assert held.user_id == "u1"
    assert await (await connection.execute("SELECT count(*) FROM binding")).fetchone() == (1,)
    card = await ownership.product_of(connection, "chip")
    assert card is not None
    assert (card.model, card.lot, str(card.produced_on)) == ("WM-90", "L7", "2025-05-01")


async def test_a_file_is_taken_whole_or_not_at_all(connection: Connection, tmp_path: Path) -> None:
    good, bad = "a,,(01)09520000900014(21)S1,,,\n", "b,,(01)09520000900014(21)S1,,,\n"
    path = _write(tmp_path, "devices.csv", DEVICES + good + bad)
    with pytest.raises(BadFile, match=r"devices.csv, row 3, column product: .* holds device"):
        await import_paths(connection, [path], ORIGIN)
    assert await (await connection.execute("SELECT count(*) FROM device")).fetchone() == (0,)


async def test_names_that_do_not_exist_are_told_row_by_row(connection: Connection, tmp_path: Path) -> None:
    path = _write(tmp_path, "bindings.csv", BINDINGS + "u1,chip,2026-01-01T00:00Z,\nu2,chip,2026-01-01T00:00Z,\n")
    with pytest.raises(BadFile) as caught:
        await import_paths(connection, [path], ORIGIN)
    assert [(m.row, m.column) for m in caught.value.mistakes] == [
        (2, "user_id"),
        (3, "user_id"),
        (2, "device"),
        (3, "device"),
    ]


async def test_a_dry_run_tries_everything_and_keeps_nothing(connection: Connection, tmp_path: Path) -> None:
    _write(tmp_path, "users.csv", "user_id\nu1\n")
    _write(tmp_path, "devices.csv", DEVICES + "chip,,,,,\n")
    _write(tmp_path, "bindings.csv", BINDINGS + "u1,chip,2026-01-01T00:00Z,\n")
    assert len(await import_paths(connection, [tmp_path], ORIGIN, dry_run=True)) == 3
    assert await (await connection.execute("SELECT count(*) FROM app_user")).fetchone() == (0,)


async def test_personal_data_without_a_key_is_refused(connection: Connection, tmp_path: Path) -> None:
    path = _write(tmp_path, "users.csv", "user_id,name\nu1,Li Wei\n")
    with pytest.raises(BadFile, match="no master key"):
        await import_paths(connection, [path], Origin("test"))


async def test_sql_in_a_cell_is_text(connection: Connection, tmp_path: Path) -> None:
    text = "'); DROP TABLE app_user; --"
    path = _write(tmp_path, "families.json", json.dumps([{"family": "f", "name": {"en": text}}]))
    await import_paths(connection, [path], ORIGIN)
    cursor = await connection.execute("SELECT name ->> 'en' FROM appliance_family")
    assert await cursor.fetchone() == (text,)


async def test_a_users_region_is_kept_beside_what_is_known_of_their_household(
    connection: Connection, tmp_path: Path
) -> None:
    await import_paths(connection, [_write(tmp_path, "users.csv", "user_id,region\nu1,north\nu2,\n")], ORIGIN)
    await connection.execute("UPDATE customer_profile SET household = 'h1', tier = 'high'")
    await import_paths(connection, [_write(tmp_path, "users.csv", "user_id,region\nu1,south\n")], ORIGIN)
    cursor = await connection.execute("SELECT user_id, household, region, tier FROM customer_profile")
    assert await cursor.fetchall() == [("u1", "h1", "south", "high")]


async def test_an_import_leaves_what_a_customer_says_of_their_region(connection: Connection, tmp_path: Path) -> None:
    await import_paths(connection, [_write(tmp_path, "users.csv", "user_id,region\nu1,north\nu2,north\n")], ORIGIN)
    await connection.execute("UPDATE customer_profile SET region = '', region_by = 'customer' WHERE user_id = 'u1'")
    await import_paths(connection, [_write(tmp_path, "users.csv", "user_id,region\nu1,south\nu2,south\n")], ORIGIN)
    cursor = await connection.execute("SELECT user_id, region FROM customer_profile ORDER BY user_id")
    assert await cursor.fetchall() == [("u1", ""), ("u2", "south")]


async def test_places_and_consumables_are_imported_and_corrected(connection: Connection, tmp_path: Path) -> None:
    async def known(query: str) -> list[tuple[object, ...]]:
        return await (await connection.execute(query)).fetchall()

    await import_catalogue(connection)
    places = [
        {"region": "hills", "latitude": 48.5, "longitude": 11},
        {"region": "coast", "latitude": 54, "longitude": 9},
    ]
    await import_paths(connection, [_write(tmp_path, "regions.json", json.dumps(places))], ORIGIN)
    await import_paths(
        connection, [_write(tmp_path, "regions.csv", "region,latitude,longitude\nhills,48.6,11.0\n")], ORIGIN
    )
    assert await known("SELECT * FROM region ORDER BY region") == [("coast", 54.0, 9.0), ("hills", 48.6, 11.0)]
    path = _write(tmp_path, "consumables.csv", CONSUMABLES + "WS-30;WS-31,saltLevel,Salt,100,5\n")
    with pytest.raises(BadFile, match=r"consumables.csv, row 2, column models: 'WS-31': expected a model"):
        await import_paths(connection, [path], ORIGIN)
    await import_paths(
        connection, [_write(tmp_path, "consumables.csv", CONSUMABLES + "WS-30,saltLevel,Salt,90,5\n")], ORIGIN
    )
    assert await known("SELECT model, channel, when_new, when_spent FROM consumable") == [("WS-30", "saltLevel", 90, 5)]
