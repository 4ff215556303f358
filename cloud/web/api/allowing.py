"""What a route needs: its permission, as a dependency that OpenAPI readers and tests can see."""

from __future__ import annotations

from fastapi import params

from cloud.web.auth.identity import Identity, require
from cloud.web.auth.permissions import Permission


class Allowed:
    """Refuses a request (403) whose person or client may not do this."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self) -> Identity:
        """Who asks."""
        return require(self.permission)


class AllowedLater:
    """The route decides itself, with what it reads: `why` says where."""

    def __init__(self, why: str) -> None:
        self.why = why

    async def __call__(self) -> None:
        """Nothing here."""


def allowed(permission: Permission) -> params.Depends:
    """For `dependencies=[...]` of a router or a route."""
    return params.Depends(Allowed(permission))


def allowed_later(why: str) -> params.Depends:
    """The same for a route that decides by what it reads."""
    return params.Depends(AllowedLater(why))
