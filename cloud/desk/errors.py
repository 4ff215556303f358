"""What the desk refuses, as types. The database raises them as SQLSTATEs of class FC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg


class DeskError(Exception):
    """The desk refused; the message says what was wrong and, where there is one, what to do."""


class IllegalStep(DeskError):
    """A ticket cannot go from its state to that one."""


class FormerOwner(DeskError):
    """The ticket's user does not have the device any more: nobody may call or visit."""


class NoSuchTicket(DeskError):
    """There is no ticket of that number."""


class TicketChanged(DeskError):
    """Somebody else changed the ticket since it was read; read it again."""


_BY_STATE: dict[str, type[DeskError]] = {"FC010": IllegalStep, "FC011": FormerOwner, "FC012": NoSuchTicket}


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
