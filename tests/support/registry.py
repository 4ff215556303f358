"""Filling a registry in tests, the way `firstcall registry import --catalogue` does."""

from __future__ import annotations

from pathlib import Path

import psycopg

from cloud.registry.importer import Origin, catalogue_folder, import_paths


async def import_with_catalogue(url: str, *paths: Path) -> None:
    """Import the catalogue that ships, then these files or folders."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
        with catalogue_folder() as shipped:
            await import_paths(connection, [shipped, *paths], Origin("test", None), False)
