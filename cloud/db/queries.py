"""Named SQL: `queries/<room>.sql` holds blocks that start with `-- name: <name>`; no SQL is built from text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


@cache
def load(room: str) -> Mapping[str, LiteralString]:
    """The named queries of a room, read once. An unknown name is a KeyError at first use.

    Raises:
        FileNotFoundError: there is no queries/<room>.sql.
        ValueError: a name stands twice.
    """
    text = files("cloud.db").joinpath("queries", f"{room}.sql").read_text(encoding="utf-8")
    _before, *blocks = _NAME.split(text)
    names, bodies = blocks[::2], blocks[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"queries/{room}.sql names a query twice")
    # The files ship with the program and take parameters only, hence literal.
    return MappingProxyType({n: cast(LiteralString, body.strip()) for n, body in zip(names, bodies, strict=True)})
