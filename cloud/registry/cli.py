"""`firstcall registry`: import files, check them, show what is known."""

from __future__ import annotations

import asyncio
import getpass
import json
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Users, products, devices, bindings and the fault dictionary.", no_args_is_help=True)

Paths = Annotated[list[Path], typer.Argument(exists=True, help="Files or folders; see docs/four-codes.md.")]


@app.command("import")
def import_(
    paths: Annotated[list[Path] | None, typer.Argument(exists=True, help="Files or folders of import files.")] = None,
    catalogue: Annotated[bool, typer.Option(help="Import the catalogue that ships with firstcall first.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Do everything and keep nothing.")] = False,
) -> None:
    """Import CSV or JSON files: each whole or not at all, every mistake by file, row and column."""
    if not paths and not catalogue:
        raise typer.BadParameter("give files or folders, or --catalogue")
    imported = _mended(_import(paths or [], catalogue, dry_run))
    for one in imported:
        typer.echo(f"{one.file}: {one.rows} {one.kind}{' (dry run: nothing kept)' if dry_run else ''}")


@app.command()
def check(paths: Paths) -> None:
    """Check files without a database: their form, their codes, their check digits."""
    from cloud.registry.files import BadFile, read
    from cloud.registry.importer import in_order

    wrong = 0
    for path in in_order(paths):
        try:
            table = read(path)
            typer.echo(f"{path.name}: {len(table.rows)} {table.kind}, no mistake found")
        except BadFile as error:
            wrong += len(error.mistakes)
            typer.echo(str(error), err=True)
    if wrong:
        typer.echo(f"{wrong} mistake{'s' if wrong > 1 else ''}", err=True)
        raise typer.Exit(1)


@app.command()
def show(
    device: Annotated[str | None, typer.Argument(help="A device code; none: what is known in numbers.")] = None,
) -> None:
    """Show a device's product and bindings (users by pseudonym), or how much the registry knows."""
    typer.echo(json.dumps(_mended(_show(device)), indent=2, default=str, ensure_ascii=False))


@app.command("new-key")
def new_key(path: Annotated[Path, typer.Argument(help="A file that is not there yet.")]) -> None:
    """Make a master key for personal data, in a new file that only its owner can read. Back it up apart."""
    from cloud.registry.keys import MasterKey

    try:
        key = MasterKey.make_file(path)
    except OSError as error:
        typer.echo(f"{path}: {error.strerror}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{path}: master key {key.fingerprint}; name it in FIRSTCALL_REGISTRY_MASTER_KEY_FILE")


def _mended(work: Any) -> Any:
    """Run it; a mistake in a file or a refusal is told in words, not as a traceback."""
    from cloud.registry.errors import RegistryError
    from cloud.registry.files import BadFile

    try:
        return asyncio.run(work)
    except (BadFile, RegistryError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


async def _connect() -> Any:
    from psycopg import AsyncConnection

    from cloud.db.settings import DatabaseSettings

    return await AsyncConnection.connect(
        DatabaseSettings().url.get_secret_value(), autocommit=True, options="-c timezone=UTC"
    )


async def _import(paths: list[Path], catalogue: bool, dry_run: bool) -> Any:
    from cloud.registry.importer import Origin, catalogue_folder, import_paths
    from cloud.registry.settings import RegistrySettings

    origin = Origin(getpass.getuser(), RegistrySettings().load_master_key())
    with catalogue_folder() as shipped:
        async with await _connect() as connection:
            return await import_paths(connection, [shipped, *paths] if catalogue else paths, origin, dry_run)


async def _show(device: str | None) -> Any:
    from dataclasses import asdict

    from psycopg.rows import dict_row

    from cloud.db import queries
    from cloud.registry import ownership

    async with await _connect() as connection:
        if device is None:
            cursor = connection.cursor(row_factory=dict_row)
            return await (await cursor.execute(queries.load("registry")["counts"])).fetchone()
        await ownership.device_no(connection, device)
        product = await ownership.product_of(connection, device)
        held = await ownership.bindings(connection, device)
        return {"device": device, "product": product and asdict(product), "bindings": [asdict(b) for b in held]}
