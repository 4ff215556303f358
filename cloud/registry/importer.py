"""Writing import files to the database: a file is taken whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from psycopg.types.json import Jsonb

from cloud.db import queries
from cloud.registry import ownership, people
from cloud.registry.errors import RegistryError, typed_errors
from cloud.registry.files import BadFile, Mistake, Table, kind_of, read
from cloud.registry.keys import MasterKey
from cloud.registry.people import Connection
from cloud.registry.records import KINDS
from protocols.identifiers import partition

_SQL = queries.load("registry")


@dataclass(frozen=True, slots=True)
class Origin:
    """Who imports, and the key for personal data (None: a file with personal data is refused)."""

    person: str
    master: MasterKey | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """How many rows of a file were taken."""

    file: str
    kind: str
    rows: int


async def import_file(connection: Connection, table: Table, origin: Origin, dry_run: bool = False) -> Imported:
    """Write one file in one transaction; a dry run does the same and keeps nothing.

    Raises:
        BadFile: a row names what does not exist, or the database refuses it; nothing of the file was kept.
    """
    async with connection.transaction(force_rollback=dry_run):
        await _check_references(connection, table)
        await _WRITERS[table.kind](connection, table, origin)
    return Imported(table.path.name, table.kind, len(table.rows))


async def import_paths(
    connection: Connection, paths: Iterable[Path], origin: Origin, dry_run: bool = False
) -> list[Imported]:
    """Import files, and the files of folders, in the order in which their kinds need each other.

    Each file is a transaction of its own, except in a dry run: there all are tried in one, which is rolled back.

    Raises:
        BadFile: the first file with mistakes; files before it were kept (not in a dry run).
    """
    tables = [read(path) for path in in_order(paths)]
    if not dry_run:
        return [await import_file(connection, table, origin) for table in tables]
    async with connection.transaction(force_rollback=True):
        return [await import_file(connection, table, origin) for table in tables]


async def import_catalogue(connection: Connection, person: str = "catalogue") -> list[Imported]:
    """Import the catalogue that ships with the project. Idempotent: what is unchanged stays as it is."""
    with catalogue_folder() as folder:
        return await import_paths(connection, [folder], Origin(person))


def catalogue_folder() -> AbstractContextManager[Path]:
    """The folder of the shipped catalogue, for as long as the context lasts."""
    return as_file(files("cloud.registry") / "catalogue")


def in_order(paths: Iterable[Path]) -> list[Path]:
    """The import files among these paths and in these folders, sorted by kind and name.

    Raises:
        BadFile: a path is no import file, or a folder holds none.
    """
    found: list[Path] = []
    for path in paths:
        inside = [p for p in sorted(path.iterdir()) if kind_of(p)] if path.is_dir() else [path]
        if not inside:
            raise BadFile([Mistake(str(path), 0, "", "", "expected a folder with import files such as models.csv")])
        found += inside
    order = list(KINDS)
    unknown = [path for path in found if kind_of(path) is None]
    if unknown:
        read(unknown[0])  # raises, with the reason
    return sorted(found, key=lambda path: (order.index(str(kind_of(path))), path.name))


async def _check_references(connection: Connection, table: Table) -> None:
    """Every name that a row refers to must exist; the mistakes are named row by row."""
    mistakes: list[Mistake] = []
    cursor = await connection.execute(_SQL["known_names"])
    families, parts, models = await cursor.fetchone() or ([], [], [])
    if table.kind == "models":
        mistakes = _absent(table, "family", "a family", set(families), lambda row: [row.family])
    elif table.kind == "faults":
        mistakes = _absent(table, "models", "a model", set(models), lambda row: row.models)
        mistakes += _absent(table, "likely_parts", "a part", set(parts), lambda row: row.likely_parts)
    elif table.kind == "consumables":
        mistakes = _absent(table, "models", "a model", set(models), lambda row: row.models)
    elif table.kind == "bindings":
        users = await _present(connection, "present_users", {n.row.user_id for n in table.rows})
        devices = await _present(connection, "present_devices", {n.row.device for n in table.rows})
        mistakes = _absent(table, "user_id", "a user", users, lambda row: [row.user_id])
        mistakes += _absent(table, "device", "a registered device", devices, lambda row: [row.device])
    if mistakes:
        raise BadFile(mistakes)


def _absent(table: Table, column: str, what: str, known: set[str], names: Callable[[Any], list[str]]) -> list[Mistake]:
    return [
        table.mistake(numbered.number, column, name, f"expected {what} that the registry knows")
        for numbered in table.rows
        for name in names(numbered.row)
        if name not in known
    ]


async def _present(connection: Connection, query: str, names: set[str]) -> set[str]:
    cursor = await connection.execute(_SQL[query], {"names": list(names)})
    return {name for (name,) in await cursor.fetchall()}


async def _write_families(connection: Connection, table: Table, _origin: Origin) -> None:
    for numbered in table.rows:
        row = numbered.row
        await connection.execute(_SQL["put_family"], {"family": row.family, "name": Jsonb(row.name)})


async def _write_parts(connection: Connection, table: Table, _origin: Origin) -> None:
    for numbered in table.rows:
        row = numbered.row
        await connection.execute(_SQL["put_part"], {"part": row.part, "name": Jsonb(row.name)})


async def _write_models(connection: Connection, table: Table, _origin: Origin) -> None:
    for numbered in table.rows:
        row = numbered.row
        await connection.execute(_SQL["put_model"], row.model_dump(exclude={"warranty_terms", "gtins"}))
        await connection.execute(_SQL["clear_warranty_terms"], {"model": row.model})
        for term in row.warranty_terms:
            await connection.execute(_SQL["put_warranty_term"], {"model": row.model, **term.model_dump()})
        for gtin in row.gtins:
            await connection.execute(_SQL["put_trade_item"], {"gtin": gtin, "model": row.model})


async def _write_faults(connection: Connection, table: Table, _origin: Origin) -> None:
    for numbered in table.rows:
        row = numbered.row
        fields = row.model_dump(exclude={"models"})
        for name in ("meaning", "customer_words", "self_help", "confirmation_rule"):
            fields[name] = Jsonb(fields[name])
        for model in row.models:
            await connection.execute(_SQL["put_definition"], {**fields, "model": model})


async def _write_consumables(connection: Connection, table: Table, _origin: Origin) -> None:
    for numbered in table.rows:
        fields = numbered.row.model_dump(exclude={"models"})
        fields["name"] = Jsonb(fields["name"])
        for model in numbered.row.models:
            await connection.execute(_SQL["put_consumable"], {**fields, "model": model})


async def _write_regions(connection: Connection, table: Table, _origin: Origin) -> None:
    for numbered in table.rows:
        await connection.execute(_SQL["put_place"], numbered.row.model_dump())


async def _write_users(connection: Connection, table: Table, origin: Origin) -> None:
    for numbered in table.rows:
        row = numbered.row
        contacts = {kind: text for kind in people.KINDS if (text := getattr(row, kind))}
        if contacts and origin.master is None:
            reason = "there is no master key: set FIRSTCALL_REGISTRY_MASTER_KEY_FILE to keep personal data"
            raise BadFile([table.mistake(numbered.number, next(iter(contacts)), "", reason)])
        with _row_named(table, numbered.number, "user_id", row.user_id):
            await people.add_user(connection, row.user_id, row.locale, row.time_zone)
            if row.region:
                await connection.execute(_SQL["put_region"], {"user_id": row.user_id, "region": row.region})
            if contacts and origin.master is not None:
                await people.write_contacts(
                    connection, origin.master, row.user_id, contacts, person=origin.person, purpose="import"
                )


async def _write_devices(connection: Connection, table: Table, origin: Origin) -> None:
    """Everything but the fittings goes in by whole columns; a fitting is a row's own, so that its mistake is too."""
    rows = [numbered.row for numbered in table.rows]
    gateways = sorted({row.gateway for row in rows if row.gateway is not None})
    await connection.execute(
        _SQL["put_gateways"], {"gateways": gateways, "partitions": [partition(gateway) for gateway in gateways]}
    )
    cursor = await connection.execute(
        _SQL["put_devices"],
        {"devices": [row.device for row in rows], "gateways": [row.gateway for row in rows], "person": origin.person},
    )
    numbers = dict(await cursor.fetchall())
    fitted = [(n, code) for n in table.rows if (code := n.row.code) is not None]
    await connection.execute(
        _SQL["put_products"],
        {
            "gtins": [code.gtin for _, code in fitted],
            "serials": [code.serial for _, code in fitted],
            "produced_on": [code.produced_on for _, code in fitted],
            "lots": [code.lot for _, code in fitted],
        },
    )
    for numbered, code in fitted:
        row = numbered.row
        with _row_named(table, numbered.number, "product", row.product), typed_errors():
            await connection.execute(
                _SQL["fit_unless_held"],
                {
                    "device_no": numbers[row.device],
                    "gtin": code.gtin,
                    "serial": code.serial,
                    "since": row.fitted_since,
                    "person": origin.person,
                },
            )


async def _write_bindings(connection: Connection, table: Table, origin: Origin) -> None:
    for numbered in table.rows:
        row = numbered.row
        with _row_named(table, numbered.number, "device", row.device):
            cursor = await connection.execute(_SQL["binding_is_held"], row.model_dump())
            if await cursor.fetchone() is None:
                await ownership.bind(connection, row.device, row.user_id, row.since, origin.person, until=row.until)


class _row_named:  # noqa: N801 - reads as a phrase in a with statement
    """Turns a refusal by the registry into a mistake of this row."""

    def __init__(self, table: Table, number: int, column: str, value: str) -> None:
        self._where = (table, number, column, value)

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, RegistryError):
            table, number, column, value = self._where
            raise BadFile([table.mistake(number, column, value, str(error))]) from error


_WRITERS: dict[str, Callable[[Connection, Table, Origin], Coroutine[Any, Any, None]]] = {
    "families": _write_families,
    "parts": _write_parts,
    "models": _write_models,
    "faults": _write_faults,
    "consumables": _write_consumables,
    "regions": _write_regions,
    "users": _write_users,
    "devices": _write_devices,
    "bindings": _write_bindings,
}
