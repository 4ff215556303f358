"""Looking at a customer's contacts, for a person and a purpose; the registry logs it before it reads."""

from __future__ import annotations

from cloud.registry import people
from cloud.registry.errors import NoMasterKey, UnknownUser
from cloud.web.auth.changes import act_as
from cloud.web.auth.contacts import require_look
from cloud.web.context import WebContext
from cloud.web.problems import Problem, not_found


async def look(context: WebContext, user_id: str, person: str, purpose: str) -> dict[str, str]:
    """The user's contacts by kind (name, phone, email, address).

    Raises:
        Problem: whoever acts here may not see them; the user is unknown or erased; or this program has not got the key.
    """
    if context.master_key is None:
        raise Problem(
            409,
            "no-key",
            "contacts cannot be read here: give the web program the key, FIRSTCALL_REGISTRY_MASTER_KEY_FILE",
        )
    try:
        async with context.pool.connection() as connection, connection.transaction():
            await act_as(connection, await require_look(connection, user_id))
            found = await people.read_contacts(connection, context.master_key, user_id, person=person, purpose=purpose)
    except UnknownUser as error:
        raise not_found(f"contact of user {user_id}: the user is unknown, or was erased") from error
    except NoMasterKey as error:
        raise Problem(409, "no-key", str(error)) from error
    return {str(kind): words for kind, words in found.items()}
