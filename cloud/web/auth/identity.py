"""Who is acting now. The guard sets it for each request and each live connection; whatever changes something asks it.

It lies in a context variable, so that what a person starts (a click on the console, a task of theirs) carries it on,
and a route or a screen that forgot to ask is stopped below, where the change is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from cloud.web.auth.permissions import EVERYTHING, Permission
from cloud.web.problems import Problem

Kind = Literal["open", "person", "client"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody, and what they may do.

    kind: `open` is whoever reaches an open loopback, `person` has signed in, `client` is a program with a token.
    session_no: of a person who signed in. engineer: which engineer of dispatch a person is.
    """

    name: str
    kind: Kind
    permissions: frozenset[Permission]
    session_no: int | None = None
    engineer: str | None = None

    def may(self, permission: Permission) -> bool:
        """Whether they may do this."""
        return permission in self.permissions


def open_door(name: str) -> Identity:
    """Where nobody is asked: the console on loopback, and programs of one's own."""
    return Identity(name, "open", EVERYTHING)


_acting: ContextVar[Identity | None] = ContextVar("acting", default=None)


def set_acting(identity: Identity | None) -> None:
    """From here on, in this context, this is who acts."""
    _acting.set(identity)


def acting() -> Identity | None:
    """Who acts here, if anybody."""
    return _acting.get()


@contextmanager
def acting_as(identity: Identity) -> Iterator[Identity]:
    """Act as somebody within the block."""
    before = _acting.set(identity)
    try:
        yield identity
    finally:
        _acting.reset(before)


def require(permission: Permission) -> Identity:
    """Who acts here, who may do this.

    Raises:
        Problem: nobody is signed in (401), or they may not (403).
    """
    identity = _acting.get()
    if identity is None:
        raise Problem(401, "not-signed-in", "nobody is signed in here")
    if not identity.may(permission):
        raise Problem(403, "not-allowed", f"{identity.name} may not do this: it needs the permission {permission}")
    return identity
