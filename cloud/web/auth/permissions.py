"""The table of permissions: what each role may do. The one place to read it, and to change it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType


class Permission(StrEnum):
    """Something that may be done. Also the scopes of API clients."""

    LOOK = "look"
    """Faults, tickets, devices, predictions, findings, ingest: nothing of it names a customer."""
    CONFIRM = "tickets.confirm"
    CONTACT = "tickets.contact"
    SCHEDULE = "tickets.schedule"
    RESOLVE = "tickets.resolve"
    DISMISS = "tickets.dismiss"
    SHELVE = "tickets.shelve"
    REPORT = "findings.report"
    """Write down a failure that no ticket foresaw."""
    ANY_CONTACT = "contacts.any"
    """See any customer's contacts, for a stated purpose; logged."""
    VISIT_CONTACT = "contacts.visit"
    """See the contacts of a customer to whom one is assigned for a visit; logged."""
    AUDIT = "audit"
    """Read the audit log."""
    WEBHOOKS = "webhooks"
    """Decide who is told of events, and send again what failed."""
    METRICS = "metrics"
    """Figures of the programs, for monitoring."""


P = Permission
_DESK = frozenset({P.LOOK, P.CONFIRM, P.CONTACT, P.SCHEDULE, P.DISMISS, P.SHELVE})
ROLES: Mapping[str, frozenset[Permission]] = MappingProxyType(
    {
        "agent": _DESK | {P.REPORT, P.ANY_CONTACT},
        "engineer": frozenset({P.LOOK, P.CONTACT, P.RESOLVE, P.REPORT, P.VISIT_CONTACT}),
        "dispatcher": _DESK | {P.ANY_CONTACT},
        "quality": frozenset({P.LOOK, P.CONFIRM, P.RESOLVE, P.DISMISS, P.SHELVE, P.REPORT, P.METRICS}),
        "admin": frozenset({P.LOOK, P.WEBHOOKS, P.METRICS, P.SHELVE}),
        "auditor": frozenset({P.LOOK, P.AUDIT}),
    }
)
"""An engineer's CONTACT is the visit that fell through: the desk lets it follow an appointment. Accounts and API
clients are made by whoever runs the programs (`firstcall web …`), never over HTTP: no role can raise itself."""

EVERYTHING = frozenset(Permission)
"""On an open loopback, and behind the one password of a very small installation."""


class UnknownRole(ValueError):
    """There is no such role, or scope; the message names those that there are."""


def permissions_of(roles: Iterable[str]) -> frozenset[Permission]:
    """What these roles may do together. UnknownRole: one of them is none."""
    found: frozenset[Permission] = frozenset()
    for role in roles:
        if role not in ROLES:
            raise UnknownRole(f"there is no role {role!r}; the roles are {', '.join(ROLES)}")
        found |= ROLES[role]
    return found


def scopes_of(names: Iterable[str]) -> frozenset[Permission]:
    """API scopes by their names. UnknownRole: one of them is none."""
    try:
        return frozenset(map(Permission, names))
    except ValueError as error:
        raise UnknownRole(f"{error}; the scopes are {', '.join(Permission)}") from error
