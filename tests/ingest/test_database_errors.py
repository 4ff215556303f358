"""Whose fault a database error is."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from psycopg_pool import PoolTimeout

from cloud.ingest.database_errors import is_permanent


@pytest.mark.parametrize(
    "error",
    [
        errors.NumericValueOutOfRange(), errors.CharacterNotInRepertoire(), errors.UntranslatableCharacter(),
        errors.CheckViolation(), errors.NotNullViolation(), errors.ForeignKeyViolation(),
        errors.ProgramLimitExceeded(), psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"),
    ],
)  # fmt: skip
def test_the_rows_own_fault(error: Exception) -> None:
    assert is_permanent(error)


@pytest.mark.parametrize(
    "error",
    [
        errors.AdminShutdown(), errors.CrashShutdown(), errors.CannotConnectNow(), errors.SerializationFailure(),
        errors.DeadlockDetected(), errors.DiskFull(), errors.TooManyConnections(), errors.LockNotAvailable(),
        errors.ReadOnlySqlTransaction(), errors.UndefinedTable(), errors.InsufficientPrivilege(),
        errors.InternalError_(), psycopg.OperationalError("server closed the connection unexpectedly"),
        psycopg.InterfaceError("the connection is closed"), PoolTimeout(), OSError(), KeyError("a mistake of ours"),
    ],
)  # fmt: skip
def test_waited_out(error: Exception) -> None:
    assert not is_permanent(error)
