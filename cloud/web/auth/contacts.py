"""Who may see a customer's contacts: the one place where that is decided."""

from __future__ import annotations

from cloud.db import queries
from cloud.web.auth.changes import Connection
from cloud.web.auth.identity import Identity, acting
from cloud.web.auth.permissions import Permission
from cloud.web.problems import Problem


async def require_look(connection: Connection, user_id: str) -> Identity:
    """Who acts here, who may see this customer's contacts now.

    With `contacts.any` any customer's; with `contacts.visit` those of a customer to whom they have a booked visit,
    until it is done or cancelled.

    Raises:
        Problem: nobody is signed in (401), or they may not (403).
    """
    identity = acting()
    if identity is None:
        raise Problem(401, "not-signed-in", "nobody is signed in here")
    if identity.may(Permission.ANY_CONTACT):
        return identity
    if not identity.may(Permission.VISIT_CONTACT):
        raise Problem(403, "not-allowed", f"{identity.name} may not see contacts of customers")
    cursor = await connection.execute(
        queries.load("access")["engineer_visits_user"],
        {"engineer": identity.engineer or identity.name, "user_id": user_id},
    )
    if await cursor.fetchone() != (True,):
        raise Problem(
            403, "not-allowed", f"{identity.name} has no booked visit to this customer; contacts are shown for visits"
        )
    return identity
