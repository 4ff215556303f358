"""What the registry refuses, as types. The database raises them as SQLSTATEs of class FC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg


class RegistryError(Exception):
    """The registry refused; the message says what was wrong and, where there is one, what to do."""


class UnknownDevice(RegistryError):
    """No such device is registered."""


class UnknownUser(RegistryError):
    """No such user, or the user was erased."""


class UnknownProduct(RegistryError):
    """No such product is registered."""


class AlreadyTaken(RegistryError):
    """The device is bound to somebody, or the product holds another device, at that time."""


class NotSo(RegistryError):
    """What an operation starts from does not hold at that time: nobody to transfer from, a superseded binding."""


class KnownTimeGoesBack(RegistryError):
    """Knowledge cannot be written into the past: something later is already known of the device."""


class BadProductCode(RegistryError):
    """A GS1 code that cannot be read, fails its check digit, or names no unit (GTIN and serial)."""


class NoMasterKey(RegistryError):
    """There is no master key, it is malformed, or it is not the one that wrapped a user's key."""


_BY_STATE: dict[str, type[RegistryError]] = {
    "FC001": UnknownDevice,
    "FC002": UnknownUser,
    "FC003": AlreadyTaken,
    "FC004": NotSo,
    "FC005": KnownTimeGoesBack,
    "FC006": UnknownProduct,
    "23P01": AlreadyTaken,  # an exclusion constraint: the last line of defence
}


@contextmanager
def typed_errors() -> Iterator[None]:
    """Turn the database's refusals into the types above; any other error passes."""
    try:
        yield
    except psycopg.Error as error:
        kind = _BY_STATE.get(error.sqlstate or "")
        if kind is None:
            raise
        hint = error.diag.message_hint
        raise kind(f"{error.diag.message_primary}{'. ' + hint if hint else ''}") from error
