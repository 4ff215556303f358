"""Whose fault a database error is: the one place that tells a temporary error from a permanent one."""

from __future__ import annotations

import psycopg

THE_ROWS_OWN = frozenset({"22", "23", "54"})
"""SQLSTATE classes: data exception, integrity constraint violation, program limit exceeded."""


def is_permanent(error: Exception) -> bool:
    """Whether the same rows would be refused again by a healthy database.

    The trade-off: a permanent error that is taken for temporary stops the partition until somebody looks; a
    temporary one that is taken for permanent files good messages as dead letters. The first is loud and loses
    nothing, so only what is provably the rows' own fault is permanent. A missing table, a missing right, a full
    disk, a read-only standby, a server that shuts down: all of these are waited out.

    A psycopg error without SQLSTATE is the client's: DataError means that a value cannot be sent at all (a NUL
    in a text), every other one that the connection is gone.
    """
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.DataError)
    return error.sqlstate[:2] in THE_ROWS_OWN
